"""The operators: frozen dataclasses with a type rule (`infer`) and exact reference semantics (`evaluate`).

`OPERATORS` names them all; rooms keep their own tables keyed by operator type.
"""

from ir.ops.activation import BatchNorm, FakeQuantize, MultiplyShift, Scaled, Sign, Thresholds
from ir.ops.base import Op, Operand, OperatorError
from ir.ops.convolution import Conv2d
from ir.ops.elementwise import Add, Clip, Multiply, PRelu, RPRelu
from ir.ops.gated import GatedConv2d, is_bipolar
from ir.ops.layout import Pad, Reshape, Slice, Transpose
from ir.ops.lookup import Lookup
from ir.ops.matmul import IntegerRmsNorm, IntegerSoftmax, MatMul
from ir.ops.pooling import AveragePool2d, MaxPool2d, Pool, SumPool2d
from ir.ops.quantise import Affine, Curve, Dequantize, MultiThreshold, Quantize
from ir.ops.real import Arithmetic, Interpolate, Reduce, ToInteger
from ir.ops.resize import Resize
from ir.ops.scores import Sigmoid, Softmax
from ir.ops.spatial import Concat, DepthToSpace, SpaceToDepth, Upsample

OPERATORS: dict[str, type[Op]] = {
    op.__name__: op
    for op in (
        Add,
        Affine,
        Arithmetic,
        AveragePool2d,
        BatchNorm,
        Clip,
        Concat,
        Conv2d,
        Curve,
        DepthToSpace,
        Dequantize,
        FakeQuantize,
        GatedConv2d,
        IntegerRmsNorm,
        IntegerSoftmax,
        Interpolate,
        Lookup,
        MatMul,
        MaxPool2d,
        MultiThreshold,
        Multiply,
        MultiplyShift,
        PRelu,
        Pad,
        Quantize,
        RPRelu,
        Reduce,
        Reshape,
        Resize,
        Scaled,
        Sigmoid,
        Sign,
        Slice,
        Softmax,
        SpaceToDepth,
        SumPool2d,
        Thresholds,
        ToInteger,
        Transpose,
        Upsample,
    )
}

__all__ = [
    "OPERATORS",
    "Add",
    "Affine",
    "Arithmetic",
    "AveragePool2d",
    "BatchNorm",
    "Clip",
    "Concat",
    "Conv2d",
    "Curve",
    "DepthToSpace",
    "Dequantize",
    "FakeQuantize",
    "GatedConv2d",
    "IntegerRmsNorm",
    "IntegerSoftmax",
    "Interpolate",
    "Lookup",
    "MatMul",
    "MaxPool2d",
    "MultiThreshold",
    "Multiply",
    "MultiplyShift",
    "Op",
    "Operand",
    "OperatorError",
    "PRelu",
    "Pad",
    "Pool",
    "Quantize",
    "RPRelu",
    "Reduce",
    "Reshape",
    "Resize",
    "Scaled",
    "Sigmoid",
    "Sign",
    "Slice",
    "Softmax",
    "SpaceToDepth",
    "SumPool2d",
    "Thresholds",
    "ToInteger",
    "Transpose",
    "Upsample",
    "is_bipolar",
]
