"""How narrow a convolution's accumulator may be: the proof, from the layer's own weights and its operand's true range.

A sum is built product by product, so what has to fit is not only the result but every partial sum. Over any order of
accumulation a partial sum of channel c lies within ``lowest(c) .. highest(c)``, the sums of the negative and of the
positive extremes of its products; zero is always inside, since an empty sum is one.

Sums of 8 or 16 bits that do not hold the whole are flushed every few products, counted from a window's first. What
counts is what these very weights add up to: the kernels add products in one order (rows, columns, channels), and each
stretch between two flushes is bounded by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ir.ops.convolution import weight_sums
from ir.types import Array

I8 = (-128, 127)
U8 = (0, 255)
I16 = (-(1 << 15), (1 << 15) - 1)
U16 = (0, (1 << 16) - 1)
I32 = (-(1 << 31), (1 << 31) - 1)
WHOLE_SUM = (1 << 32) - 1
"""Flush period of an accumulator that holds the whole sum."""

# Below this many products per flush the additions into 32 bits cost more than narrow accumulators save.
SHORTEST_PERIOD = 8

# An addition of 8-bit sums to 16-bit ones takes the beats that two products save.
WIDENING = 2
SHORTEST_PERIOD8 = 4
PERIODS8 = (*range(128, 32, -4), *range(32, SHORTEST_PERIOD8 - 1, -1))
"""Periods that are tried: beyond the first nothing is left to be saved, and kernels are unrolled by four."""

PERIODS16 = (8.0, 6.0, 4.0, 3.0, 2.0, 1.5)
"""Periods that are tried, in multiples of the one that holds whatever the weights."""


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
    least, most = min(lo, 0), max(hi, 0)
    sums = weight_sums(weights)
    return min(n * most + p * least for n, p in sums), max(n * least + p * most for n, p in sums)


@dataclass(frozen=True, eq=False)
class Products:
    """The least and the most that each product of a channel can be, (O, products) in the kernels' order.

    A product that a padded zero or nothing takes the place of is 0, so that bounds hold for partial sums too.
    """

    least: Array
    most: Array

    @staticmethod
    def of(weights: Array, lo: int, hi: int) -> Products:
        """For weights (O, I, KH, KW) and elements in lo..hi, whose sums fit 32 bits."""
        ordered = weights.astype(np.int32).transpose(0, 2, 3, 1).reshape(weights.shape[0], -1)
        ends = ordered * np.int32(min(lo, 0)), ordered * np.int32(max(hi, 0))
        return Products(np.minimum(*ends), np.maximum(*ends))

    @property
    def count(self) -> int:
        return len(self.least[0])

    def fit(self, bounds: tuple[int, int], period: int) -> bool:
        """Whether what is added from one flush to the next always lies within ``bounds``."""
        starts = np.arange(0, self.count, period)
        low, high = np.add.reduceat(self.least, starts, axis=1), np.add.reduceat(self.most, starts, axis=1)
        return bool(bounds[0] <= low.min() and high.max() <= bounds[1])

    def longest(self, bounds: tuple[int, int]) -> int:
        """No longer period fits: the fullest channel's sum takes this many stretches within ``bounds``."""
        low, high = int(self.least.sum(1).min()), int(self.most.sum(1).max())
        stretches = max(-(low // -bounds[0]), -(-high // bounds[1]))
        return self.count if stretches <= 1 else (self.count - 1) // (stretches - 1)


def flush_period(weights: Array, lo: int, hi: int) -> int:
    """How many products any 16-bit running sum holds: floor(32767 / max |w * x|); WHOLE_SUM if all are zero."""
    largest = max(-int(weights.min(initial=0)), int(weights.max(initial=0))) * max(abs(lo), abs(hi))
    return I16[1] // largest if largest else WHOLE_SUM


def flush_period16(products: Products, least: int) -> int:
    """How many products 16-bit sums always hold from one flush to the next: ``least`` (`flush_period`) or more."""
    tried = (int(least * factor) for factor in PERIODS16)
    return next((p for p in tried if p < products.count and products.fit(I16, p)), least)


def flush_period8(products: Products) -> int:
    """The most products, of those tried, that 8-bit sums always hold from one flush to the next; 0: none."""
    limit = products.longest(I8)
    tried = (products.count, *(p for p in PERIODS8 if p < products.count))
    return next((p for p in tried if p <= limit and products.fit(I8, p)), 0)


def in_bytes(proof: Accumulator, products: Products) -> Accumulator:
    """The proof for 16-bit sums with 8-bit ones before them, where they save beats.

    ``proof.flush`` has to hold wherever a stretch starts.
    """
    period = flush_period8(products)
    if not period or WIDENING * -(-products.count // period) >= products.count:
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
    if element_bits > 8 or not fits_int8(weights):
        return Accumulator(32, WHOLE_SUM, lowest, highest)
    products = Products.of(weights, lo, hi)
    if I16[0] <= lowest and highest <= I16[1]:
        return in_bytes(Accumulator(16, WHOLE_SUM, lowest, highest), products)
    least = flush_period(weights, lo, hi)
    narrowest = in_bytes(Accumulator(16, least, lowest, highest), products)
    if narrowest.bits == 8:
        return narrowest
    period = flush_period16(products, least)
    if period >= SHORTEST_PERIOD:
        return Accumulator(16, period, lowest, highest)
    return Accumulator(32, WHOLE_SUM, lowest, highest)
