"""Freezing of general quantised networks (QONNX, QDQ): any scale per tensor or channel, zero points, activations.

A zero point never reaches the integer graph: what it holds is the integer less the zero point, so that 0 is 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction
from math import ceil, log2

import numpy as np

from frontend.lower.exact import requantise, sign
from frontend.lower.values import State, Step, Value, one
from ir.graph import Node
from ir.ops import (
    Add,
    Affine,
    AveragePool2d,
    Clip,
    Conv2d,
    Curve,
    DepthToSpace,
    Dequantize,
    FakeQuantize,
    MaxPool2d,
    Multiply,
    MultiplyShift,
    MultiThreshold,
    Op,
    Pad,
    PRelu,
    Quantize,
    Reshape,
    Slice,
    SumPool2d,
    Transpose,
    Upsample,
)
from ir.ops.quantise import FALLING_CURVES
from ir.types import Array

NEAR = 1e-6
"""How far a zero point that is computed from scales of single precision may be from an integer."""
SMALL_FACTOR, LARGEST_FACTOR = 1 << 10, 1 << 22
EXACT = 1e-13
LARGEST_SUM = 1 << 30


def _affine(state: State, node: Node) -> None:
    x, (scale, offset) = state.operand(node, node.inputs[0]), (state.graph.constants[i] for i in node.inputs[1:])
    state.values[node.name] = x.then(one(scale.astype(np.float64)), one(offset.astype(np.float64)))


def _curve(state: State, node: Node) -> None:
    op, x = node.op, state.operand(node, node.inputs[0])
    assert isinstance(op, Curve)
    slope = 1.0 if op.name in ("relu", "clip") else None
    step = Step(lambda values: op.evaluate((values,)), slope, falls=op.name in FALLING_CURVES)
    state.values[node.name] = x if x.raw else replace(x, curve=(*x.curve, step))


def _dequantize(state: State, node: Node) -> None:
    integers, scale = (state.graph.constants[i] for i in node.inputs)
    state.constants[node.name] = integers.astype(np.int64)
    state.values[node.name] = Value(node.name, gain=one(scale))


def _quantize(state: State, node: Node) -> None:
    op, x = node.op, state.operand(node, node.inputs[0])
    assert isinstance(op, Quantize)
    scale = state.graph.constants[node.inputs[1]]
    type_ = state.type_of(x.tensor)
    inside = op.lo - op.zero <= type_.lo and type_.hi <= op.hi - op.zero
    grid = x.offset is None and not x.curve and np.array_equal(x.scales, scale)
    if x.raw or (grid and inside):
        state.values[node.name] = Value(x.tensor, gain=scale)
        return
    column = scale.reshape(-1, 1)
    tensor = requantise(state, node, x, lambda real: op.integers(real, column), scale)
    state.values[node.name] = Value(tensor, gain=scale)


def fake_quantised(state: State, node: Node, op: FakeQuantize, x: Value) -> Value:
    """A multiply-shift whose rounded multipliers put no result off by more than 1/8 of a step before it is rounded
    itself, or as little as multipliers of 32 bits allow; an exact one behind an activation."""
    type_, scale = state.type_of(x.tensor), np.array([1 / op.steps])
    inside = op.lo <= type_.lo and type_.hi <= op.hi
    if x.offset is None and not x.curve and inside and np.allclose(x.scales, scale, rtol=NEAR * NEAR, atol=0.0):
        return Value(x.tensor, gain=scale)
    if x.curve:
        return Value(requantise(state, node, x, op.integers, scale), gain=scale)
    slopes = np.broadcast_to(x.scales * op.steps, type_.shape[:1])
    offsets = np.broadcast_to(np.zeros(1) if x.offset is None else x.offset * op.steps, type_.shape[:1])
    end = max(abs(type_.lo), abs(type_.hi), 1)
    reach = (op.hi - op.lo + np.abs(offsets)) / np.maximum(np.abs(slopes), 1e-30)  # beyond which results are clipped
    largest = float(max(np.abs(slopes).max(), np.abs(offsets).max()))
    if not 0 < largest < 2.0**30:
        state.fail(node, "its scale or offset exceeds 32 bits: its range is degenerate")
    shift = max(1, min(ceil(log2(4 * float(np.minimum(reach, end).max()))), 30 - ceil(log2(largest))))
    mul, add = np.rint(slopes * 2.0**shift), np.rint(offsets * 2.0**shift)
    names = [state.constant(f"{node.name}.{key}", v.astype(np.int64)) for key, v in (("mul", mul), ("add", add))]
    return Value(state.emit(node, MultiplyShift(shift, op.lo, op.hi), (x.tensor, *names)), gain=scale)


def _clip(state: State, node: Node) -> None:
    op, x = node.op, state.operand(node, node.inputs[0])
    assert isinstance(op, Clip)
    state.values[node.name] = replace(x, curve=(*x.curve, Step(lambda values: np.clip(values, op.lo, op.hi), 1.0)))


def _prelu(state: State, node: Node) -> None:
    slopes, x = state.graph.constants[node.inputs[1]].astype(np.float64), state.operand(node, node.inputs[0])
    if (slopes < 0).any():
        state.fail(node, "has a slope below 0: its result is no function that only rises")
    column = slopes.reshape(-1, 1)
    step = Step(lambda values: np.where(values >= 0, values, values * column), None, slopes.size > 1)
    state.values[node.name] = replace(x, curve=(*x.curve, step))


def _average_pool(state: State, node: Node) -> None:
    """The sum of a window; its size goes into the scale. Where windows at the border have fewer values, sums are
    multiplied first so that all have the same number of them."""
    op = node.op
    assert isinstance(op, AveragePool2d)
    sums, size = SumPool2d(op.kernel, op.stride, op.padding), op.kernel[0] * op.kernel[1]
    uneven = any(op.padding) and not op.count_padding
    _sum_pool(state, replace(node, op=sums), "sums" if uneven else "")
    x = state.values[node.name]
    if uneven:
        inside = np.ones((1, *state.type_of(state.operand(node, node.inputs[0]).tensor).shape[1:]), np.int64)
        counts = sums.evaluate([inside])
        size = int(np.lcm.reduce(counts.ravel()))
        factors = state.constant(f"{node.name}.factors", size // counts)
        x = replace(x, tensor=state.emit(node, Multiply(), (x.tensor, factors)))
    state.values[node.name] = x.then(np.array([1 / size]), np.zeros(1))


def _multi_threshold(state: State, node: Node) -> None:
    op, x = node.op, state.operand(node, node.inputs[0])
    assert isinstance(op, MultiThreshold)
    table, first = state.graph.constants[node.inputs[1]], op.first or 0

    def levels(real: Array) -> Array:
        channels = max(len(real), len(table))
        rows = (np.broadcast_to(values, (channels, values.shape[1])) for values in (table, real))
        return np.stack([np.searchsorted(row, values, side="right") for row, values in zip(*rows, strict=True)]) + first

    if table.shape[1] == 1 and op.bipolar:
        tensor = x.tensor if x.raw else sign(state, node, x, levels)
        state.values[node.name] = Value(tensor, gain=np.array([op.gain / 2]))
        return
    tensor = x.tensor if x.raw else requantise(state, node, x, levels, np.array([op.gain]))
    offset = np.array([op.offset]) if op.first is None else None
    state.values[node.name] = Value(tensor, gain=np.array([op.gain]), offset=offset)


def centred(state: State, node: Node, x: Value, what: str) -> Value:
    """x without an offset: a whole number of steps is added to the integers; ModelError for any other."""
    if x.curve or not x.uniform:
        state.fail(node, f"{what} has to be quantised with one scale")
    if x.offset is None:
        return x
    steps = float(x.offset[0] / x.scales[0])
    if abs(steps - round(steps)) > NEAR * max(1.0, abs(steps)):
        state.fail(node, f"{what} has an offset of {steps} steps, which is no zero point")
    channels = state.type_of(x.tensor).shape[0]
    name = next(n for n in ("centred", "centred2") if f"{node.name}.{n}" not in state.types)
    zero = state.constant(f"{node.name}.{name}.zero", np.full(channels, round(steps), np.int64))
    return replace(x, tensor=state.emit(node, Add(), (x.tensor, zero), name), offset=None)


def convolution(state: State, node: Node) -> None:
    """Sums of integers; the scales of input and weights go on, per output channel."""
    op = node.op
    assert isinstance(op, Conv2d)
    x, w = state.operand(node, node.inputs[0]), state.operand(node, node.inputs[1])
    if w.tensor not in state.constants or w.curve or w.offset is not None:
        state.fail(node, "needs constant quantised weights")
    outputs = state.type_of(w.tensor).shape[0]
    depthwise = x.gain is not None and x.gain.size == op.groups and x.offset is None and not x.curve
    if depthwise:
        scales = np.repeat(x.scales, outputs // op.groups)
    else:
        x = centred(state, node, x, "its input")
        scales = x.scales
    bias = state.graph.constants[node.inputs[2]].astype(np.float64) if len(node.inputs) == 3 else None
    tensor = state.emit(node, op, (x.tensor, w.tensor))
    state.values[node.name] = Value(tensor, gain=one(w.scales * scales), offset=bias)


def _sum_pool(state: State, node: Node, step: str = "") -> None:
    op, x = node.op, state.operand(node, node.inputs[0])
    assert isinstance(op, SumPool2d)
    if x.curve or (x.offset is not None and any(op.padding)):
        state.fail(node, "needs a quantised input")
    offset = None if x.offset is None else x.offset * (op.kernel[0] * op.kernel[1])
    state.values[node.name] = replace(x, tensor=state.emit(node, op, (x.tensor,), step), offset=offset)


def max_pool(state: State, node: Node) -> None:
    """The map goes on behind the maximum where it does not fall."""
    x = state.operand(node, node.inputs[0])
    if x.raw or bool((x.scales <= 0).any()) or any(step.falls for step in x.curve):
        state.fail(node, "needs a quantised input, or one whose scale is above 0")
    state.values[node.name] = replace(x, tensor=state.emit(node, node.op, (x.tensor,)))


def _per_channel(state: State, node: Node) -> None:
    """What leaves channels where they are."""
    x = state.operand(node, node.inputs[0])
    state.values[node.name] = replace(x, tensor=state.emit(node, node.op, (x.tensor,)))


def moved(state: State, node: Node) -> None:
    """What mixes channels."""
    x = state.operand(node, node.inputs[0])
    if not x.uniform:
        state.fail(node, "needs a quantised input with one scale")
    state.values[node.name] = replace(x, tensor=state.emit(node, node.op, (x.tensor,)))


def _depth_to_space(state: State, node: Node) -> None:
    """The channels of a block share a scale and an offset."""
    op, x = node.op, state.operand(node, node.inputs[0])
    assert isinstance(op, DepthToSpace)
    if x.uniform or x.curve:
        return moved(state, node)
    channels, positions = state.type_of(x.tensor).shape[0], op.block**2

    def of_blocks(values: Array | None) -> Array | None:
        if values is None or values.size == 1:
            return values
        shape = (positions, channels // positions) if op.order == "dcr" else (channels // positions, positions)
        rows = values.reshape(shape) if op.order == "crd" else values.reshape(shape).T
        if (rows != rows[:, :1]).any():
            state.fail(node, "the channels that make a block need one scale")
        return np.asarray(rows[:, 0])

    tensor = state.emit(node, op, (x.tensor,))
    state.values[node.name] = replace(x, tensor=tensor, gain=of_blocks(x.gain), offset=of_blocks(x.offset))
    return None


def _pad(state: State, node: Node) -> None:
    op, x = node.op, state.operand(node, node.inputs[0])
    assert isinstance(op, Pad)
    x = centred(state, node, x, "its input")
    steps = float(op.value / x.scales[0])
    if x.raw or abs(steps - round(steps)) > NEAR:
        state.fail(node, f"pads with {op.value}, which is no value of its input")
    state.values[node.name] = replace(x, tensor=state.emit(node, replace(op, value=round(steps)), (x.tensor,)))


def _add(state: State, node: Node) -> None:
    """Integers of one scale are added; others are brought to a common one first (`_factors`)."""
    x, y = (state.operand(node, i) for i in node.inputs)
    if x.curve or y.curve or x.raw or y.raw:
        state.fail(node, "operands have to be quantised")
    ends = [max(abs(t.lo), abs(t.hi), 1) for t in (state.type_of(v.tensor) for v in (x, y))]
    first, second, unit = _factors(x.scales, y.scales, (ends[0], ends[1]))
    names = [_times(state, node, v, f, s) for v, f, s in ((x, first, "left"), (y, second, "right"))]
    offsets = [v.offset for v in (x, y) if v.offset is not None]
    offset = np.sum(np.broadcast_arrays(*offsets), axis=0) if offsets else None
    state.values[node.name] = Value(state.emit(node, Add(), (names[0], names[1])), gain=one(unit), offset=offset)


def _factors(x: Array, y: Array, ends: tuple[int, int]) -> tuple[Array, Array, Array]:
    """Integers per channel by which tensors of the scales x and y are multiplied, and the scale of their sum.

    The ratio of the factors is that of the scales where it is one of integers whose sums fit, as for scales of single
    precision and a few bits; else the best one of integers of up to 22 bits, ``p / q``. That is off by less than
    ``1 / (q * most)``, mostly about 2**-40 of a step: a sum is wrong only where it is that near to a tie.
    """
    most = max(1, min(LARGEST_FACTOR, LARGEST_SUM // sum(ends)))
    result = []
    for a, b in zip(*(v.tolist() for v in np.broadcast_arrays(x, y)), strict=True):
        small, large = sorted((a, b), key=abs)
        ratio = Fraction(small / large).limit_denominator(SMALL_FACTOR)
        if abs(float(ratio) - small / large) > EXACT * abs(small / large):
            exact = Fraction(small) / Fraction(large)
            of_small, of_large = ends if small == a else ends[::-1]
            reach = of_small * abs(exact.numerator) + of_large * exact.denominator
            ratio = exact if reach <= LARGEST_SUM else Fraction(small / large).limit_denominator(most)
        pair = {small: ratio.numerator, large: ratio.denominator}
        result.append((pair[a], pair[b], large / ratio.denominator))
    first, second, unit = (np.array(column) for column in zip(*result, strict=True))
    return first, second, unit


def _multiply(state: State, node: Node) -> None:
    """Products of integers, whose scale is the product of both."""
    x, y = (centred(state, node, state.operand(node, i), f"operand '{i}'") for i in node.inputs)
    if x.raw or y.raw:
        state.fail(node, "operands have to be quantised")
    tensor = state.emit(node, node.op, (x.tensor, y.tensor))
    state.values[node.name] = Value(tensor, gain=x.scales * y.scales)


def _times(state: State, node: Node, x: Value, factors: Array, step: str) -> str:
    if (factors == 1).all():
        return x.tensor
    type_ = state.type_of(x.tensor)
    whole = np.broadcast_to(factors, type_.shape[:1]).astype(np.int64)
    ends = [int(end * f) for end in (type_.lo, type_.hi) for f in (whole.min(), whole.max())]
    op = MultiplyShift(1, min(ends), max(*ends, min(ends) + 1))
    mul = state.constant(f"{node.name}.{step}.mul", 2 * whole)
    add = state.constant(f"{node.name}.{step}.add", np.zeros_like(whole))
    return state.emit(node, op, (x.tensor, mul, add), step)


RULES: Mapping[type[Op], Callable[[State, Node], None]] = {
    Add: _add,
    Affine: _affine,
    AveragePool2d: _average_pool,
    Clip: _clip,
    Curve: _curve,
    DepthToSpace: _depth_to_space,
    Dequantize: _dequantize,
    MaxPool2d: max_pool,
    MultiThreshold: _multi_threshold,
    Multiply: _multiply,
    PRelu: _prelu,
    Pad: _pad,
    Quantize: _quantize,
    Reshape: moved,
    Slice: moved,
    SumPool2d: _sum_pool,
    Transpose: moved,
    Upsample: _per_channel,
}
