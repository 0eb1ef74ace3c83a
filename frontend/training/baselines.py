"""What can be found without a network: two detectors that look at colour alone, to show that the scenes need more.

Both see the same 320x160 picture as the network and return edges (x0, x1, y0, y1) in its pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Detector = Callable[[NDArray[np.uint8]], NDArray[np.float64]]
"""[3, H, W] uint8 -> [4] edges in pixels."""
Ground = Callable[[NDArray[np.uint8]], NDArray[np.float64]]
"""[H, W, 3] uint8 -> what the ground looks like, [H, W, 3] or one colour [3]."""

SMALLEST, LARGEST = 60, 6000
"""Pixels of a plausible component: targets cover about 100 to 5000 of the 51200."""


def whole_ground(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """[H, W, 3] -> [3]: the median colour of the picture."""
    return np.asarray(np.median(pixels, axis=(0, 1)), np.float64)


def local_ground(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """[H, W, 3] -> [H, W, 3]: the median colour of 20x20 pixels around each."""
    image = Image.fromarray(np.ascontiguousarray(pixels))
    coarse = image.reduce(4).filter(ImageFilter.MedianFilter(5))
    return np.asarray(coarse.resize(image.size, Image.Resampling.BILINEAR), np.float64)


def otsu(values: NDArray[np.float64]) -> float:
    """The threshold that separates two classes best (Otsu 1979); of equal values, their value."""
    if values.min() == values.max():
        return float(values.max())
    counts, edges = np.histogram(values, 128)
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    mass = np.cumsum(counts * centres)
    with np.errstate(invalid="ignore", divide="ignore"):
        between = (mass[-1] * below / below[-1] - mass) ** 2 / (below * (below[-1] - below))
    return float(edges[1 + int(np.nanargmax(between[:-1]))])


def components(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """[H, W] labels of the 4-connected components of `mask`, 0 outside: minima spread until nothing changes."""
    height, width = mask.shape
    outside = height * width
    labels = np.where(mask, np.arange(outside).reshape(height, width), outside)
    while True:
        before = labels
        padded = np.pad(labels, 1, constant_values=outside)
        spread = np.minimum.reduce(
            (padded[1:-1, 1:-1], padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
        )
        spread = np.where(mask, spread, outside)
        # A label names a pixel: jumping to that pixel's own label halves the remaining way.
        labels = np.append(spread.ravel(), outside)[spread]
        if np.array_equal(labels, before):
            return np.where(mask, labels + 1, 0)


def best_component(picture: NDArray[np.uint8], ground: Ground) -> NDArray[np.float64]:
    """The box of the patch that differs most from the ground; the whole picture where there is none.

    Patches are the components above Otsu's threshold of the Euclidean colour distance. They are scored by mean distance
    times the root of the area, which on the training scenes did better than either alone.
    """
    pixels = np.moveaxis(picture, 0, -1)
    distance = np.sqrt(((pixels - ground(pixels)) ** 2).sum(-1))
    labels = components(distance > otsu(distance))
    _, inverse, areas = np.unique(labels, return_inverse=True, return_counts=True)
    inverse = inverse.reshape(labels.shape)
    sums = np.bincount(inverse.ravel(), weights=distance.ravel())
    score = sums / np.sqrt(areas)
    score[(areas < SMALLEST) | (areas > LARGEST)] = 0
    score[np.unique(inverse[labels == 0])] = 0
    if not score.any():
        return np.array((0, labels.shape[1], 0, labels.shape[0]), np.float64)
    rows, columns = np.nonzero(inverse == int(score.argmax()))
    return np.array((columns.min(), columns.max() + 1, rows.min(), rows.max() + 1), np.float64)


def colour_threshold(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The patch that differs most from the colour of the whole picture."""
    return best_component(picture, whole_ground)


def salient_blob(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The patch that differs most from its surroundings; their size is the best one found on the training scenes."""
    return best_component(picture, local_ground)


BASELINES: Mapping[str, Detector] = MappingProxyType({"colour": colour_threshold, "blob": salient_blob})
