"""Column-wise N:M pruning: output channels in tiles keep the same columns, so that a kernel skips a column for all.

A column is one tap of one input channel: weights (O, I, KH, KW) are rows of KH * KW * I columns, channels innermost.
Rows go in tiles of ``tile`` neighbouring output channels; of every M neighbouring columns a tile keeps the N with the
largest L1 norm, the sum of absolute values over its rows (signed sums would cancel), the first ones where several are
equal. The last group may be short; it keeps at most N columns too.
"""

from __future__ import annotations

import numpy as np

from ir.types import Array


def kept_columns(rows: Array, n: int, m: int, tile: int) -> tuple[Array, ...]:
    """The columns that each tile keeps, ascending, for weights (O, columns). ValueError for an impossible N:M."""
    if not 1 <= n <= m or tile < 1:
        raise ValueError(f"{n}:{m} columns in tiles of {tile} channels: 1 <= N <= M and a tile of 1 or more are needed")
    return tuple(_largest(np.abs(rows[o : o + tile]).sum(0), n, m) for o in range(0, rows.shape[0], tile))


def prune_columns(weights: Array, n: int, m: int, tile: int) -> Array:
    """A copy of convolution weights (O, I, KH, KW) with the columns that are not kept set to zero."""
    rows = weights.transpose(0, 2, 3, 1).reshape(weights.shape[0], -1)
    pruned = np.zeros_like(rows)
    for number, kept in enumerate(kept_columns(rows, n, m, tile)):
        channels = slice(number * tile, (number + 1) * tile)
        pruned[channels, kept] = rows[channels, kept]
    o, i, kh, kw = weights.shape
    return np.ascontiguousarray(pruned.reshape(o, kh, kw, i).transpose(0, 3, 1, 2))


def _largest(norms: Array, n: int, m: int) -> Array:
    kept = [start + np.argsort(-norms[start : start + m], kind="stable")[:n] for start in range(0, norms.size, m)]
    return np.sort(np.concatenate(kept))
