"""Bilinear resize in integers: the one formula that every executor of a picture record follows.

With half-pixel centres and without antialiasing, as OpenCV's INTER_LINEAR on uint8. Along an axis of ``n`` source and
``m`` target pixels, target pixel ``i`` lies at ``((2i + 1) n - m) / 2m``; its whole part is the first of two source
pixels (both clamped into the picture), its fraction, times 2048 and rounded half to even, the weight ``w`` of the
second; the first weighs ``2048 - w``. Rows first, then columns::

    S = left * (2048 - wx) + right * wx                                        (19 bits)
    out = ((((2048 - wy) * (S_above >> 4)) >> 16) + ((wy * (S_below >> 4)) >> 16) + 2) >> 2

Source of the second line: VResizeLinear<uchar, int, short> in OpenCV's modules/imgproc/src/resize.cpp. OpenCV computes
the fraction in float32, which may move a weight by one where ``n / m`` is no short binary fraction.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

ONE = 2048

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int32]


def resize_bilinear(picture: Bytes, width: int, height: int) -> Bytes:
    """(h, w, channels) uint8 -> (height, width, channels) uint8."""
    above, below, weight_y = _taps(picture.shape[0], height)
    left, right, weight_x = _taps(picture.shape[1], width)
    first, second = ONE - weight_x[:, None], weight_x[:, None]

    def across(rows: npt.NDArray[np.intp]) -> Ints:
        lines = picture[rows]
        sums: Ints = lines[:, left] * first + lines[:, right] * second
        return sums >> 4

    upper = (across(above) * (ONE - weight_y[:, None, None])) >> 16
    lower = (across(below) * weight_y[:, None, None]) >> 16
    return ((upper + lower + 2) >> 2).astype(np.uint8)


def positions(source: int, target: int) -> tuple[npt.NDArray[np.int64], Ints]:
    """For each target pixel the whole part of where it lies, from -1 to ``source - 1``, and the weight of the pixel
    behind it."""
    whole, rest = np.divmod((2 * np.arange(target, dtype=np.int64) + 1) * source - target, 2 * target)
    return whole, np.rint(rest * ONE / (2 * target)).astype(np.int32)


def _taps(source: int, target: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Ints]:
    """For each target pixel the two source pixels and the second one's weight."""
    whole, weight = positions(source, target)
    return np.clip(whole, 0, source - 1), np.clip(whole + 1, 0, source - 1), weight
