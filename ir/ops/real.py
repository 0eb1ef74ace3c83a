"""What networks of integers compute in reals between two quantisers (`ir.kinds.is_fallback`): in binary64, one
operation after another in a stated order, so that every executor has the same bits and the integers behind it are
exact."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ir import functions
from ir.ops.base import Op, Operand, float_type, need, per_channel
from ir.rounding import ROUNDINGS
from ir.types import Array, TensorType

PAIRS: Mapping[str, Callable[[Array, Array], Array]] = {
    "add": lambda x, y: x + y,
    "subtract": lambda x, y: x - y,
    "multiply": lambda x, y: x * y,
    "divide": lambda x, y: x / y,
    "smaller": lambda x, y: np.where(x < y, x, y),
    "larger": lambda x, y: np.where(x > y, x, y),
}
"""Functions of two values, by name."""


def _reals(operands: Sequence[Operand], count: int) -> list[tuple[int, ...]]:
    """The shapes of so many tensors (C, H, W) of floats."""
    need(len(operands) == count, f"takes {count} operands, got {len(operands)}")
    for operand in operands:
        real = operand.type.dtype.kind == "float" and len(operand.type.shape) == 3
        need(real, f"takes floats (channels, height, width), got {operand.type}")
    return [operand.type.shape for operand in operands]


@dataclass(frozen=True)
class Arithmetic(Op):
    """A function of `PAIRS` of x and y, each (C, H, W) with extents of 1 wherever it is the same for all."""

    name: str

    def infer(self, operands: Sequence[Operand]) -> TensorType:
        x, y = _reals(operands, 2)
        need(self.name in PAIRS, f"'{self.name}' is unknown (allowed: {', '.join(PAIRS)})")
        need(all(1 in (a, b) or a == b for a, b in zip(x, y, strict=True)), f"shapes {x} and {y} do not broadcast")
        return float_type(tuple(np.broadcast_shapes(x, y)), operands)

    def evaluate(self, values: Sequence[Array]) -> Array:
        x, y = (v.astype(np.float64) for v in values)
        with np.errstate(all="ignore"):
            return np.asarray(PAIRS[self.name](x, y))


@dataclass(frozen=True)
class Reduce(Op):
    """The sum or the largest value along ``axes`` of x (C, H, W), whose extents become 1: row by row, pixel by pixel,
    channel by channel, as the elements lie in memory."""

    kind: Literal["sum", "largest"]
    axes: tuple[int, ...]

    def infer(self, operands: Sequence[Operand]) -> TensorType:
        (x,) = _reals(operands, 1)
        need(self.kind in ("sum", "largest"), f"'{self.kind}' is unknown (allowed: sum, largest)")
        need(len(set(self.axes)) == len(self.axes) > 0 and set(self.axes) <= {0, 1, 2}, f"axes {self.axes} of three")
        return float_type(tuple(1 if axis in self.axes else n for axis, n in enumerate(x)), operands)

    def evaluate(self, values: Sequence[Array]) -> Array:
        x = values[0].astype(np.float64)
        order = [axis for axis in (1, 2, 0) if axis in self.axes]
        kept = [axis for axis in range(3) if axis not in self.axes]
        rows = x.transpose(*kept, *order).reshape(*(x.shape[axis] for axis in kept), -1)
        found = rows.max(axis=-1) if self.kind == "largest" else functions.total(rows, rows.ndim - 1)
        return np.asarray(found.reshape([1 if axis in self.axes else n for axis, n in enumerate(x.shape)]))


POSITIONS: Mapping[str, Callable[[Array, int, int], Array]] = {
    "half_pixel": lambda i, n, m: (i + 0.5) * n / m - 0.5,
    "pytorch_half_pixel": lambda i, n, m: (i + 0.5) * n / m - 0.5 if m > 1 else 0.0 * i,
    "align_corners": lambda i, n, m: i * (n - 1) / (m - 1) if m > 1 else 0.0 * i,
    "asymmetric": lambda i, n, m: i * n / m,
}
"""Where pixel i of m lies among n: the coordinate transformation modes of ONNX's Resize."""


@dataclass(frozen=True)
class Interpolate(Op):
    """x (C, H, W) -> (C, height, width), bilinear: ``left * (1 - w) + right * w`` in the row above and in that below,
    and the same of these two. ``mode`` is one of `POSITIONS`; pixels beside the picture are its outermost ones."""

    height: int
    width: int
    mode: str = "half_pixel"

    def infer(self, operands: Sequence[Operand]) -> TensorType:
        (x,) = _reals(operands, 1)
        need(self.mode in POSITIONS, f"'{self.mode}' is unknown (allowed: {', '.join(POSITIONS)})")
        need(min(self.height, self.width) >= 1, f"{self.height}x{self.width} is no extent")
        return float_type((x[0], self.height, self.width), operands)

    def taps(self, source: int, target: int) -> tuple[Array, Array, Array]:
        """(first, second, weight of the second) source pixel of each target pixel along an axis."""
        at = POSITIONS[self.mode](np.arange(target, dtype=np.float64), source, target)
        at = np.clip(at, 0.0, source - 1.0)
        first = np.floor(at).astype(np.int64)
        return first, np.minimum(first + 1, source - 1), at - first

    def evaluate(self, values: Sequence[Array]) -> Array:
        x = values[0].astype(np.float64)
        above, below, down = self.taps(x.shape[1], self.height)
        left, right, across = self.taps(x.shape[2], self.width)

        def row(rows: Array) -> Array:
            return np.asarray(x[:, rows][:, :, left] * (1.0 - across) + x[:, rows][:, :, right] * across)

        column = down[:, None]
        return np.asarray(row(above) * (1.0 - column) + row(below) * column)


@dataclass(frozen=True)
class ToInteger(Op):
    """``round(clip(x / scale[c] + zero, lo, hi)) - zero`` as an integer; operands x (C, H, W) of reals and a constant
    scale (C,). What is no number becomes the least one. ``rounding`` is one of `ROUNDINGS`."""

    lo: int
    hi: int
    zero: int = 0
    rounding: str = "ROUND"

    def infer(self, operands: Sequence[Operand]) -> TensorType:
        need(len(operands) == 2, f"takes x and scale, got {len(operands)} operands")
        (shape,), scale = _reals(operands[:1], 1), operands[1]
        need(scale.type.shape == shape[:1], f"scale has shape {scale.type.shape}, needs one per channel")
        need(bool((scale.constant > 0).all()), "scale has to be above 0")
        need(self.rounding in ROUNDINGS, f"rounding '{self.rounding}' is unknown (allowed: {', '.join(ROUNDINGS)})")
        return TensorType.of_range(shape, self.lo - self.zero, self.hi - self.zero)

    def evaluate(self, values: Sequence[Array]) -> Array:
        x, scale = (v.astype(np.float64) for v in values)
        moved = x / per_channel(scale, x.ndim) + self.zero
        within = np.where(moved >= self.lo, np.minimum(moved, self.hi), self.lo)
        return ROUNDINGS[self.rounding](within).astype(np.int64) - self.zero
