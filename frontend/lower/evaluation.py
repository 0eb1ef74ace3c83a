"""Values for calibration: operators in single precision, convolutions by PyTorch.

What a range or a mean error is taken from needs no more, and an ImageNet-sized network is several times as fast as in
the reference executor's float64. What has to be exact is not evaluated here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional

from ir.ops import Conv2d, Op
from ir.types import Array

BATCH = 8
"""Frames that are convolved at once: one alone keeps several cores waiting for each other."""


def evaluate(op: Op, frames: Sequence[Sequence[Array]]) -> list[Array]:
    """As ``op.evaluate`` of each frame's operands, real results rounded to float32. A convolution's weights and bias
    are those of the first frame."""
    if not isinstance(op, Conv2d):
        return [_rounded(op.evaluate(values)) for values in frames]
    constants = [torch.tensor(single(value)) for value in frames[0][1:]]
    return [
        made
        for at in range(0, len(frames), BATCH)
        for made in _convolved(op, np.stack([single(values[0]) for values in frames[at : at + BATCH]]), *constants)
    ]


def single(values: Array) -> Array:
    return np.ascontiguousarray(values, np.float32)


def _rounded(values: Array) -> Array:
    return single(values) if values.dtype.kind == "f" else values


def _convolved(op: Conv2d, x: Array, weights: torch.Tensor, bias: torch.Tensor | None = None) -> Array:
    """Of frames (N, C, H, W)."""
    top, left, bottom, right = op.padding
    given = torch.from_numpy(x)
    if (top, left) == (bottom, right):
        made = functional.conv2d(given, weights, bias, stride=op.stride, padding=(top, left), groups=op.groups)
    else:
        padded = functional.pad(given, (left, right, top, bottom))
        made = functional.conv2d(padded, weights, bias, stride=op.stride, groups=op.groups)
    return np.asarray(made.numpy())
