"""Maps of real values before freezing: affine, curved, quantised with any scale, zero point and rounding."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ir import functions
from ir.ops.base import Op, Operand, float_type, need, per_channel
from ir.rounding import ROUNDINGS
from ir.types import Array, DType, TensorType

CURVES: Mapping[str, Callable[[Array, float, float], Array]] = {
    "relu": lambda x, a, b: np.where(x < 0, 0.0, x),
    "clip": lambda x, a, b: functions.clip(x, a, b),
    "leaky": lambda x, a, b: np.where(x >= 0, x, a * x),
    "elu": lambda x, a, b: np.where(x >= 0, x, a * functions.expm1(np.where(x < 0, x, 0.0))),
    "erf": lambda x, a, b: functions.erf(x),
    "exp": lambda x, a, b: functions.exp(x),
    "hardsigmoid": lambda x, a, b: functions.clip(a * x + b, 0.0, 1.0),
    "sigmoid": lambda x, a, b: functions.sigmoid(x),
    "softplus": lambda x, a, b: functions.softplus(x),
    "softsign": lambda x, a, b: x / (1.0 + np.abs(x)),
    "tanh": lambda x, a, b: functions.tanh(x),
    "sign": lambda x, a, b: np.where(x > 0, 1.0, np.where(x < 0, -1.0, x)),
    "floor": lambda x, a, b: np.floor(x),
    "ceil": lambda x, a, b: np.ceil(x),
    "rint": lambda x, a, b: np.rint(x),
}
"""Functions of one value that do not fall (``leaky`` and ``elu`` where a is not negative), by name."""

FALLING_CURVES: Mapping[str, Callable[[Array, float, float], Array]] = {
    "abs": lambda x, a, b: np.abs(x),
    "gelu": lambda x, a, b: 0.5 * x * (1.0 + functions.erf(x * functions.SQRT_HALF)),
    "hardswish": lambda x, a, b: x * functions.clip(x / 6.0 + 0.5, 0.0, 1.0),
    "log": lambda x, a, b: functions.log(x),
    "reciprocal": lambda x, a, b: 1.0 / x,
    "sqrt": lambda x, a, b: functions.sqrt(x),
    "square": lambda x, a, b: x * x,
    "swish": lambda x, a, b: x * functions.sigmoid(a * x),
}
"""Functions that fall somewhere, or are not defined everywhere."""


def _per_channel_or_one(operands: Sequence[Operand], *names: str) -> TensorType:
    need(len(operands) == len(names) + 1, f"takes x, {', '.join(names)}; got {len(operands)} operands")
    x = operands[0].type
    for name, operand in zip(names, operands[1:], strict=True):
        need(operand.type.shape in ((1,), x.shape[:1]), f"{name} has shape {operand.type.shape}, needs one per channel")
        need(bool(np.isfinite(operand.constant).all()), f"{name} is not finite")
    return TensorType(x.shape, DType("float", 64))


@dataclass(frozen=True)
class Affine(Op):
    """``x * scale[c] + offset[c]`` with operands x, scale (C,), offset (C,).

    x may hold integers: it is how a picture becomes real values, and a batch norm that is folded into no convolution.
    """

    def infer(self, operands: Sequence[Operand]) -> TensorType:
        _per_channel_or_one(operands, "scale", "offset")
        shape = operands[0].type.shape
        shapes = [operand.type.shape for operand in operands[1:]]
        need(shapes == [shape[:1]] * 2, f"scale and offset have shapes {shapes}, need one per channel")
        need(not all(o.type.dtype.is_integer for o in operands), "x, scale or offset must be floats")
        return float_type(shape, operands)

    def evaluate(self, values: Sequence[Array]) -> Array:
        x, scale, offset = (v.astype(np.float64) for v in values)
        return x * per_channel(scale, x.ndim) + per_channel(offset, x.ndim)


@dataclass(frozen=True)
class Curve(Op):
    """A function of `CURVES` or `FALLING_CURVES`, value by value, with its parameters ``a`` and ``b``."""

    name: str
    a: float = 0.0
    b: float = 0.0

    def infer(self, operands: Sequence[Operand]) -> TensorType:
        need(len(operands) == 1, f"takes one operand, got {len(operands)}")
        known = {**CURVES, **FALLING_CURVES}
        need(self.name in known, f"'{self.name}' is unknown (allowed: {', '.join(known)})")
        need(self.name not in ("leaky", "elu", "hardsigmoid") or self.a >= 0, f"{self.name} falls: a is {self.a}")
        need(self.name != "clip" or self.a <= self.b, f"range {self.a}..{self.b} is empty")
        x = operands[0].type
        return TensorType(x.shape, DType("float", 64)) if x.dtype.is_integer else float_type(x.shape, operands)

    def evaluate(self, values: Sequence[Array]) -> Array:
        function = CURVES.get(self.name) or FALLING_CURVES[self.name]
        with np.errstate(all="ignore"):  # what has no value is no number
            return np.asarray(function(values[0].astype(np.float64), self.a, self.b))


@dataclass(frozen=True)
class Dequantize(Op):
    """``integers * scale[o]``; operands constant integers (O, ...), scale (O,): quantised weights."""

    def infer(self, operands: Sequence[Operand]) -> TensorType:
        need(operands[0].type.dtype.is_integer, "takes integers")
        return _per_channel_or_one(operands, "scale")

    def evaluate(self, values: Sequence[Array]) -> Array:
        return values[0] * per_channel(values[1].astype(np.float64), values[0].ndim)


@dataclass(frozen=True)
class Quantize(Op):
    """``(clip(round(x / scale[c] + zero), lo, hi) - zero) * scale[c]``: the real image of an integer; operands x,
    scale (C,) or (1,). ``rounding`` is one of `ROUNDINGS`.

    That is QONNX's Quant, and ONNX's QuantizeLinear with the DequantizeLinear behind it.
    """

    lo: int
    hi: int
    zero: int = 0
    rounding: str = "ROUND"

    def infer(self, operands: Sequence[Operand]) -> TensorType:
        type_ = _per_channel_or_one(operands, "scale")
        need(bool((operands[1].constant > 0).all()), "scale has to be above 0")
        need(self.lo < self.hi, f"range {self.lo}..{self.hi} is empty")
        need(self.rounding in ROUNDINGS, f"rounding '{self.rounding}' is unknown (allowed: {', '.join(ROUNDINGS)})")
        return type_

    def integers(self, x: Array, scale: Array) -> Array:
        """The integers less ``zero``, for scale of x's rank."""
        clipped = np.clip(x.astype(np.float64) / scale + self.zero, self.lo, self.hi)
        clipped = np.where(np.isnan(clipped), self.lo, clipped)
        return np.asarray(ROUNDINGS[self.rounding](clipped).astype(np.int64) - self.zero)

    def evaluate(self, values: Sequence[Array]) -> Array:
        scale = per_channel(values[1].astype(np.float64), values[0].ndim)
        return self.integers(values[0], scale) * scale


@dataclass(frozen=True)
class MultiThreshold(Op):
    """``gain * #{t : x >= table[c, t]} + offset`` with operands x, table (C, N) or (1, N) of real values, rising."""

    gain: float = 1.0
    offset: float = 0.0

    def infer(self, operands: Sequence[Operand]) -> TensorType:
        need(len(operands) == 2, f"takes x and table; got {len(operands)} operands")
        x, table = operands[0].type, operands[1]
        fits = len(table.type.shape) == 2 and table.type.shape[0] in (1, x.shape[0])
        need(fits, f"table has shape {table.type.shape}, needs (C, N)")
        need(not np.isnan(table.constant).any(), "table holds values that are no numbers")
        need(self.gain > 0, f"gain has to be above 0, is {self.gain}")
        return TensorType(x.shape, DType("float", 64))

    @property
    def bipolar(self) -> bool:
        """Whether two levels are ``-gain / 2`` and ``gain / 2``."""
        return self.offset == -self.gain / 2

    @property
    def first(self) -> int | None:
        """The lowest level in steps of ``gain``, where that is a whole number."""
        steps = self.offset / self.gain
        return int(steps) if steps == int(steps) else None

    def levels(self, x: Array, table: Array) -> Array:
        """How many thresholds each value reaches."""
        count = np.zeros(x.shape, np.int64)
        for t in range(table.shape[1]):
            count += x >= per_channel(table[:, t], x.ndim)
        return count

    def evaluate(self, values: Sequence[Array]) -> Array:
        return self.gain * self.levels(values[0].astype(np.float64), values[1]) + self.offset
