"""From a picture to the network's input, in the integers of the published networks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ir.records import Picture

COEFFICIENT_BITS = 11


def resized(picture: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """[H, W, 3] -> [height, width, 3] bilinear without antialiasing.

    Half-pixel centres, weights of 11 bits per axis, one rounding at the end: `(sum + 2^21) >> 22`.
    """
    (y0, y1, wy), (x0, x1, wx) = _taps(picture.shape[0], height), _taps(picture.shape[1], width)
    one = 1 << COEFFICIENT_BITS
    columns = np.unique(np.concatenate((y0, y1)), return_inverse=True)
    used = picture[columns[0]].astype(np.int32)
    rows = (used[:, x0] * (one - wx)[:, None] + used[:, x1] * wx[:, None]) >> 4
    top, bottom = np.split(columns[1], 2)
    upper, lower = rows[top] * (one - wy)[:, None, None], rows[bottom] * wy[:, None, None]
    return (((upper >> 16) + (lower >> 16) + 2) >> 2).astype(np.uint8)


def _taps(size: int, target: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
    """Lower and upper source index, and the 11-bit weight of the upper one, for each target position."""
    position = (np.arange(target) + 0.5) * size / target - 0.5
    lower = np.floor(position).astype(np.int64)
    weight = np.rint((position - lower) * (1 << COEFFICIENT_BITS)).astype(np.int32)
    return lower.clip(0, size - 1), (lower + 1).clip(0, size - 1), weight


def network_input(picture: NDArray[np.uint8], spec: Picture) -> NDArray[np.uint8]:
    """[H, W, 3] RGB picture -> [3, height, width] uint8 in the network's colour order."""
    small = resized(picture, spec.width, spec.height)
    return np.ascontiguousarray(np.moveaxis(small if spec.order == "rgb" else small[..., ::-1], -1, 0))


def load_rgb(path: str) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))
