"""Dilated convolutions: a dilated kernel is a larger one with zeros between its taps, exactly, on every executor.

So the graph knows nothing of dilation. Kernels for pruned columns skip the zeros (`cpu_backend/sparse.py`), others do
not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ir.types import Array


def dilated_shape(shape: Sequence[int], dilations: Sequence[int]) -> tuple[int, ...]:
    """Of weights (O, I, KH[, KW]) with the zeros."""
    return (*shape[:2], *((k - 1) * d + 1 for k, d in zip(shape[2:], dilations, strict=True)))


def dilated(weights: Array, dilations: Sequence[int]) -> Array:
    """Weights (O, I, KH[, KW]) with ``dilation - 1`` zeros between taps, per spatial axis."""
    wide = np.zeros(dilated_shape(weights.shape, dilations), weights.dtype)
    wide[(slice(None), slice(None), *(slice(None, None, d) for d in dilations))] = weights
    return wide
