"""Grids that real values are rounded to, and the one that takes least away from given values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from frontend.lower.evaluation import single
from ir.types import Array

SHARES = np.linspace(0.2, 1.0, 81)
"""Of the largest magnitude, tried as the range's end."""


@dataclass(frozen=True)
class Grid:
    """``lo..hi`` steps of size ``scale``."""

    scale: float
    lo: int
    hi: int

    def rounded(self, values: Array) -> Array:
        """The nearest values of the grid."""
        steps = values / self.scale
        np.clip(np.rint(steps, out=steps), self.lo, self.hi, out=steps)
        return np.multiply(steps, self.scale, out=steps)

    def within(self, lo: float, hi: float) -> Grid:
        """Those of its values that lie in ``lo..hi``, to the nearest step."""
        ends = [int(np.rint(end / self.scale)) if np.isfinite(end) else None for end in (lo, hi)]
        return Grid(
            self.scale,
            self.lo if ends[0] is None else max(self.lo, ends[0]),
            self.hi if ends[1] is None else min(self.hi, ends[1]),
        )


def closest(values: Array, end: float, lo: int, hi: int) -> Grid:
    """The grid of ``lo..hi`` steps, up to some share of ``end``, with the least squared error on the values."""
    ordered = np.sort(single(values)).astype(np.float64)
    running = np.concatenate([[0.0], np.cumsum(ordered)])
    steps = np.arange(lo, hi + 1)

    def error(grid: Grid) -> float:
        """Less the sum of squares of all values: what is nearest to one step is a stretch of the ordered values."""
        found = np.searchsorted(ordered, (steps[:-1] + 0.5) * grid.scale)
        ends = np.concatenate([[0], found, [len(ordered)]])
        nearest = steps * grid.scale
        return float((nearest * (nearest * np.diff(ends) - 2 * np.diff(running[ends]))).sum())

    return min((Grid(end * share / hi, lo, hi) for share in SHARES), key=error)
