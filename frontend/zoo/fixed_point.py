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
"""Of corners, so that sums with them keep to signed 32 bits."""
POOLED = 1 << 30
"""Sums of pixels stay below: an accelerator's pooling takes 31 bits."""


@dataclass(frozen=True, eq=False)
class Affine:
    """``x * gain + offset`` per channel, in float64: a batch norm, a bias, an average's division."""

    gain: Array
    offset: Array


@dataclass(frozen=True, eq=False)
class Grid:
    """What integers stand for: n is the real number ``(n + origin) / steps``; either may differ by channel.

    An origin of 1/2 makes rounding down what rounding to the nearest is with 0: no real number changes sides of a
    multiple of ``1 / steps``, which a threshold may be.
    """

    steps: float | Array = 1.0
    origin: float | Array = 0.0

    def of_sum(self, count: int) -> Grid:
        """That of sums of ``count`` such integers, which stand for their mean."""
        return Grid(self.steps * count, self.origin * count)

    def twice(self) -> Grid:
        """That of channels next to a copy of themselves."""
        steps, origin = (v if np.ndim(v) == 0 else np.tile(v, 2) for v in (self.steps, self.origin))
        return Grid(steps, origin)

    def plus(self, other: Grid) -> Grid:
        """That of sums with integers on ``other``, which has the same steps."""
        return Grid(self.steps, self.origin + other.origin)


def signed(bits: int) -> tuple[int, int]:
    """The ends of two's complement."""
    return -(1 << (bits - 1)), (1 << (bits - 1)) - 1


def scaled(b: Builder, name: str, x: str, map_: Affine, grids: tuple[Grid, Grid], ends: tuple[int, int]) -> str:
    """The affine map as a multiply-shift; ``grids`` are those of x and of the result, which saturates at ``ends``.

    The shift is the largest that `PORTS` and `SUM_BITS` allow, so the multipliers are as exact as they can be. Raises
    ModelError where a gain or offset leaves no room at all.
    """
    gain, offset = _integer_map(map_, grids)
    shift = _shift(name, b.types[x], map_, gain, offset)
    mul, add = (np.rint(v * 2.0**shift).astype(np.int64) for v in (gain, offset))
    return b.add(name, MultiplyShift(shift, *ends), x, mul=mul, add=add)


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
    b: Builder,
    name: str,
    x: str,
    map_: Affine,
    slopes: tuple[Array, Array],
    after: Array,
    grids: tuple[Grid, Grid],
    ends: tuple[int, int],
) -> tuple[str, Grid]:
    """``t * slope + after`` with ``t = x * gain + offset``, the slope by t's sign: (below zero, from zero on).

    PReLU has slopes (a, 1), RPReLU and DPReLU have shifts on either side. It is a line, t times the steeper slope,
    which saturates at ``ends``, plus a corner, what the other slope differs by on its side of zero; clipping cuts off
    the other side. Neither product is wider than its operand and multiplier are, where a PReLU of a wide t needs more
    than 32 bits. A corner below zero is moved up to the clip's other end, and the grid that is returned down.
    """
    target = grids[1]
    below, above = slopes
    steep = np.where(np.abs(above) >= np.abs(below), above, below)
    other = np.where(np.abs(above) >= np.abs(below), below, above)
    ratio = np.where(steep != 0, (other - steep) / np.where(steep != 0, steep, 1), 0)
    line = scaled(b, f"{name}_line", x, Affine(steep * map_.gain, steep * map_.offset + after), grids, ends)
    corner, own = Affine(ratio, -ratio * after), Grid(target.steps)
    gain, offset = _integer_map(corner, (target, own))
    falls = above < below
    reach = np.max([np.where(falls, -1, 1) * (gain * end + offset) for end in (b.types[line].lo, b.types[line].hi)])
    high = int(np.clip(np.ceil(reach), 1, LIMIT))
    moved = np.where(falls, float(high), 0.0)
    corner = Affine(ratio, corner.offset + moved / target.steps)
    cut = scaled(b, f"{name}_corner", line, corner, (target, own), (0, high))
    return b.add(name, Add(), line, cut), target.plus(Grid(target.steps, -moved))


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
