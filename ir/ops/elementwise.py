"""Sums, products, clipping and the PReLU family: one result per element, exact integers, no rounding."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ir.ops.base import Op, Operand, need, per_channel
from ir.types import Array, DType, TensorType

Interval = tuple[int, int]

LIMIT = 1 << 62
"""Results keep below this magnitude, so that int64 holds every intermediate value."""


@dataclass(frozen=True)
class Add(Op):
    """``x + y`` with operands x and y of one shape, or integers x and a constant y (C,) with one number per channel."""

    def infer(self, operands: Sequence[Operand]) -> TensorType:
        if len(operands) == 2 and not all(operand.type.dtype.is_integer for operand in operands):
            shapes = [operand.type.shape for operand in operands]
            need(shapes[0] == shapes[1], f"y has shape {shapes[1]}, needs {shapes[0]}")
            return TensorType(shapes[0], DType("float", 64))
        x, y = _integers(operands, "x", "y")
        if y.value is None or y.type.shape == x.type.shape:
            need(y.type.shape == x.type.shape, f"y has shape {y.type.shape}, needs {x.type.shape}")
        else:
            _need_per_channel(x, "y", y)
        return _typed(x.type.shape, [(x.type.lo + y.type.lo, x.type.hi + y.type.hi)])

    def evaluate(self, values: Sequence[Array]) -> Array:
        real = any(v.dtype.kind == "f" for v in values)
        x, y = (v.astype(np.float64 if real else np.int64) for v in values)
        return x + (y if y.shape == x.shape else per_channel(y, x.ndim))


@dataclass(frozen=True)
class Multiply(Op):
    """``x * y`` with operands x (C, H, W) and y (C, H, W), (C, 1, 1) (a gate per channel) or (1, H, W) (per pixel)."""

    def infer(self, operands: Sequence[Operand]) -> TensorType:
        if len(operands) == 2 and not any(operand.type.dtype.is_integer for operand in operands):
            shapes = [operand.type.shape for operand in operands]
            need(shapes[0] == shapes[1], f"y has shape {shapes[1]}, needs {shapes[0]}")
            return TensorType(shapes[0], DType("float", 64))
        x, y = (operand.type for operand in _integers(operands, "x", "y"))
        need(len(x.shape) == 3, f"takes x (channels, height, width), got shape {x.shape}")
        allowed = (x.shape, (x.shape[0], 1, 1), (1, *x.shape[1:]))
        need(y.shape in allowed, f"y has shape {y.shape}, needs one of {', '.join(map(str, dict.fromkeys(allowed)))}")
        products = [a * b for a in (x.lo, x.hi) for b in (y.lo, y.hi)]
        return _typed(x.shape, [(min(products), max(products))])

    def evaluate(self, values: Sequence[Array]) -> Array:
        real = any(v.dtype.kind == "f" for v in values)
        x, y = (v.astype(np.float64 if real else np.int64) for v in values)
        return x * y


@dataclass(frozen=True)
class Clip(Op):
    """``min(max(x, lo), hi)``; ReLU is ``Clip(0, x.hi)``. The result has the narrowest type for what remains."""

    lo: int
    hi: int

    def infer(self, operands: Sequence[Operand]) -> TensorType:
        (x,) = _integers(operands, "x")
        need(self.lo < self.hi, f"range {self.lo}..{self.hi} is empty")
        lo, hi = (min(max(end, self.lo), self.hi) for end in (x.type.lo, x.type.hi))
        return _typed(x.type.shape, [(lo, hi)])

    def evaluate(self, values: Sequence[Array]) -> Array:
        return np.asarray(np.clip(values[0].astype(np.int64), self.lo, self.hi))


@dataclass(frozen=True)
class PRelu(Op):
    """``x << shift`` where x >= 0, else ``x * slope[c]``; operands x, slope (C,).

    That is PReLU with the real slope ``slope / 2**shift``, times ``2**shift``: the factor goes into the requantisation
    that follows, so nothing is rounded here.
    """

    shift: int = 0

    def infer(self, operands: Sequence[Operand]) -> TensorType:
        x, slope = _integers(operands, "x", "slope")
        _need_per_channel(x, "slope", slope)
        need(0 <= self.shift <= 62, f"shift must be 0..62, is {self.shift}")
        slopes = [int(a) for a in slope.constant]
        return _typed(x.type.shape, (_bent((x.type.lo, x.type.hi), a, self.shift) for a in slopes))

    def evaluate(self, values: Sequence[Array]) -> Array:
        x, slope = (v.astype(np.int64) for v in values)
        return np.where(x >= 0, x << np.int64(self.shift), x * per_channel(slope, x.ndim))


@dataclass(frozen=True)
class RPRelu(Op):
    """``PRelu(shift)(x + before[c], slope) + after[c]``; operands x, before (C,), slope (C,), after (C,).

    ReActNet's activation, which FracBNN uses too: x is shifted, bent and shifted again. ``after`` counts in the
    result's steps, ``2**-shift`` of those of x.
    """

    shift: int = 0

    def infer(self, operands: Sequence[Operand]) -> TensorType:
        x, before, slope, after = _integers(operands, "x", "before", "slope", "after")
        for name, operand in (("before", before), ("slope", slope), ("after", after)):
            _need_per_channel(x, name, operand)
        need(0 <= self.shift <= 62, f"shift must be 0..62, is {self.shift}")
        return _typed(x.type.shape, self._ranges(x.type, before.constant, slope.constant, after.constant))

    def _ranges(self, x: TensorType, *constants: Array) -> Iterator[Interval]:
        for before, slope, after in zip(*(c.tolist() for c in constants), strict=True):
            low, high = _bent((x.lo + before, x.hi + before), slope, self.shift)
            yield low + after, high + after

    def evaluate(self, values: Sequence[Array]) -> Array:
        x, before, slope, after = (v.astype(np.int64) for v in values)
        bent = PRelu(self.shift).evaluate((x + per_channel(before, x.ndim), slope))
        return bent + per_channel(after, x.ndim)


def _integers(operands: Sequence[Operand], *names: str) -> Sequence[Operand]:
    """The operands, if there is one integer tensor for each name."""
    need(len(operands) == len(names), f"takes {', '.join(names)}; got {len(operands)} operands")
    for name, operand in zip(names, operands, strict=True):
        need(operand.type.dtype.is_integer, f"takes integers, {name} is {operand.type}")
    return operands


def _need_per_channel(x: Operand, name: str, operand: Operand) -> None:
    need(operand.type.shape == x.type.shape[:1], f"{name} has shape {operand.type.shape}, needs one per channel")
    need(operand.value is not None, f"{name} must be a constant")


def _bent(x: Interval, slope: int, shift: int) -> Interval:
    """The range of PReLU over an interval: straight on either side of zero, so the ends and -1, 0 decide."""
    low, high = x
    ends = [v for v in (low, high, -1, 0) if low <= v <= high]
    values = [v << shift if v >= 0 else v * slope for v in ends]
    return min(values), max(values)


def _typed(shape: tuple[int, ...], ranges: Iterable[Interval]) -> TensorType:
    """The narrowest type for the union of the channels' ranges."""
    lows, highs = zip(*ranges, strict=True)
    lo, hi = min(lows), max(highs)
    need(lo > -LIMIT and hi < LIMIT, f"results in {lo}..{hi} exceed 63 bits")
    return TensorType.of_range(shape, lo, hi)
