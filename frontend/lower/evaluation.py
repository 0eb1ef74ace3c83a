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


def evaluate(op: Op, values: Sequence[Array]) -> Array:
    """As ``op.evaluate``, real results rounded to float32."""
    result = _convolution(op, values) if isinstance(op, Conv2d) else op.evaluate(values)
    return single(result) if result.dtype.kind == "f" else result


def single(values: Array) -> Array:
    return np.ascontiguousarray(values, np.float32)


def _convolution(op: Conv2d, values: Sequence[Array]) -> Array:
    x, w, *rest = (torch.tensor(single(value)) for value in values)
    bias = rest[0] if rest else None
    top, left, bottom, right = op.padding
    if (top, left) == (bottom, right):
        made = functional.conv2d(x[None], w, bias, stride=op.stride, padding=(top, left), groups=op.groups)
    else:
        padded = functional.pad(x, (left, right, top, bottom))
        made = functional.conv2d(padded[None], w, bias, stride=op.stride, groups=op.groups)
    return np.asarray(made[0].numpy())
