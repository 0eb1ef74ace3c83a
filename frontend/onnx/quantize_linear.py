"""QuantizeLinear and DequantizeLinear: ONNX's own quantiser, in two halves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from frontend.onnx.builder import Builder, Value
from frontend.onnx.elements import READ_TYPES
from frontend.onnx.model import OnnxNode
from frontend.onnx.rule import Rule
from frontend.onnx.scales import keep, need_scales, quantised, scale_of
from ir.ops import Affine, Quantize
from ir.types import Array, DType

LARGEST = 1 << 16
"""Beyond what a QuantizeLinear makes."""


def _linear_operands(b: Builder, node: OnnxNode) -> tuple[Array, Array]:
    """(scale, zero point) of QuantizeLinear and DequantizeLinear, with the tensor's axes where they vary."""
    scale = scale_of(b, node, 1)
    zero = b.constant(node, 2, np.zeros(scale.shape, np.uint8))
    blocks = int(node.attributes.get("block_size", 0))
    b.require(node, blocks == 0, f"attribute 'block_size' is {blocks}: scales of blocks are not supported (allowed: 0)")
    if scale.ndim == 1 and scale.size > 1:
        source = node.inputs[0]
        rank = b.folded[source].ndim if source in b.folded else len(b.value(node).shape)
        axis = int(node.attributes.get("axis", 1)) % rank
        shape = [scale.size if i == axis else 1 for i in range(rank)]
        b.require(node, zero.size in (1, scale.size), f"{scale.size} scales with {zero.size} zero points")
        scale, zero = scale.reshape(shape), zero.reshape(shape) if zero.size > 1 else zero
    return scale, zero


def quantize_linear(b: Builder, node: OnnxNode) -> None:
    scale, zero = _linear_operands(b, node)
    kind = _result_type(b, node, zero)
    b.require(node, kind in LEVELS, f"{kind} is not supported (allowed: {', '.join(LEVELS)})")
    b.require(node, bool((zero == np.ravel(zero)[0]).all()), "zero points that vary are not supported")
    dtype, z = DType.parse(kind), int(np.ravel(zero)[0])
    # the zero point is added behind the rounding, which a zero point of QONNX's Quant is not: ties would go elsewhere
    quantised(b, node, Quantize(dtype.lo - z, dtype.hi - z), scale)
    b.grids[node.outputs[0]] = (scale, z)


LEVELS = ("int4", "uint4", "int8", "uint8", "int16", "uint16")
"""Types that QuantizeLinear may make."""


def _result_type(b: Builder, node: OnnxNode, zero: Array) -> str:
    """By the zero point or, where there is none, by an attribute."""
    name = node.inputs[2] if len(node.inputs) > 2 else ""
    stated = int(node.attributes.get("output_dtype", 0))
    if name or not stated:
        return b.narrow.get(name, zero.dtype.name)
    return READ_TYPES.get(stated, f"element type {stated}")


def dequantize_linear(b: Builder, node: OnnxNode) -> None:
    scale, zero = _linear_operands(b, node)
    source = node.inputs[0]
    if source in b.quantised:  # a constant behind its QuantizeLinear
        stored = b.quantised[source].integers
        need_scales(b, node, stored, zero)
        integers = stored + (b.grids[source][1] if source in b.grids else 0) - zero.astype(np.int64)
    elif source in b.folded:
        stored = b.integers(node, b.folded[source], "the constant")
        need_scales(b, node, stored, zero)
        integers = stored - zero.astype(np.int64)
    else:
        return _regridded(b, node, scale, zero)
    need_scales(b, node, integers, scale)
    return keep(b, node, integers, scale)


def narrows(b: Builder, node: OnnxNode) -> bool:
    """Whether what it reads are integers that a QuantizeLinear has just made."""
    source = node.inputs[0]
    if source not in b.grids or source in b.quantised:
        return source in b.grids
    made = b.by_name.get(b.value(node).tensor)
    return made is not None and isinstance(made.op, Quantize)


def clip(b: Builder, node: OnnxNode, lowest: float, highest: float) -> None:
    """Of the integers that a QuantizeLinear makes: so integers of fewer bits than its type has are told."""
    source, (scale, z) = node.inputs[0], b.grids[node.inputs[0]]
    lo, hi = (max(-LARGEST, min(LARGEST, end)) - z for end in (lowest, highest))
    b.require(node, lo == int(lo) <= hi == int(hi), f"clips integers to {lowest}..{highest}")
    if source in b.quantised:
        known = b.quantised[source]
        keep(b, node, np.clip(known.integers, int(lo), int(hi)), known.scale)
    else:
        x = b.value(node)
        made = b.by_name[x.tensor]
        assert isinstance(made.op, Quantize)
        op = replace(made.op, lo=max(made.op.lo, int(lo)), hi=min(made.op.hi, int(hi)))
        b.require(node, op.lo < op.hi, f"clips integers to {lowest}..{highest}, which leaves no two values")
        step = b.constants[made.inputs[1]]
        b.define(node, Value(b.emit(node, op, made.inputs[0], constants={"scale": step}), x.shape, x.axes))
    b.grids[node.outputs[0]] = (scale, z)


def _regridded(b: Builder, node: OnnxNode, scale: Array, zero: Array) -> None:
    """Values of the graph are real already: those of a quantiser stay, unless another scale reads its integers."""
    known = b.grids.get(node.inputs[0])
    if known is None:
        b.fail(node, "reads a tensor that is not of integers, or that an operator has changed since they were made")
    if known[1] == zero.ravel()[0] and np.array_equal(known[0], scale) and zero.size == 1:
        return b.define(node, b.value(node))
    before, z = known
    x, (gain, offset) = b.per_channel(node, b.value(node), scale / before, (z - zero.astype(np.float64)) * scale)
    return b.define(node, b.map(node, Affine(), x, scale=gain, offset=offset))


RULES: Mapping[str, Rule] = {"DequantizeLinear": dequantize_linear, "QuantizeLinear": quantize_linear}
