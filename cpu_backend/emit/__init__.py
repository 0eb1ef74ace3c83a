"""Layer -> one C function: a table of rules keyed by the operator that leads the layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cpu_backend.emit.base import ELEMENT_BYTES, Destination, LayerCode, identifier, pixels_of
from cpu_backend.emit.bits import bit_planes, bits_conv, extent, words_of
from cpu_backend.emit.convolution import conv_accumulator, gated_conv
from cpu_backend.emit.elementwise import add, pair
from cpu_backend.emit.float_sparse import float_sparse_conv, has_pruned_float_columns, pruned_float_weights
from cpu_backend.emit.floats import FLOAT_RULES
from cpu_backend.emit.full import streamed_bytes, stride_of
from cpu_backend.emit.maps import map_rows
from cpu_backend.emit.movement import concat, depth_to_space, resize, space_to_depth, upsample
from cpu_backend.emit.pooling import pool
from cpu_backend.emit.reals import REAL_RULES
from cpu_backend.emit.rows import matmul, rms_norm, softmax
from cpu_backend.emit.scalar import conv, conv_scheme
from cpu_backend.emit.sparse import has_pruned_columns, plane_shape, pruned_weights, sparse_conv, takes_columns
from cpu_backend.emit.spread import CALL, spread
from cpu_backend.emit.volume import cut, lookup, pad, reshape, transpose
from cpu_backend.emit.winograd import filtered, takes_winograd, tiles_in, winograd_conv
from cpu_backend.layers import Form, Layer
from ir.graph import NodeView
from ir.kinds import is_fallback
from ir.ops import (
    Add,
    Arithmetic,
    Clip,
    Concat,
    Conv2d,
    DepthToSpace,
    GatedConv2d,
    IntegerRmsNorm,
    IntegerSoftmax,
    Lookup,
    MatMul,
    MaxPool2d,
    Multiply,
    MultiplyShift,
    Op,
    Pad,
    PRelu,
    Reshape,
    Resize,
    RPRelu,
    Sign,
    Slice,
    SpaceToDepth,
    SumPool2d,
    Thresholds,
    Transpose,
    Upsample,
)
from ir.ops.base import need

Rule = Callable[[Layer, str, Destination], LayerCode]

RULES: Mapping[type[Op], Rule] = {
    Add: add,
    Clip: map_rows,
    Concat: concat,
    Conv2d: conv,
    DepthToSpace: depth_to_space,
    GatedConv2d: gated_conv,
    IntegerRmsNorm: rms_norm,
    IntegerSoftmax: softmax,
    Lookup: lookup,
    MatMul: matmul,
    MaxPool2d: pool,
    Multiply: pair,
    MultiplyShift: map_rows,
    PRelu: map_rows,
    Pad: pad,
    RPRelu: map_rows,
    Reshape: reshape,
    Resize: resize,
    Sign: map_rows,
    Slice: cut,
    SpaceToDepth: space_to_depth,
    SumPool2d: pool,
    Thresholds: map_rows,
    Transpose: transpose,
    Upsample: upsample,
}
CONSTANTS_ALLOWED: tuple[type[Op], ...] = (Add, Arithmetic, Concat, Multiply)
"""Operators whose rule looks for itself whether the first operand is a constant."""


def rules_for(node: NodeView) -> Mapping[type[Op], Rule]:
    """The rules of integer operators, of those that give floats, or of the fallback."""
    if is_fallback(node):
        return REAL_RULES
    return RULES if node.type.dtype.is_integer else FLOAT_RULES


def emit(layer: Layer, name: str, to: Destination) -> LayerCode:
    """The function ``name`` (and a task for its tiles); OperatorError where the kernels cannot execute the layer."""
    kind = type(layer.first.op)
    rules = rules_for(layer.first)
    need(kind in rules, f"{kind.__name__} has no CPU kernel")
    run_time = [operand.type for operand in layer.first.operands if operand.value is None]
    for type_ in (*run_time, *(view.type for view in layer.nodes)):
        pixels_of(type_)
    if not isinstance(layer.first.op, CONSTANTS_ALLOWED):
        need(layer.first.operands[0].value is None, "computes on constants alone")
    columns = sparse_conv if layer.y.dtype.is_integer else float_sparse_conv
    kernels: Mapping[Form, Rule] = {
        "usual": rules[kind],
        "columns": columns,
        "bits": bits_conv,
        "winograd": winograd_conv,
        "streamed": rules[kind],
    }
    return spread(layer, name, to, kernels[layer.form])


__all__ = [
    "CALL",
    "ELEMENT_BYTES",
    "FLOAT_RULES",
    "REAL_RULES",
    "RULES",
    "Destination",
    "LayerCode",
    "Rule",
    "bit_planes",
    "conv_accumulator",
    "conv_scheme",
    "emit",
    "extent",
    "filtered",
    "has_pruned_columns",
    "has_pruned_float_columns",
    "identifier",
    "plane_shape",
    "pruned_float_weights",
    "pruned_weights",
    "rules_for",
    "streamed_bytes",
    "stride_of",
    "takes_columns",
    "takes_winograd",
    "tiles_in",
    "words_of",
]
