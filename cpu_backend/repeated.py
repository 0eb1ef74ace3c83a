"""Weights for the convolution that multiplies equal weights' elements once (hck_sparse_groups.c): groups, proofs.

Of a channel's columns those of equal weights, or of negated ones, make groups: their elements are added in 8 bits and
multiplied once, as Hegde et al. do ("UCNN: exploiting computational reuse in deep neural networks via weight
repetition", ISCA 2018). A group has at most as many elements as 8 bits are proven to hold the sum of.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from cpu_backend.ranges import I16, partial_sums
from cpu_backend.sparse import BYTES, I8, MOST, Pruned, Sums, prune, rows_of_block
from ir.types import Array

MAGNITUDES = 1 << 8
CHANNEL_BEATS = 1
"""Per pixel of a channel and block of rows, beside its operations, since each is a tile of its own."""
ROW_BYTES = 128
"""HCK_GROUP_ROW."""
MOST_ROWS = (1 << 16) // ROW_BYTES
"""Of a block: as far as 16 bits reach."""
GROUPS_SUM16 = Sums("HCK_GROUPS_SUM16", I8, I16, 1 / 16, 1 / 8, ROW_BYTES)
"""``product``: an element added; ``flush``: a group multiplied, of which the first element is loaded and not added."""


@dataclass(frozen=True, eq=False)
class Repeated:
    """``rows``: the columns with a weight that is not zero, panel rows in blocks of ``block_rows``; ``groups`` (blocks,
    channels): how many; for each group ``added`` (at least 1) and ``subtracted`` elements and its weight; ``columns``:
    the elements' rows in their block, group by group."""

    rows: Array
    block_rows: int
    groups: Array
    added: Array
    subtracted: Array
    weights: Array
    columns: Array
    sums: Sums = GROUPS_SUM16

    @property
    def count(self) -> int:
        """Of tiles, one channel each."""
        return int(self.groups.shape[1])

    @property
    def products(self) -> int:
        """Multiplications per output pixel."""
        return int(self.weights.size)

    @property
    def beats(self) -> float:
        """Arithmetic beats of a 128-bit datapath per output pixel, all lanes filled."""
        return (self.columns.size - self.products) * self.sums.product + self.products * self.sums.flush

    def scaled(self, scale: int) -> Repeated:
        """All weights times ``1 << scale``, which have to stay in 8 bits."""
        return replace(self, weights=self.weights << scale)

    def notes(self, weights: int) -> tuple[str, str]:
        """What is left of so many weights; what was proven."""
        added, multiplied = self.columns.size / weights, self.products / weights
        left = f"pixels in the lanes, weights repeat: {added:.0%} left to add, {multiplied:.0%} to multiply"
        most = int((self.added + self.subtracted).max(initial=0))
        return left, f"{self.rows.size} columns in panels; up to {most} elements of equal weights fit 8 bits"

    def arrays(self) -> dict[str, Array]:
        """``channels``, ``runs``, ``lengths``, ``columns`` and ``weights`` of hck_sparse."""
        return {
            "channels": np.ones(self.count, np.uint8),
            "runs": self.groups.ravel().astype(np.uint16),
            "lengths": np.stack([self.added - 1, self.subtracted], axis=1).ravel().astype(np.uint16),
            "columns": (self.columns * ROW_BYTES).astype(np.uint16),
            "weights": self.weights.astype(np.int8),
        }


Columns = Pruned | Repeated


def by_columns(weights: Array, lo: int, hi: int, element_bits: int, block_rows: int = 0) -> Columns | None:
    """Weights (O, columns) in the cheaper of the two ways that are proven; parameters as for `sparse.prune`."""
    repeated = repeat(weights, lo, hi, block_rows) if element_bits == 8 else None
    if repeated is None:
        return prune(weights, lo, hi, element_bits, block_rows)
    cost = repeated.beats + repeated.groups.size * CHANNEL_BEATS
    if cost <= np.count_nonzero(weights) * _least_product(weights, lo, hi):  # the least that tiles of channels keep
        return repeated
    pruned = prune(weights, lo, hi, element_bits, block_rows)
    return repeated if pruned is None or cost < pruned.beats else pruned


def can_repeat(lo: int, hi: int) -> bool:
    """Whether 8 bits hold the sum of some elements in lo..hi at all."""
    return max(hi, -lo) <= I8[1]


def repeat(weights: Array, lo: int, hi: int, block_rows: int = 0) -> Repeated | None:
    """int8 weights (O, columns) and elements in lo..hi, stored in 8 bits; ``block_rows`` as for `sparse.prune`.

    None where the kernel cannot hold the layer: elements beyond int8, sums beyond 16 bits, more than 65,535 panel rows.
    """
    lowest, highest = partial_sums(weights, lo, hi)
    rows = np.flatnonzero(np.any(weights, axis=0))
    largest = max(hi, -lo, 1)
    if not can_repeat(lo, hi) or lowest < I16[0] or highest > I16[1] or rows.size > MOST:
        return None
    block_rows = rows_of_block(rows.size, GROUPS_SUM16, min(block_rows, MOST_ROWS))
    blocks = max(1, -(-rows.size // block_rows))
    kept = weights[:, rows].astype(np.int64)
    channel, row = np.nonzero(kept)
    magnitude, negative = np.abs(kept[channel, row]), kept[channel, row] < 0
    place = (row // block_rows) * weights.shape[0] + channel
    repeats = place * MAGNITUDES + magnitude
    # elements that are never negative move a sum one way where added and the other way where subtracted, so each have
    # room of their own; else all of a group share it
    part = _rank(repeats if lo < 0 else 2 * repeats + negative) // (I8[1] // largest)
    keys, group = np.unique(repeats * (row.size + 1) + part, return_inverse=True)
    of_place, factor = np.divmod(keys // (row.size + 1), MAGNITUDES)
    sizes, minus = np.bincount(group, minlength=keys.size), np.bincount(group[negative], minlength=keys.size)
    only = minus == sizes  # they are added then, and their sum multiplied by the negative weight
    return Repeated(
        rows,
        block_rows,
        np.bincount(of_place, minlength=blocks * weights.shape[0]).reshape(blocks, -1),
        np.where(only, minus, sizes - minus),
        np.where(only, 0, minus),
        np.where(only, -factor, factor),
        row[np.lexsort((row, negative, group))] % block_rows,
    )


def _rank(keys: Array) -> Array:
    """How many elements before each have its key."""
    order = np.argsort(keys, kind="stable")
    sorted_ = keys[order]
    first = np.searchsorted(sorted_, sorted_, side="left")
    ranks = np.empty(keys.size, np.int64)
    ranks[order] = np.arange(keys.size) - first
    return ranks


def _least_product(weights: Array, lo: int, hi: int) -> float:
    """Beats of a product by `prune`, at the least."""
    largest = int(np.abs(weights).max(initial=0)) * max(abs(lo), abs(hi))
    return min((way.product for way in BYTES if largest <= way.run[1]), default=BYTES[-1].product)
