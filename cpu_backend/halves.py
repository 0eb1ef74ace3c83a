"""Multiply-shifts of short sums in 16 bits, with what 32 bits give: the proof, channel by channel.

The kernel has a multiplication that keeps the upper half of a product, rounding down (``vsmul``), so that
``((sum + before) * mul >> 15) >> shift`` costs half the beats of 32-bit arithmetic. A channel's result is a monotone
function of its sum, given by its thresholds: ``t[k]`` is the least sum whose result is k. The new constants must meet

    (t[k] + before) * mul >= k << 15 + shift    and    (t[k] - 1 + before) * mul < k << 15 + shift

for every k that some sum reaches. Weights of few bits leave room for a factor ``1 << scale``, which gives ``before`` as
many bits behind the point; for a multiplier near the true one what remains is an interval of ``before``, empty or not.

Results from 0 to less than 127 are clipped by one operation where k + above stands for k in this: narrowing to 8 bits
saturates at 127, and a subtraction of ``above`` at 0 where no sum's value is negative. Either 127 stands for the
largest result, or no sum reaches more than that. What is left of the 16 bits has to do for the results then.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cpu_backend.ranges import I8, I16
from cpu_backend.requantise import Requantisation
from ir.types import Array

TRIED = 256
"""Multipliers beside the true one, either way."""
HIGH = 15
"""vsmul's own shift."""
MOST = 30
"""Largest shift: a shift of 16 bits behind vsmul's."""


@dataclass(frozen=True, eq=False)
class Halves:
    """Weights times ``1 << scale`` and the map of their sums, with ``before``."""

    weights: Array
    map: Requantisation
    scale: int


def in_halves(weights: Array, lo: int, hi: int, map_: Requantisation) -> Halves | None:
    """For weights (C, ...) of a filter each, elements in lo..hi and a 32-bit multiply-shift; None where nothing is
    proven."""
    flat = weights.reshape(weights.shape[0], -1).astype(np.int64)
    ends = np.stack([flat * min(lo, 0), flat * max(hi, 0)])
    least, most = ends.min(0).sum(1), ends.max(0).sum(1)
    if map_.arrays["mul"].min() <= 0:
        return None
    above = _above(least, most, map_)
    found = _scaled(weights, least, most, map_, above) if above else None
    return found or _scaled(weights, least, most, map_, Above(0))


@dataclass(frozen=True)
class Above:
    """What stands for a result is ``by`` more; ``open``: larger results than the largest are not reached."""

    by: int
    open: bool = False


def _above(least: Array, most: Array, map_: Requantisation) -> Above | None:
    """None where results do not start at 0, or 8 bits do not hold what stands for them and for negative ones."""
    mul, add = (map_.arrays[key].astype(np.int64) for key in ("mul", "add"))
    shift, hi = int(map_.fields["shift"]), int(map_.fields["hi"])
    if int(map_.fields["lo"]) != 0 or hi >= I8[1]:
        return None
    needed = max(1, -int((least * mul + add >> shift).min()))
    reached = int((most * mul + add >> shift).max())
    if reached <= hi and needed + hi < I8[1]:
        return Above(needed, True)
    return Above(I8[1] - hi) if needed <= I8[1] - hi else None


def _scaled(weights: Array, least: Array, most: Array, map_: Requantisation, above: Above) -> Halves | None:
    """By the largest scale that is proven."""
    mul, add = (map_.arrays[key].astype(np.int64) for key in ("mul", "add"))
    shift, bounds = int(map_.fields["shift"]), (int(map_.fields["lo"]), int(map_.fields["hi"]))
    largest = max(int(np.abs(weights).max()), 1)
    room = (I16[1] // max(abs(bounds[0]), abs(bounds[1] + above.by), 1)).bit_length() - 1  # for shifted bounds
    for scale in range((I8[1] // largest).bit_length() - 1, -1, -1):
        wide = min(shift + scale + (I16[1] // int(mul.max())).bit_length() - 1, HIGH + room, MOST)
        fits = int(least.min()) << scale >= I16[0] and int(most.max()) << scale <= I16[1]
        if not fits or wide < HIGH:
            continue
        found = []
        for m, a, low, high in zip(mul, add, least, most, strict=True):
            constants = _constants(int(m), int(a), shift, bounds, (int(low), int(high)), scale, wide, above)
            if constants is None:
                break
            found.append(constants)
        if len(found) < len(mul):
            continue
        pairs = np.array(found, np.int64)
        arrays: dict[str, Array] = {
            "mul": pairs[:, 0].astype(np.int32),
            "add": (pairs[:, 0] * pairs[:, 1] - (above.by << wide)).astype(np.int32),
            "before": pairs[:, 1].astype(np.int16),
        }
        note = f"sums times {1 << scale}, with the same results for all sums: 16-bit arithmetic"
        fields = {**map_.fields, "shift": wide} | ({"above": above.by} if above.by else {})
        return Halves(weights << scale, Requantisation(fields, arrays, note), scale)
    return None


def _constants(
    mul: int,
    add: int,
    shift: int,
    bounds: tuple[int, int],
    sums: tuple[int, int],
    scale: int,
    wide: int,
    above: Above,
) -> tuple[int, int] | None:
    """``mul`` and ``before`` of one channel, whose sums lie in ``sums`` before they are scaled."""
    low, high = sums
    levels = np.arange(bounds[0] + 1, bounds[1] + 1 + above.open)
    thresholds = -((add - (levels << shift)) // mul)
    # of those that no sum reaches and those that all do the nearest say enough
    first = max(int(np.searchsorted(thresholds, low, "right")) - 1, 0)
    last = int(np.searchsorted(thresholds, high, "right")) + 1
    levels, thresholds = levels[first:last], thresholds[first:last]
    ideal = round(mul * 2.0 ** (wide - shift - scale))
    tried = np.arange(max(ideal - TRIED, 1), min(ideal + TRIED, I16[1]) + 1)
    if not tried.size:
        return None
    edges = (levels + above.by)[:, None] << wide
    reached, missed = thresholds <= high, thresholds > low
    at = np.maximum(thresholds, low)[:, None] << scale
    below = np.minimum(thresholds - 1, high)[:, None] << scale
    least, most = I16[0] - min(low << scale, 0), I16[1] - max(high << scale, 0)
    if above.by:  # nothing negative
        least = -(low << scale)
    lowest = np.where(reached[:, None], -(-edges // tried) - at, least).max(0, initial=least)
    highest = np.where(missed[:, None], (edges - 1) // tried - below, most).min(0, initial=most)
    possible = np.flatnonzero(lowest <= highest)
    if not possible.size:
        return None
    best = possible[np.abs(tried[possible] - ideal).argmin()]
    return int(tried[best]), int(lowest[best] + highest[best]) // 2
