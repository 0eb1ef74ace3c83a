"""Minimal filtering F(2x2, 3x3) in integers (kernels/hck_winograd.h): transformed weights, and how wide things must be.

A result is ``A' M A / 4`` with sums ``M = sum over channels of (2G g 2G') * (B' d B)``. Everything is exact. What the
sums add up to may wrap in the accumulator as long as four times the result fits it: residues modulo a power of two are
enough. What is kept in fewer bits than that has to fit itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from cpu_backend.ranges import I8, I16, I32, U16, partial_sums
from ir.memo import remembered
from ir.types import Array

G2 = np.array([[2, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 2]], np.int64)
BT = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]], np.int64)
SCALE = 4
"""Results are divided by it."""
PLANES = 16
SHORTEST_PERIOD = 8
"""Products below which flushing 16-bit sums costs more than 16-bit operands do."""

Container = Literal["HCK_I8", "HCK_I16", "HCK_I32"]


@dataclass(frozen=True, eq=False)
class Filtering:
    """``weights``: (16, I, O) int8 or int16; ``operands``, ``sums``, ``results``, ``flush`` as in ``hck_winograd``, the
    latter (16,), 0 where nothing is flushed."""

    weights: Array
    operands: Container
    sums: Container
    results: Container
    flush: tuple[int, ...]

    @property
    def stretches(self) -> int:
        """The most parts in which a sum is added up, 0 where nothing is flushed."""
        return max(-(-self.weights.shape[1] // period) for period in self.flush) if any(self.flush) else 0

    @property
    def note(self) -> str:
        bits = {"HCK_I8": 8, "HCK_I16": 16, "HCK_I32": 32}
        flushed = f", flushed every {min(self.flush)} at the least" if any(self.flush) else ""
        sums = 16 if self.operands == "HCK_I8" else 32
        return f"minimal filtering F(2x2, 3x3), i{bits[self.operands]} planes, i{sums} sums{flushed}"


@remembered
def filtering(weights: Array, lo: int, hi: int) -> Filtering | None:
    """For weights (O, I, 3, 3) of 8 bits and elements in lo..hi, stored in 8 bits; None where 32 bits are too few."""
    u = transformed(weights)
    bounds = plane_bounds(lo, hi)
    lowest, highest = partial_sums(weights, lo, hi)
    ranges = [_range(u[p], *bounds[p]) for p in range(PLANES)]
    results = _inside((SCALE * lowest, SCALE * highest), I32)
    if not results or not all(_inside(each, I32) for each in ranges):
        return None
    plain = (0,) * PLANES
    if not (_inside((int(u.min()), int(u.max())), I8) and all(_inside(each, I8) for each in bounds)):
        return Filtering(u.astype(np.int16), "HCK_I16", "HCK_I32", "HCK_I32", plain)
    u8 = u.astype(np.int8)
    if _inside((SCALE * lowest, SCALE * highest), I16):
        return Filtering(u8, "HCK_I8", "HCK_I16", "HCK_I16", plain)
    if all(_inside(each, I16) for each in ranges):
        return Filtering(u8, "HCK_I8", "HCK_I16", "HCK_I32", plain)
    periods = tuple(_period(u[p], *bounds[p]) for p in range(PLANES))
    if min(periods) < SHORTEST_PERIOD:
        return Filtering(u.astype(np.int16), "HCK_I16", "HCK_I32", "HCK_I32", plain)
    return Filtering(u8, "HCK_I8", "HCK_I32", "HCK_I32", periods)


def transformed(weights: Array) -> Array:
    """2G g 2G' of (O, I, 3, 3): (16, I, O) int64, planes row by row."""
    u = np.einsum("ia,ocab,jb->ijco", G2, weights.astype(np.int64), G2)
    return np.ascontiguousarray(u.reshape(PLANES, *u.shape[2:]))


def plane_bounds(lo: int, hi: int) -> tuple[tuple[int, int], ...]:
    """The least and the most of each plane's elements, of elements in lo..hi and zeros beside the picture."""
    least, most = min(lo, 0), max(hi, 0)
    found = []
    for p in range(PLANES):
        factors = np.outer(BT[p // 4], BT[p % 4])
        up, down = int(factors[factors > 0].sum()), int(-factors[factors < 0].sum())
        found.append((up * least - down * most, up * most - down * least))
    return tuple(found)


def _range(u: Array, lo: int, hi: int) -> tuple[int, int]:
    """Of any partial sum of a plane, over all output channels; ``u`` (I, O)."""
    up, down = np.maximum(u, 0), np.minimum(u, 0)
    return int((up * lo + down * hi).sum(0).min()), int((up * hi + down * lo).sum(0).max())


def _period(u: Array, lo: int, hi: int) -> int:
    """The most products in a row, as the kernel cuts them, that 16 bits hold; all of them if they do."""
    up, down = np.maximum(u, 0), np.minimum(u, 0)
    least, most = up * lo + down * hi, up * hi + down * lo
    for parts in range(-(-len(u) // U16[1]), len(u) + 1):
        period = -(-len(u) // parts)
        starts = np.arange(0, len(u), period)
        if _inside((int(np.add.reduceat(least, starts).min()), int(np.add.reduceat(most, starts).max())), I16):
            return period
    return 0


def _inside(range_: tuple[int, int], bounds: tuple[int, int]) -> bool:
    return bounds[0] <= range_[0] and range_[1] <= bounds[1]
