"""Cycles of depthwise 3x3 with its map (hck_depthwise3_rvv.c): by the parts that each vector of channels needs.

What maps in 16 bits and the sums in 8 bits before them save is left out: it takes a proof (`halves.py`).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ir.types import Array

LARGEST_PART = 254
"""Sum of the weights' magnitudes in a part of 16 bits, as the kernel looks at it."""
CYCLES_PER_MAC: Mapping[str, float] = {"whole": 0.076, "two": 0.089, "rows": 0.117, "four": 0.158, "pairs": 0.172}
"""At VLEN 256, less the multiply-shift as `cost.VECTOR_ELEMENT` counts it. Of 32 channels a product takes 4 beats
(nine, ten of "four"), a part after the first 8, the map 20 where `VECTOR_ELEMENT` says 38.4."""


def parts_of(weights: Array) -> str:
    """What the channels of one vector need, weights (C, 9): parts_of of the kernel."""
    m = np.abs(weights)
    before = m[:, 0] + m[:, 1]
    taken = np.minimum(m[:, 2], np.maximum(LARGEST_PART - before, 0))
    parts = {
        "whole": [m.sum(1)],
        "two": [m[:, :5].sum(1), m[:, 5:].sum(1)],
        "rows": [m[:, i : i + 3].sum(1) for i in (0, 3, 6)],
        "four": [before + taken, m[:, 2] - taken + m[:, 3] + m[:, 4]],
    }
    return next((name for name, sums in parts.items() if max(int(s.max()) for s in sums) <= LARGEST_PART), "pairs")


def fused_rate(weights: Array, fused: str, lanes: int) -> float:
    """Cycles per MAC at VLEN 256, for weights (C, 1, 3, 3); empty lanes count as filled ones. ``fused``: an
    ``hck_fused``."""
    flat = weights.reshape(len(weights), -1)
    blocks = [flat[first : first + lanes] for first in range(0, len(flat), lanes)]
    found = ["whole" if fused == "HCK_WHOLE_SUMS" else parts_of(block) for block in blocks]
    if fused == "HCK_PARTS":  # no map in 16 bits
        found = ["two" if name == "whole" else name for name in found]
    return sum(CYCLES_PER_MAC[name] for name in found) * lanes / len(flat)
