"""The operators: frozen dataclasses with a type rule (`infer`) and exact reference semantics (`evaluate`).

`OPERATORS` names them all; rooms keep their own tables keyed by operator type.
"""

from ir.ops.activation import BatchNorm, FakeQuantize, MultiplyShift, Scaled, Thresholds
from ir.ops.base import Op, Operand, OperatorError
from ir.ops.convolution import Conv2d
from ir.ops.spatial import Concat, MaxPool2d, SpaceToDepth

OPERATORS: dict[str, type[Op]] = {
    op.__name__: op
    for op in (BatchNorm, Concat, Conv2d, FakeQuantize, MaxPool2d, MultiplyShift, Scaled, SpaceToDepth, Thresholds)
}

__all__ = [
    "OPERATORS",
    "BatchNorm",
    "Concat",
    "Conv2d",
    "FakeQuantize",
    "MaxPool2d",
    "MultiplyShift",
    "Op",
    "Operand",
    "OperatorError",
    "Scaled",
    "SpaceToDepth",
    "Thresholds",
]
