"""Per-channel maps: batch norm and fake quantisation before freezing; multiply-shift, thresholds and sign after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ir.ops.base import Op, Operand, need, per_channel
from ir.types import Array, DType, TensorType


@dataclass(frozen=True)
class BatchNorm(Op):
    """``gamma * (x - mean) / s + beta`` with operands x, gamma, beta, mean, var.

    ``s`` is ``sqrt(var + eps)``; with ``eps_outside`` it is ``sqrt(var) + eps``, as the UltraNet family does in its
    published integer form.
    """

    eps: float = 1e-5
    eps_outside: bool = False

    def infer(self, operands: Sequence[Operand]) -> TensorType:
        need(len(operands) == 5, f"takes x, gamma, beta, mean, var; got {len(operands)} operands")
        channels = operands[0].type.shape[0]
        for name, operand in zip(("gamma", "beta", "mean", "var"), operands[1:], strict=True):
            need(operand.type.shape == (channels,), f"{name} has shape {operand.type.shape}, needs ({channels},)")
        return TensorType(operands[0].type.shape, DType("float", 64))

    def affine(self, gamma: Array, beta: Array, mean: Array, var: Array) -> tuple[Array, Array]:
        """The map as ``x * scale + offset``, per channel, in float64."""
        variance = var.astype(np.float64)
        deviation = np.sqrt(variance) + self.eps if self.eps_outside else np.sqrt(variance + self.eps)
        with np.errstate(all="ignore"):  # what is not finite is refused where it is used
            scale = gamma.astype(np.float64) / deviation
        return scale, beta.astype(np.float64) - mean.astype(np.float64) * scale

    def evaluate(self, values: Sequence[Array]) -> Array:
        x = values[0].astype(np.float64)
        scale, offset = self.affine(*values[1:])
        return x * per_channel(scale, x.ndim) + per_channel(offset, x.ndim)


@dataclass(frozen=True)
class Scaled(Op):
    """``x / steps``: the real values that an integer input stands for."""

    steps: float

    def infer(self, operands: Sequence[Operand]) -> TensorType:
        need(len(operands) == 1, f"takes one operand, got {len(operands)}")
        need(operands[0].type.dtype.is_integer, "takes integers")
        need(self.steps > 0 and np.isfinite(self.steps), f"steps must be positive and finite, is {self.steps}")
        return TensorType(operands[0].type.shape, DType("float", 64))

    def evaluate(self, values: Sequence[Array]) -> Array:
        return values[0].astype(np.float64) / self.steps


@dataclass(frozen=True)
class FakeQuantize(Op):
    """``clip(rint(x * steps), lo, hi) / steps``: the float image of an integer; ``steps`` levels make up 1.0.

    Ties go to even. QONNX's Quant with scale s is ``steps = 1 / s``.
    """

    steps: float
    lo: int
    hi: int

    def infer(self, operands: Sequence[Operand]) -> TensorType:
        need(len(operands) == 1, f"takes one operand, got {len(operands)}")
        need(self.steps > 0 and np.isfinite(self.steps), f"steps must be positive and finite, is {self.steps}")
        need(self.lo < self.hi, f"range {self.lo}..{self.hi} is empty")
        return TensorType(operands[0].type.shape, DType("float", 64))

    def integers(self, x: Array) -> Array:
        """The integer behind the fake-quantised value."""
        return np.clip(np.rint(x.astype(np.float64) * self.steps), self.lo, self.hi).astype(np.int64)

    def evaluate(self, values: Sequence[Array]) -> Array:
        return self.integers(values[0]) / self.steps


@dataclass(frozen=True)
class MultiplyShift(Op):
    """``clip((x * mul[c] + add[c] + 2**(shift-1)) >> shift, lo, hi)`` with operands x, mul (C,), add (C,)."""

    shift: int
    lo: int
    hi: int

    def infer(self, operands: Sequence[Operand]) -> TensorType:
        need(len(operands) == 3, f"takes x, mul, add; got {len(operands)} operands")
        x, mul, add = operands
        need(all(operand.type.dtype.is_integer for operand in operands), "takes integers")
        need(1 <= self.shift <= 62, f"shift must be 1..62, is {self.shift}")
        need(self.lo < self.hi, f"range {self.lo}..{self.hi} is empty")
        for name, operand in (("mul", mul), ("add", add)):
            need(
                operand.type.shape == x.type.shape[:1], f"{name} has shape {operand.type.shape}, needs one per channel"
            )
        lowest, highest = self.product_range(x.type, mul.constant, add.constant)
        need(lowest > -(1 << 62) and highest < 1 << 62, "x * mul + add exceeds 63 bits")
        clipped = [min(max((v + (1 << (self.shift - 1))) >> self.shift, self.lo), self.hi) for v in (lowest, highest)]
        return TensorType(x.type.shape, DType.holding(self.lo, self.hi), clipped[0], clipped[1])

    def product_range(self, x: TensorType, mul: Array, add: Array) -> tuple[int, int]:
        """The extremes of ``x * mul[c] + add[c]`` over all channels (exact Python integers)."""
        ends = [v * int(m) + int(a) for m, a in zip(mul, add, strict=True) for v in (x.lo, x.hi)]
        return min(ends), max(ends)

    def evaluate(self, values: Sequence[Array]) -> Array:
        x, mul, add = (v.astype(np.int64) for v in values)
        half = np.int64(1 << (self.shift - 1))
        scaled = (x * per_channel(mul, x.ndim) + per_channel(add, x.ndim) + half) >> np.int64(self.shift)
        return np.asarray(np.clip(scaled, self.lo, self.hi))


@dataclass(frozen=True)
class Thresholds(Op):
    """``offset + #{t : x >= table[c, t]}``, or ``<=`` where ``rising[c]`` is 0; operands x, table (C, N), rising (C,).

    N thresholds give N + 1 levels. A falling channel counts the thresholds at or above x: that is what a multiply-shift
    with a negative multiplier becomes.
    """

    offset: int = 0

    def infer(self, operands: Sequence[Operand]) -> TensorType:
        need(len(operands) == 3, f"takes x, table, rising; got {len(operands)} operands")
        x, table, rising = (operand.type for operand in operands)
        need(all(t.dtype.is_integer for t in (x, table, rising)), "takes integers")
        need(len(table.shape) == 2 and table.shape[0] == x.shape[0], f"table has shape {table.shape}, needs (C, N)")
        need(rising.shape == x.shape[:1], f"rising has shape {rising.shape}, needs one per channel")
        ends = [np.full(x.shape[:1], end) for end in (x.lo, x.hi)]
        levels = [self.evaluate([end, operands[1].constant, operands[2].constant]) for end in ends]
        dtype = DType.holding(self.offset, self.offset + table.shape[1])
        return TensorType(x.shape, dtype, int(np.min(levels)), int(np.max(levels)))

    def evaluate(self, values: Sequence[Array]) -> Array:
        x, table, rising = (v.astype(np.int64) for v in values)
        result = np.empty(x.shape, np.int64)
        for c, row in enumerate(np.sort(table, axis=1)):
            below = np.searchsorted(row, x[c], side="right" if rising[c] else "left")
            result[c] = below if rising[c] else len(row) - below
        return result + self.offset


@dataclass(frozen=True)
class Sign(Op):
    """``+1 if x >= threshold[c] else -1``, or ``<=`` where ``rising[c]`` is 0; operands x, threshold (C,), rising (C,).

    The bipolar activation of a binary network: one threshold with the levels -1 and +1.
    """

    def infer(self, operands: Sequence[Operand]) -> TensorType:
        need(len(operands) == 3, f"takes x, threshold, rising; got {len(operands)} operands")
        x, threshold, rising = (operand.type for operand in operands)
        need(all(t.dtype.is_integer for t in (x, threshold, rising)), "takes integers")
        for name, type_ in (("threshold", threshold), ("rising", rising)):
            need(type_.shape == x.shape[:1], f"{name} has shape {type_.shape}, needs one per channel")
        ends = [np.full(x.shape[:1], end) for end in (x.lo, x.hi)]
        signs = [self.evaluate([end, operands[1].constant, operands[2].constant]) for end in ends]
        return TensorType(x.shape, DType("bipolar", 1), int(np.min(signs)), int(np.max(signs)))

    def evaluate(self, values: Sequence[Array]) -> Array:
        x, threshold, rising = (v.astype(np.int64) for v in values)
        bound = per_channel(threshold, x.ndim)
        up = per_channel(rising, x.ndim).astype(bool)
        return np.where(np.where(up, x >= bound, x <= bound), 1, -1)
