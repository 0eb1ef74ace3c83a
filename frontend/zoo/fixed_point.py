"""Real values of a network as fixed-point integers: what stands between integer operators, frozen in float64."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from frontend.errors import ModelError
from frontend.zoo.integers import Builder
from ir.ops import Add, MultiplyShift, SumPool2d
from ir.types import Array, TensorType

PORTS = (27, 18)
"""Bits of a multiplier's two signed operands (AMD UG579, DSP48E2): what one of them leaves the multipliers may have, so
that a product costs one block. CPUs compute them in 64 bits."""
SUM_BITS = 47
"""Products with what is added to them stay below two to this power: the block's accumulator."""
LIMIT = 1 << 29
"""Where nothing else bounds them, results saturate here, so that sums of a few of them keep to signed 32 bits."""
POOLED = 1 << 30
"""Sums of pixels stay below: an accelerator's pooling takes 31 bits."""


@dataclass(frozen=True, eq=False)
class Affine:
    """``x * gain + offset`` per channel, in float64: a batch norm, a bias, an average's division."""

    gain: Array
    offset: Array


@dataclass(frozen=True, eq=False)
class Grid:
    """What integers stand for: n is the real number ``(n + origin) / steps``; the steps may differ by channel.

    An origin of 1/2 makes rounding down what rounding to the nearest is with 0: no real number changes sides of a
    multiple of ``1 / steps``, which a threshold may be.
    """

    steps: float | Array = 1.0
    origin: float = 0.0

    def of_sum(self, count: int) -> Grid:
        """That of sums of ``count`` such integers, which stand for their mean."""
        return Grid(self.steps * count, self.origin * count)

    def twice(self) -> Grid:
        """That of channels next to a copy of themselves."""
        return Grid(np.tile(self.steps, 2), self.origin)


def signed(bits: int) -> tuple[int, int]:
    """The ends of two's complement."""
    return -(1 << (bits - 1)), (1 << (bits - 1)) - 1


def scaled(
    b: Builder, name: str, x: str, map_: Affine, grids: tuple[Grid, Grid], ends: tuple[int, int] | None = None
) -> str:
    """The affine map as a multiply-shift; ``grids`` are those of x and of the result, which saturates at ``ends``.

    The shift is the largest that `PORTS` and `SUM_BITS` allow, so the multipliers are as exact as they can be. Raises
    ModelError where a gain or offset leaves no room at all.
    """
    gain, offset = _integer_map(map_, grids)
    shift = _shift(name, b.types[x], map_, gain, offset)
    mul, add = (np.rint(v * 2.0**shift).astype(np.int64) for v in (gain, offset))
    op = MultiplyShift(shift, *(ends or _reached(gain, offset, b.types[x])))
    return b.add(name, op, x, mul=mul, add=add)


def carried(
    b: Builder, name: str, x: str, map_: Affine, grids: tuple[Grid, Grid], ends: tuple[int, int]
) -> tuple[str, Grid]:
    """`scaled` with its result's grid, whose steps take up what rounding the multipliers changes, so that nothing does.

    The steps differ from those asked for by as much as multipliers are rounded.
    """
    gain, offset = _integer_map(map_, grids)
    shift = _shift(name, b.types[x], map_, gain, offset)
    mul = np.rint(gain * 2.0**shift)
    kept = mul != 0
    steps = grids[1].steps * np.where(kept, mul, 1) / np.where(kept, gain * 2.0**shift, 1)
    target = Grid(steps, grids[1].origin)
    _, offset = _integer_map(map_, (grids[0], target))
    add = np.rint(offset * 2.0**shift)
    op = MultiplyShift(shift, *ends)
    return b.add(name, op, x, mul=mul.astype(np.int64), add=add.astype(np.int64)), target


def bent(
    b: Builder, name: str, x: str, map_: Affine, slopes: tuple[Array, Array], after: Array, grids: tuple[Grid, Grid]
) -> str:
    """``t * slope + after`` with ``t = x * gain + offset``, the slope by t's sign: (below zero, from zero on).

    PReLU has slopes (a, 1), RPReLU and DPReLU have shifts on either side. It is a line, t times the first slope, plus a
    corner, t times what the slope grows by, which clipping cuts off below zero: two products, neither wider than x
    and its multiplier are, where a PReLU of a wide t has to be wider than 32 bits. Where a slope falls instead, the
    corner is negative: clipping cuts the other side, and the line is moved by the clip's upper end.
    """
    source, target = grids
    below, above = slopes
    turn = above - below
    corner = Affine(turn * map_.gain, turn * map_.offset)
    gain, offset = _integer_map(corner, (source, Grid(target.steps)))
    type_ = b.types[x]
    reach = np.max([np.sign(turn) * (gain * end + offset) for end in (type_.lo, type_.hi)])
    high = int(np.clip(np.ceil(reach), 1, LIMIT))
    moved = np.where(turn < 0, high / target.steps, 0.0)
    line = Affine(below * map_.gain, below * map_.offset + after - moved)
    corner = Affine(corner.gain, corner.offset + moved)
    parts = (
        scaled(b, f"{name}_line", x, line, (source, target)),
        scaled(b, f"{name}_corner", x, corner, (source, Grid(target.steps)), (0, high)),
    )
    return b.add(name, Add(), *parts)


def mean(b: Builder, name: str, x: str, grids: tuple[Grid, Grid], ends: tuple[int, int]) -> str:
    """The mean over each channel's pixels; where their sum is too wide, of the means of the columns."""
    channels, rows, columns = b.types[x].shape
    grid, type_ = grids[0], b.types[x]
    same = Affine(np.ones(channels), np.zeros(channels))
    if max(-type_.lo, type_.hi) * rows * columns > POOLED:
        x = b.add(f"{name}_columns", SumPool2d((rows, 1), (rows, 1)), x)
        x = scaled(b, f"{name}_of_columns", x, same, (grid.of_sum(rows), grid), (type_.lo, type_.hi))
        rows = 1
    x = b.add(f"{name}_sum", SumPool2d((rows, columns), (rows, columns)), x)
    return scaled(b, name, x, same, (grid.of_sum(rows * columns), grids[1]), ends)


def _shift(name: str, x: TensorType, map_: Affine, gain: Array, offset: Array) -> int:
    """The largest for ``gain`` and ``offset``, which are those of ``map_`` in integers."""
    operand = x.dtype.bits + (not x.dtype.signed)
    mul_bits = PORTS[1] if operand > PORTS[1] else PORTS[0]
    largest = max(abs(x.lo), abs(x.hi))
    with np.errstate(divide="ignore"):
        room = (mul_bits - 1 - np.log2(np.abs(gain)), SUM_BITS - np.log2(largest * np.abs(gain) + np.abs(offset) + 1))
    shift = min(int(np.floor(np.min(room) - 1e-9)), SUM_BITS - 1)
    if shift < 1:
        channel = int(np.argmin(np.min(room, axis=0)))
        raise ModelError(
            f"'{name}': a gain of {map_.gain[channel]:g} and an offset of {map_.offset[channel]:g} (channel {channel}) "
            f"exceed {mul_bits}-bit multipliers: the batch norm is degenerate"
        )
    return shift


def _integer_map(map_: Affine, grids: tuple[Grid, Grid]) -> tuple[Array, Array]:
    """The map from integers to integers, before rounding."""
    source, target = grids
    gain = map_.gain * (target.steps / source.steps)
    return gain, map_.offset * target.steps + gain * source.origin - target.origin


def _reached(gain: Array, offset: Array, x: TensorType) -> tuple[int, int]:
    """Ends that no result passes, unless it passes `LIMIT`."""
    results = [gain * end + offset for end in (x.lo, x.hi)]
    low, high = np.floor(np.min(results)) - 1, np.ceil(np.max(results)) + 1
    return int(np.clip(low, -LIMIT, LIMIT - 1)), int(np.clip(high, 1 - LIMIT, LIMIT))
