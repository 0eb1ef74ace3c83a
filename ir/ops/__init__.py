"""The operators: frozen dataclasses with a type rule (`infer`) and exact reference semantics (`evaluate`).

`OPERATORS` names them all; rooms keep their own tables keyed by operator type.
"""

from ir.ops.activation import BatchNorm, FakeQuantize, MultiplyShift, Scaled, Sign, Thresholds
from ir.ops.base import Op, Operand, OperatorError
from ir.ops.convolution import Conv2d
from ir.ops.elementwise import Add, Clip, Multiply, PRelu, RPRelu
from ir.ops.gated import GatedConv2d, is_bipolar
from ir.ops.pooling import AveragePool2d, MaxPool2d, Pool, SumPool2d
from ir.ops.real import Affine, Sigmoid, Softmax
from ir.ops.resize import Resize
from ir.ops.spatial import Concat, DepthToSpace, Flatten, Pad, SpaceToDepth, Upsample

OPERATORS: dict[str, type[Op]] = {
    op.__name__: op
    for op in (
        Add,
        Affine,
        AveragePool2d,
        BatchNorm,
        Clip,
        Concat,
        Conv2d,
        DepthToSpace,
        FakeQuantize,
        Flatten,
        GatedConv2d,
        MaxPool2d,
        Multiply,
        MultiplyShift,
        PRelu,
        Pad,
        RPRelu,
        Resize,
        Scaled,
        Sigmoid,
        Sign,
        Softmax,
        SpaceToDepth,
        SumPool2d,
        Thresholds,
        Upsample,
    )
}

__all__ = [
    "OPERATORS",
    "Add",
    "Affine",
    "AveragePool2d",
    "BatchNorm",
    "Clip",
    "Concat",
    "Conv2d",
    "DepthToSpace",
    "FakeQuantize",
    "Flatten",
    "GatedConv2d",
    "MaxPool2d",
    "Multiply",
    "MultiplyShift",
    "Op",
    "Operand",
    "OperatorError",
    "PRelu",
    "Pad",
    "Pool",
    "RPRelu",
    "Resize",
    "Scaled",
    "Sigmoid",
    "Sign",
    "Softmax",
    "SpaceToDepth",
    "SumPool2d",
    "Thresholds",
    "Upsample",
    "is_bipolar",
]
