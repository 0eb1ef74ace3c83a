"""Plain integer arithmetic that packings are checked against, independent of the code under test."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


def plain_sums(weights: Ints, activations: Ints, stride: int, depthwise: bool) -> Ints:
    """Two-dimensional polynomial products (O, C, R, K) by (C, Y, X), every stride-th."""
    (_, _, rows, columns), (_, height, width) = weights.shape, activations.shape
    full = np.zeros((len(weights), height + rows - 1, width + columns - 1), np.int64)
    for i in range(rows):
        for j in range(columns):
            tap = weights[:, :, i, j]
            part = tap[:, 0, None, None] * activations if depthwise else np.einsum("oc,cyx->oyx", tap, activations)
            full[:, i : i + height, j : j + width] += part
    return full[:, ::stride, ::stride]


def decode_from_outside(one: dict[str, Any], weights: Ints, activations: Ints) -> dict[tuple[int, int, int], int]:
    """One multiplication by the recipe's documented figures alone, in Python's integers: weights (m, ky, kx) and
    activations (ny, nx) as the layout takes them -> its sums by (channel, row, column)."""
    layout, segments = one["layout"], one["segments"]
    c_stride, y_stride, x_stride = layout["strides"]
    word_w = sum(int(w) << (c * c_stride + i * y_stride + j * x_stride) for (c, i, j), w in np.ndenumerate(weights))
    word_a = sum(int(a) << (i * y_stride + j * x_stride) for (i, j), a in np.ndenumerate(activations))
    a_lo, a_hi = layout["activation"]["lo"], layout["activation"]["hi"]
    w_lo, w_hi = layout["weight"]["lo"], layout["weight"]["hi"]
    product_lo = min(w * a for w in (w_lo, w_hi) for a in (a_lo, a_hi))
    low, parity_sum = {}, {}
    for s in segments:
        key = (s["channel"], s["row"], s["column"])
        pairs = [
            (int(w), int(activations[s["row"] - i, s["column"] - j]))
            for (c, i, j), w in np.ndenumerate(weights)
            if c == key[0] and 0 <= s["row"] - i < len(activations) and 0 <= s["column"] - j < activations.shape[1]
        ]
        assert len(pairs) == s["terms"]
        if layout["window"] == "fixed":
            low[key] = product_lo * layout["depth"] * len(pairs)
        else:
            low[key] = sum(min(w * a_lo, w * a_hi) for w, _ in pairs)
        parity_sum[key] = sum((w & 1) * (a & 1) for w, a in pairs) - low[key]
    rest = word_w * word_a - sum(low[s["channel"], s["row"], s["column"]] << s["offset"] for s in segments)
    sums = {}
    for index, s in enumerate(segments):
        key = (s["channel"], s["row"], s["column"])
        if index + 1 == len(segments):
            field = rest
        else:
            above = segments[index + 1]
            gap, shared = above["offset"] - s["offset"], s["shared_bits"]
            assert shared <= 1
            bit = parity_sum[above["channel"], above["row"], above["column"]] & shared
            field = (rest - (bit << gap)) % (1 << (gap + shared))
            rest = (rest - field) >> gap
        sums[key] = field + low[key]
    return sums
