"""How narrow a convolution's accumulator may be: the proof, from the layer's own weights and its operand's true range.

A sum is built product by product, so what has to fit is not only the result but every partial sum. Over any order of
accumulation a partial sum of channel c lies within ``lowest(c) .. highest(c)``, the sums of the negative and of the
positive extremes of its products; zero is always inside, since an empty sum is one.

Sums of 16 bits are flushed after a number of products that holds whatever the weights, by the largest product. Sums of
8 bits have to be flushed every few products, so that what these very weights add up to counts: the kernels add
products in one order, and each stretch of ``flush8`` of them is bounded by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ir.types import Array

I8 = (-128, 127)
I16 = (-(1 << 15), (1 << 15) - 1)
I32 = (-(1 << 31), (1 << 31) - 1)
WHOLE_SUM = (1 << 32) - 1
"""Flush period of an accumulator that holds the whole sum."""

# Below this many products per flush the additions into 32 bits cost more than narrow accumulators save.
SHORTEST_PERIOD = 8

# An addition of 8-bit sums to 16-bit ones takes the beats that two products save.
WIDENING = 2
SHORTEST_PERIOD8 = 4
LONGEST_PERIOD8 = 128
"""Beyond this many products per addition nothing is left to be saved."""


@dataclass(frozen=True)
class Accumulator:
    """``bits`` of one running sum (8, 16, 32 or 64) and after how many products it is flushed into 32 bits.

    8-bit sums are added to 16-bit ones every ``flush8`` products, and it is those that ``flush`` is about; it is a
    multiple of ``flush8``. ``lowest``/``highest`` bound every partial sum over all channels, in integers of the
    accumulator.
    """

    bits: int
    flush: int
    lowest: int
    highest: int
    flush8: int = 0

    @property
    def note(self) -> str:
        if self.bits == 8:
            further = f", every {self.flush} into i32" if self.flush != WHOLE_SUM else ""
            return f"i8 accumulator, flush every {self.flush8} into i16{further}"
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


def flush_period8(weights: Array, lo: int, hi: int) -> int:
    """The most products that 8-bit sums always hold from one flush to the next, for weights (O, I, KH, KW); 0: fewer
    than `SHORTEST_PERIOD8`.

    The kernels' order is rows, columns, channels of a window, flushed every so many products from the first on.
    """
    ordered = weights.transpose(0, 2, 3, 1).reshape(weights.shape[0], -1).astype(np.int64)
    least = np.minimum(ordered * min(lo, 0), ordered * max(hi, 0))
    most = np.maximum(ordered * min(lo, 0), ordered * max(hi, 0))
    products: int = ordered.shape[1]
    periods: list[int] = [products, *range(min(products - 1, LONGEST_PERIOD8), SHORTEST_PERIOD8 - 1, -1)]
    for period in periods:
        starts = np.arange(0, products, period)
        low, high = np.add.reduceat(least, starts, axis=1), np.add.reduceat(most, starts, axis=1)
        if I8[0] <= low.min() and high.max() <= I8[1]:
            return period
    return 0


def in_bytes(proof: Accumulator, weights: Array, lo: int, hi: int) -> Accumulator:
    """The proof for 16-bit sums with 8-bit ones before them, where they save beats."""
    products = weights[0].size
    period = flush_period8(weights, lo, hi)
    if not period or WIDENING * -(-products // period) >= products:
        return proof
    flush = proof.flush if proof.flush == WHOLE_SUM else proof.flush // period * period
    return Accumulator(8, flush, proof.lowest, proof.highest, period)


def fits_int8(weights: Array) -> bool:
    return int(weights.min()) >= -128 and int(weights.max()) <= 127


def accumulator(weights: Array, lo: int, hi: int, element_bits: int = 8) -> Accumulator:
    """The narrowest accumulator for weights (O, I, KH, KW) and elements in lo..hi, stored in ``element_bits`` bits.

    8 and 16 bits need 8-bit operands, and either a sum that fits as a whole or a period worth its flushes; the flushed
    total is 32 bits. 64 means that even 32 bits are not enough.
    """
    lowest, highest = partial_sums(weights, lo, hi)
    if lowest < I32[0] or highest > I32[1]:
        return Accumulator(64, WHOLE_SUM, lowest, highest)
    eight_bits = element_bits == 8 and fits_int8(weights)
    if eight_bits and I16[0] <= lowest and highest <= I16[1]:
        return in_bytes(Accumulator(16, WHOLE_SUM, lowest, highest), weights, lo, hi)
    period = flush_period(weights, lo, hi)
    if eight_bits and period >= SHORTEST_PERIOD:
        return in_bytes(Accumulator(16, period, lowest, highest), weights, lo, hi)
    return Accumulator(32, WHOLE_SUM, lowest, highest)
