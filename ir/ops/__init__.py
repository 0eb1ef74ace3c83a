"""The operators: frozen dataclasses with a type rule (`infer`) and exact reference semantics (`evaluate`).

`OPERATORS` names them all; rooms keep their own tables keyed by operator type.
"""

from ir.ops.activation import BatchNorm, FakeQuantize, MultiplyShift, Scaled, Sign, Thresholds
from ir.ops.base import Op, Operand, OperatorError
from ir.ops.convolution import Conv2d
from ir.ops.elementwise import Add, Clip, Multiply, PRelu, RPRelu
from ir.ops.gated import GatedConv2d, is_bipolar
from ir.ops.pooling import MaxPool2d, Pool, SumPool2d
from ir.ops.resize import Resize
from ir.ops.spatial import Concat, DepthToSpace, SpaceToDepth, Upsample

OPERATORS: dict[str, type[Op]] = {
    op.__name__: op
    for op in (
        Add,
        BatchNorm,
        Clip,
        Concat,
        Conv2d,
        DepthToSpace,
        FakeQuantize,
        GatedConv2d,
        MaxPool2d,
        Multiply,
        MultiplyShift,
        PRelu,
        RPRelu,
        Resize,
        Scaled,
        Sign,
        SpaceToDepth,
        SumPool2d,
        Thresholds,
        Upsample,
    )
}

__all__ = [
    "OPERATORS",
    "Add",
    "BatchNorm",
    "Clip",
    "Concat",
    "Conv2d",
    "DepthToSpace",
    "FakeQuantize",
    "GatedConv2d",
    "MaxPool2d",
    "Multiply",
    "MultiplyShift",
    "Op",
    "Operand",
    "OperatorError",
    "PRelu",
    "Pool",
    "RPRelu",
    "Resize",
    "Scaled",
    "Sign",
    "SpaceToDepth",
    "SumPool2d",
    "Thresholds",
    "Upsample",
    "is_bipolar",
]
