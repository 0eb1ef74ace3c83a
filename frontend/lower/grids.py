"""Grids of equal steps: of activations, and of weights per output channel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from frontend.lower.evaluation import single
from ir.types import Array

CACHED = 1 << 15
"""Weights that are worked on at once, so that they stay in a processor's cache."""

SHARES, WEIGHT_SHARES = np.linspace(0.2, 1.0, 81), np.linspace(0.5, 1.0, 26)
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


def quantised_weights(weights: Array, bits: int) -> tuple[Array, Array]:
    """Integers (O, ...) and a scale (O,) per output channel: symmetric, with the least squared error."""
    hi = (1 << (bits - 1)) - 1
    rows = weights.reshape(len(weights), -1)
    ends = np.abs(rows).max(axis=1)
    ends[ends == 0] = 1.0
    best = ends / hi
    height = max(CACHED // rows.shape[1], 1)
    for at in range(0, len(rows), height):
        best[at : at + height] = _scales(rows[at : at + height], ends[at : at + height], hi)
    integers = np.clip(np.rint(rows / best.reshape(-1, 1)), -hi, hi)
    return integers.reshape(weights.shape).astype(np.int64), best


def _scales(rows: Array, ends: Array, hi: int) -> Array:
    """Of each row the scale with the least squared error."""
    best, least = ends / hi, np.full(len(rows), np.inf)
    for share in WEIGHT_SHARES:
        scale = (ends * share / hi).reshape(-1, 1)
        errors = np.square(np.clip(np.rint(rows / scale), -hi, hi) * scale - rows).sum(axis=1)
        better = errors < least
        best[better], least[better] = scale[better, 0], errors[better]
    return best
