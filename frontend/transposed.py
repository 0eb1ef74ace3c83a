"""Transposed convolutions as convolutions: each of the stride's positions inside a block is a channel of its own, and
`DepthToSpace` puts them where they belong (Shi et al., "Is the deconvolution layer the same as a convolutional layer?",
arXiv:1609.07009)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from ir.ops import Conv2d
from ir.types import Array


@dataclass(frozen=True)
class _Axis:
    """Of an axis: ``taps`` (phase, tap of the transposed kernel, tap of the convolution's kernel), the length of that
    kernel, the pads in front and behind, and the blocks that are made."""

    taps: tuple[tuple[int, int, int], ...]
    length: int
    front: int
    behind: int
    blocks: int


def _axis(extent: int, kernel: int, stride: int, pad: int, size: int) -> _Axis:
    """Pixel ``stride * q + r`` is the sum of the ``x[i] * w[k]`` with ``stride * i + k = stride * q + r + pad``."""
    found = []
    for r in range(stride):
        block, first = divmod(r + pad, stride)
        found += [(r, k, block - (k - first) // stride) for k in range(first, kernel, stride)]
    least = min(0, *(i for _, _, i in found))
    length = max(0, *(i for _, _, i in found)) - least + 1
    blocks = -(-size // stride)
    behind = max(0, blocks - extent + least + length - 1)
    return _Axis(tuple((r, k, i - least) for r, k, i in found), length, -least, behind, blocks)


@dataclass(frozen=True, eq=False)
class Transposed:
    """A convolution whose weights are the transposed one's of `spread`; its result, as `DepthToSpace` (``crd``) with
    ``stride`` for a block leaves it, begins with the wanted ``size``."""

    op: Conv2d
    rows: _Axis
    columns: _Axis
    stride: int
    size: tuple[int, int]

    @staticmethod
    def of(
        extents: Sequence[int], kernel: Sequence[int], stride: int, cut: Sequence[int], size: Sequence[int], groups: int
    ) -> Transposed:
        """``extents`` and ``size``: rows and columns before and behind; ``cut``: those that are cut off in front."""
        parts = zip(extents, kernel, cut, size, strict=True)
        rows, columns = (_axis(n, k, stride, p, m) for n, k, p, m in parts)
        op = Conv2d((1, 1), (rows.front, columns.front, rows.behind, columns.behind), groups)
        return Transposed(op, rows, columns, stride, (size[0], size[1]))

    def spread(self, weights: Array) -> Array:
        """(O, I/groups, KH, KW) of the transposed kernel -> (O * stride^2, I/groups, rows, columns), channels in the
        order of ``crd``."""
        o, i = weights.shape[:2]
        s = self.stride
        wide = np.zeros((o, s, s, i, self.rows.length, self.columns.length), weights.dtype)
        for (r, k, row), (c, m, column) in product(self.rows.taps, self.columns.taps):
            wide[:, r, c, :, row, column] = weights[:, :, k, m]
        return wide.reshape(o * s * s, i, self.rows.length, self.columns.length)


def outputs_first(weights: Array, groups: int) -> Array:
    """A transposed convolution's weights (I, O/groups, ...) as (O, I/groups, ...)."""
    inputs, outputs = weights.shape[:2]
    split = weights.reshape(groups, inputs // groups, outputs, *weights.shape[2:])
    return split.swapaxes(1, 2).reshape(groups * outputs, inputs // groups, *weights.shape[2:])
