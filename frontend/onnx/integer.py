"""Operators of integer networks: requantisation (`RequantShift`) and the integer forms of I-BERT's functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from frontend.onnx.builder import Builder, Value
from frontend.onnx.folding import cast_type
from frontend.onnx.model import OnnxNode
from frontend.onnx.pairs import plus_constant, times
from frontend.onnx.rule import Rule
from ir.ops import Clip, IntegerRmsNorm, IntegerSoftmax, Lookup, MultiplyShift
from ir.types import Array

LARGEST_TABLE = 1 << 16


def _number(b: Builder, node: OnnxNode, *names: str) -> int:
    """An attribute that is one whole number, by the first of its names that the node has."""
    name = next((n for n in names if n in node.attributes), None)
    if name is None:
        b.fail(node, f"has no attribute '{names[0]}'")
    found = np.ravel(np.asarray(node.attributes[name], np.float64))
    whole = found.size == 1 and bool(np.isfinite(found[0])) and found[0] == np.rint(found[0])
    b.require(node, whole and abs(found[0]) < 2.0**53, f"attribute '{name}' has to be one whole number")
    return int(found[0])


def _shift(b: Builder, node: OnnxNode, name: str) -> int:
    divisor = _number(b, node, name)
    power = divisor >= 1 and divisor & (divisor - 1) == 0
    b.require(node, power, f"attribute '{name}' is {divisor}, has to be a power of two")
    return divisor.bit_length() - 1


def _range(b: Builder, node: OnnxNode, signed: bool) -> tuple[int, int]:
    levels = _number(b, node, "n_levels_out", "n_levels")
    b.require(node, 2 <= levels <= 1 << 31, f"{levels} levels are out of bounds")
    return (-(levels // 2), (levels + 1) // 2 - 1) if signed else (0, levels - 1)


def _requant_shift(b: Builder, node: OnnxNode) -> None:
    """``clip((x * mul + add + div / 2) >> log2(div), lo, hi)``."""
    signed = bool(_number(b, node, "signed"))
    shift = _shift(b, node, "div")
    lo, hi = _range(b, node, signed)
    mul, add = (b.integers(node, b.constant(node, i), what) for i, what in ((1, "mul"), (2, "add")))
    x = b.value(node)
    x, vectors = b.per_channel(node, x, *(_per_channel_shape(v, x) for v in (mul, add)))
    b.define(node, _multiply_shift(b, node, x, vectors[0], vectors[1], shift, lo, hi))


def _per_channel_shape(values: Array, x: Value) -> Array:
    """One number per channel also where exporters leave (C, 1, 1) beside a tensor (1, C, L)."""
    rank = len(x.shape)
    trailing = values.ndim >= 2 and values.size == values.shape[-3 if values.ndim > 2 else -2] and rank == 3
    if trailing and values.size == x.shape[1] and values.shape[-1] == 1:
        return values.reshape(1, -1, 1)
    return values


def _multiply_shift(
    b: Builder, node: OnnxNode, x: Value, mul: Array, add: Array, shift: int, lo: int, hi: int
) -> Value:
    factor = 2 if shift == 0 else 1  # the graph's operator shifts by at least one bit
    return b.map(node, MultiplyShift(max(shift, 1), lo, hi), x, mul=mul * factor, add=add * factor)


def lookup(b: Builder, node: OnnxNode, x: Value, function: Callable[[Array], Array]) -> Value:
    """``function`` of every value that x may take, as a table."""
    type_ = b.types[x.tensor]
    b.require(node, type_.hi - type_.lo < LARGEST_TABLE, f"x is {type_}: more values than a table of {LARGEST_TABLE}")
    table = function(np.arange(type_.lo, type_.hi + 1, dtype=np.int64))
    return b.map(node, Lookup(type_.lo), x, table=table)


def _hardswish(b: Builder, node: OnnxNode) -> None:
    """``x * clip(x + three, 0, six) * one_over_six``."""
    three, six, sixth = (_number(b, node, name) for name in ("three", "six", "one_over_six"))
    b.define(node, lookup(b, node, b.value(node), lambda x: x * np.clip(x + three, 0, six) * sixth))


def _true_integer_div(b: Builder, node: OnnxNode) -> None:
    """``floor(x * Delta * eta / (y * eta + eps))``."""
    delta, eta, eps, y = (_number(b, node, name) for name in ("Delta", "eta", "eps", "y"))
    divisor = y * eta + eps
    b.require(node, divisor > 0, f"divides by {divisor}, has to be above 0")

    def quotient(values: Array) -> Array:
        return np.array([v * delta * eta // divisor for v in values.tolist()], np.int64)

    b.define(node, lookup(b, node, b.value(node), quotient))


def _softmax(b: Builder, node: OnnxNode) -> None:
    b_, c, log2, levels = (_number(b, node, name) for name in ("coeffB", "coeffC", "log2", "n_levels"))
    b.require(node, _number(b, node, "coeffA") == 1, "coeffA has to be 1")
    x = b.value(node)
    x = b.arranged(node, x, _last_first(x))
    b.define(node, b.map(node, IntegerSoftmax(b_, c, log2, levels), x))


def _rms_norm(b: Builder, node: OnnxNode) -> None:
    x = b.value(node)
    x = b.arranged(node, x, _last_first(x))
    weight = b.integers(node, b.constant(node, 1), "weight")
    lo, hi = _range(b, node, True)
    op = IntegerRmsNorm(_shift(b, node, "D"), lo, hi)
    b.define(node, b.map(node, op, x, weight=np.ravel(weight)))


def _last_first(x: Value) -> tuple[int, ...]:
    last = len(x.shape) - 1
    return (last, *(axis for axis in range(last) if x.shape[axis] > 1))


def _no_norm(b: Builder, node: OnnxNode) -> None:
    """``clip((x * weight + bias) * mul >> log2(D), lo, hi)``: no rounding but that of the shift."""
    x, shift = b.value(node), _shift(b, node, "D")
    weight, bias = (b.integers(node, b.constant(node, i), what) for i, what in ((1, "weight"), (2, "bias")))
    lo, hi = _range(b, node, True)
    scaled = times(b, node, x, weight, name="scaled")
    tensor = plus_constant(b, node, scaled.tensor, b.laid_out(node, scaled, bias))
    channels = b.types[tensor].shape[0]
    mul, half = _number(b, node, "mul"), (1 << (shift - 1)) if shift else 0
    y = Value(tensor, x.shape, x.axes)
    b.define(node, _multiply_shift(b, node, y, np.full(channels, mul), np.full(channels, -half), shift, lo, hi))


def _cast(b: Builder, node: OnnxNode) -> None:
    x, dtype = b.value(node), cast_type(b, node)
    type_ = b.types[x.tensor]
    if dtype.kind in "iu":
        info = np.iinfo(dtype.name)
        b.require(node, info.min <= type_.lo and type_.hi <= info.max, f"casts {type_} to {dtype}, which wraps")
    b.require(node, dtype.kind in "iuf", f"casts to {dtype}")
    b.define(node, x)


def _relu(b: Builder, node: OnnxNode) -> None:
    _clipped(b, node, 0.0, np.inf)


def _clip(b: Builder, node: OnnxNode) -> None:
    given = [
        float(np.ravel(b.constant(node, i, np.asarray(node.attributes.get(key, end))))[0])
        for i, key, end in ((1, "min", -np.inf), (2, "max", np.inf))
    ]
    b.require(node, given[0] <= given[1], f"range {given[0]}..{given[1]} is empty")
    _clipped(b, node, *given)


def _clipped(b: Builder, node: OnnxNode, lo: float, hi: float) -> None:
    x = b.value(node)
    type_ = b.types[x.tensor]
    ends = [int(min(max(end, type_.lo - 1), type_.hi + 1)) for end in (np.ceil(lo), np.floor(hi))]
    if ends[0] <= type_.lo and ends[1] >= type_.hi:
        return b.define(node, x)
    b.require(node, ends[0] < ends[1], f"of x {type_} one value would remain")
    return b.define(node, b.map(node, Clip(*ends), x))


RULES: Mapping[str, Rule] = {
    "Cast": _cast,
    "Clip": _clip,
    "Relu": _relu,
    "RequantShift": _requant_shift,
    "TrueIntegerDiv": _true_integer_div,
    "iHardswish": _hardswish,
    "iNoNorm": _no_norm,
    "iRMSNorm": _rms_norm,
    "iSoftmax": _softmax,
}
