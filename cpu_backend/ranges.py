"""How narrow a convolution's accumulator may be: the proof, from the layer's own weights and its operand's true range.

A sum is built product by product, so what has to fit is not only the result but every partial sum. Over any order of
accumulation a partial sum of channel c lies within ``lowest(c) .. highest(c)``, the sums of the negative and of the
positive extremes of its products; zero is always inside, since an empty sum is one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ir.types import Array

I16 = (-(1 << 15), (1 << 15) - 1)
I32 = (-(1 << 31), (1 << 31) - 1)
WHOLE_SUM = (1 << 32) - 1
"""Flush period of an accumulator that holds the whole sum."""

# Below this many products per flush the additions into 32 bits cost more than narrow accumulators save.
SHORTEST_PERIOD = 8


@dataclass(frozen=True)
class Accumulator:
    """``bits`` of one running sum (16, 32 or 64) and after how many products it is flushed into 32 bits.

    ``lowest``/``highest`` bound every partial sum over all channels, in integers of the accumulator.
    """

    bits: int
    flush: int
    lowest: int
    highest: int

    @property
    def note(self) -> str:
        if self.bits == 16 and self.flush != WHOLE_SUM:
            return f"i16 accumulator, flush every {self.flush}"
        return f"i{self.bits} accumulator, no flush"


def partial_sums(weights: Array, lo: int, hi: int) -> tuple[int, int]:
    """Bounds of every partial sum of ``w * x`` with x in lo..hi, over all output channels; weights (O, ...)."""
    flat = weights.reshape(weights.shape[0], -1).astype(object if weights.dtype.itemsize > 4 else np.int64)
    least = np.minimum(flat * min(lo, 0), flat * max(hi, 0))
    most = np.maximum(flat * min(lo, 0), flat * max(hi, 0))
    return int(least.sum(1).min()), int(most.sum(1).max())


def flush_period(weights: Array, lo: int, hi: int) -> int:
    """How many products any 16-bit running sum holds: floor(32767 / max |w * x|); WHOLE_SUM if all are zero."""
    largest = int(np.abs(weights.astype(np.int64)).max(initial=0)) * max(abs(lo), abs(hi))
    return I16[1] // largest if largest else WHOLE_SUM


def fits_int8(weights: Array) -> bool:
    return int(weights.min()) >= -128 and int(weights.max()) <= 127


def accumulator(weights: Array, lo: int, hi: int, element_bits: int = 8) -> Accumulator:
    """The narrowest accumulator for weights (O, I, KH, KW) and elements in lo..hi, stored in ``element_bits`` bits.

    16 bits need 8-bit operands, and either a sum that fits as a whole or a period worth its flushes; the flushed
    total is 32 bits. 64 means that even 32 bits are not enough.
    """
    lowest, highest = partial_sums(weights, lo, hi)
    if lowest < I32[0] or highest > I32[1]:
        return Accumulator(64, WHOLE_SUM, lowest, highest)
    eight_bits = element_bits == 8 and fits_int8(weights)
    if eight_bits and I16[0] <= lowest and highest <= I16[1]:
        return Accumulator(16, WHOLE_SUM, lowest, highest)
    period = flush_period(weights, lo, hi)
    if eight_bits and period >= SHORTEST_PERIOD:
        return Accumulator(16, period, lowest, highest)
    return Accumulator(32, WHOLE_SUM, lowest, highest)
