"""Weights for the column-pruned convolution (kernels/hck_sparse.h): tiles, runs with their proofs, blocks, arrays.

Nothing says which channels were pruned together: tiles are found, as the cut of the output channels into at most seven
neighbours each that costs least. Weights without structure give tiles of seven that keep every column: the dense form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cpu_backend.ranges import I16, I32, partial_sums
from ir.types import Array

LARGEST_TILE = 7
"""HCK_TILE."""
MOST = (1 << 16) - 1
"""Rows of a panel, and columns of a run, as the kernel counts them."""
I8 = (-128, 127)

MOST_KEPT = 0.8
"""Of the weights, in tiles that are worth a kernel of their own: what is denser is left to the dense kernels."""
BLOCK_BYTES = 24 * 1024
"""Of panel rows that are packed and used at a time, where VLEN is 256: with what else is in use they fit 32 KiB."""
VECTOR_BEATS, COLUMN_BEATS, TILE_BEATS = 4, 3, 24
"""A product's cost, what a column costs beside its products, and a tile beside its columns."""


@dataclass(frozen=True)
class Sums:
    """A way to sum: ranges of a run of columns and of the sums in memory; beats of a 128-bit datapath for a product,
    and for adding a run to a sum; bytes of a panel row where VLEN is 256."""

    name: str
    run: tuple[int, int]
    total: tuple[int, int]
    product: float
    flush: float
    row_bytes: int


RUN8_SUM16 = Sums("HCK_RUN8_SUM16", I8, I16, 1 / 16, 1 / 4, 128)
RUN16_SUM16 = Sums("HCK_RUN16_SUM16", I16, I16, 1 / 8, 1 / 4, 64)
RUN16_SUM32 = Sums("HCK_RUN16_SUM32", I16, I32, 1 / 8, 1 / 2, 64)
RUN32_SUM32 = Sums("HCK_RUN32_SUM32", I32, I32, 1 / 4, 1 / 4, 64)
FLOAT = Sums("HCK_RUN_FLOAT", (0, 0), (0, 0), 1 / 4, 1 / 4, 128)
BYTES = (RUN8_SUM16, RUN16_SUM16, RUN16_SUM32, RUN32_SUM32)
"""For elements of 8 bits; wider ones are summed in 32."""


@dataclass(frozen=True, eq=False)
class Tile:
    """Neighbouring output channels: the columns that any of them keeps, ascending, and weights (channels, columns)."""

    columns: Array
    weights: Array

    @property
    def channels(self) -> int:
        return int(self.weights.shape[0])


@dataclass(frozen=True, eq=False)
class Pruned:
    """``rows``: the columns that any tile keeps, panel rows; ``lengths[block][tile]``: columns of each run there."""

    tiles: tuple[Tile, ...]
    rows: Array
    block_rows: int
    sums: Sums
    lengths: tuple[tuple[tuple[int, ...], ...], ...]

    @property
    def count(self) -> int:
        """Of tiles."""
        return len(self.tiles)

    @property
    def products(self) -> int:
        """Multiplications per output pixel."""
        return sum(tile.weights.size for tile in self.tiles)

    def notes(self, weights: int) -> tuple[str, str]:
        """What is left of so many weights; what was proven."""
        share = self.products / weights
        kept = f"columns pruned, {share:.0%} left" if share < 1 else "pixels in the lanes, all columns"
        runs = [n for block in self.lengths for each in block for n in each]
        fit = f"{self.rows.size} columns in panels; runs of {min(runs)}..{max(runs)} columns fit the accumulator"
        return f"{kept} in {self.count} tiles, {self.sums.name}", fit

    @property
    def beats(self) -> float:
        """Arithmetic beats of a 128-bit datapath per output pixel, all lanes filled."""
        flushes = sum(
            tile.channels * len(runs) for block in self.lengths for tile, runs in zip(self.tiles, block, strict=True)
        )
        return self.products * self.sums.product + flushes * self.sums.flush

    def arrays(self) -> dict[str, Array]:
        """``channels``, ``runs``, ``lengths``, ``columns`` and ``weights`` of hck_sparse."""
        runs: list[int] = []
        lengths: list[int] = []
        columns: list[Array] = []
        weights: list[Array] = []
        for number, block in enumerate(self.lengths):
            first = number * self.block_rows
            for tile, here in zip(self.tiles, block, strict=True):
                rows = np.searchsorted(self.rows, tile.columns)
                part = slice(*np.searchsorted(rows, (first, first + self.block_rows)))
                runs.append(len(here))
                lengths.extend(here)
                columns.append(rows[part] - first)
                weights.append(tile.weights[:, part].T.ravel())
        return {
            "channels": np.array([tile.channels for tile in self.tiles], np.uint8),
            "runs": np.array(runs, np.uint16),
            "lengths": np.array(lengths, np.uint16),
            "columns": np.concatenate(columns).astype(np.uint16),
            "weights": np.concatenate(weights).astype(np.float32 if self.sums is FLOAT else np.int8),
        }


def tiles_of(weights: Array) -> tuple[Tile, ...]:
    """The cheapest cut of weights (O, columns) into tiles, whole channels in order."""
    kept = weights != 0
    channels = kept.shape[0]
    best: list[tuple[float, int]] = [(0.0, 0)]  # cost of the first channels, where their last tile begins
    for end in range(1, channels + 1):
        union = np.zeros(kept.shape[1], bool)
        options = []
        for first in range(end - 1, max(0, end - LARGEST_TILE) - 1, -1):
            union |= kept[first]
            column = VECTOR_BEATS * (end - first) + COLUMN_BEATS
            options.append((best[first][0] + TILE_BEATS + column * int(union.sum()), first))
        best.append(min(options))
    tiles: list[Tile] = []
    end = channels
    while end:
        first = best[end][1]
        columns = np.flatnonzero(kept[first:end].any(axis=0))
        tiles.append(Tile(columns, weights[first:end, columns]))
        end = first
    return tuple(reversed(tiles))


def has_columns(weights: Array) -> bool:
    """Whether tiles of (O, columns) lack so many columns that there is something to skip."""
    if np.count_nonzero(weights) > MOST_KEPT * weights.size:  # tiles keep them all
        return False
    return sum(tile.weights.size for tile in tiles_of(weights)) <= MOST_KEPT * weights.size


def prune_float(weights: Array, block_rows: int = 0) -> Pruned:
    """float32 weights (O, columns)."""
    tiles = tiles_of(weights)
    return _blocks(tiles, FLOAT, block_rows, 0, 0)


def prune(weights: Array, lo: int, hi: int, element_bits: int, block_rows: int = 0) -> Pruned | None:
    """int8 weights (O, columns) and elements in lo..hi, stored in ``element_bits`` bits; the cheapest sums that are
    proven. ``block_rows``: most rows of a block, 0 for what suits a cache.

    None where the kernel cannot hold the layer: sums beyond 32 bits, more than 65,535 panel rows.
    """
    tiles = tiles_of(weights)
    ways = BYTES if element_bits == 8 else (RUN32_SUM32,)
    lowest, highest = partial_sums(weights, lo, hi)
    largest = int(np.abs(weights).max(initial=0)) * max(abs(lo), abs(hi))
    proven = [w for w in ways if w.total[0] <= lowest and highest <= w.total[1] and largest <= w.run[1]]
    if any(tile.columns.size > MOST for tile in tiles) or np.any(weights, axis=0).sum() > MOST:
        return None
    options = [_blocks(tiles, way, block_rows, lo, hi) for way in proven]
    return min(options, key=lambda option: option.beats, default=None)


def rows_of_block(rows: int, sums: Sums, most: int = 0) -> int:
    """Of a panel's rows in blocks of one size, of ``most`` rows or, for 0, of what suits a cache."""
    blocks = max(1, -(-rows // (most or BLOCK_BYTES // sums.row_bytes)))
    return max(1, -(-rows // blocks))


def _blocks(tiles: Sequence[Tile], sums: Sums, block_rows: int, lo: int, hi: int) -> Pruned:
    rows = np.unique(np.concatenate([tile.columns for tile in tiles]))
    block_rows = rows_of_block(rows.size, sums, block_rows)
    lengths = []
    for first in range(0, max(1, rows.size), block_rows):
        columns = rows[first : first + block_rows]
        lengths.append(tuple(_runs(tile, columns, sums, lo, hi, first == 0) for tile in tiles))
    return Pruned(tuple(tiles), rows, block_rows, sums, tuple(lengths))


def _runs(tile: Tile, columns: Array, sums: Sums, lo: int, hi: int, first: bool) -> tuple[int, ...]:
    """Lengths of the longest runs that the accumulator holds, of the tile's columns among these.

    Whatever the order of additions, a partial sum of a channel lies between the sums of the negative and of the
    positive extremes of its products. The first block has a run even without columns: it sets the sums.
    """
    ends_at = np.searchsorted(tile.columns, (columns[0], columns[-1] + 1)) if columns.size else (0, 0)
    here = tile.weights[:, slice(*ends_at)]
    if sums is FLOAT or not here.size:
        return (here.shape[1],) if here.size or first else ()
    if sums.run == sums.total:  # which the whole sum is proven to keep
        return (here.shape[1],)
    wide = here.astype(np.int64)
    ends = np.stack([wide * min(lo, 0), wide * max(hi, 0)])
    falls, rises = -sums.run[0], sums.run[1]
    reach = np.minimum(_reach(-ends.min(0), falls), _reach(ends.max(0), rises)).tolist()
    lengths: list[int] = []
    start = 0
    while start < here.shape[1]:
        lengths.append(reach[start] - start)
        start = reach[start]
    return tuple(lengths)


def _reach(grown: Array, limit: int) -> Array:
    """For every column the first behind it up to which what it and those between add is more than ``limit`` in some
    channel; ``grown`` (channels, columns) are not negative."""
    channels, columns = grown.shape
    before = np.concatenate([np.zeros((channels, 1), np.int64), np.cumsum(grown, axis=1)], axis=1)
    apart = (np.arange(channels) * (int(before.max()) + limit + 1))[:, None]  # one ascending row after another
    found = np.searchsorted((before + apart).ravel(), (before[:, :-1] + apart + limit).ravel(), side="right")
    each = found.reshape(channels, columns) - 1 - np.arange(channels)[:, None] * (columns + 1)
    return np.asarray(each.min(0))
