"""From a picture to the network's input, in the integers of the published networks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ir.records import Picture
from ir.resize import resize_bilinear


def network_input(picture: NDArray[np.uint8], spec: Picture) -> NDArray[np.uint8]:
    """[H, W, 3] RGB picture -> [3, height, width] uint8 in the network's colour order."""
    small = resize_bilinear(picture, spec.width, spec.height)
    return np.ascontiguousarray(np.moveaxis(small if spec.order == "rgb" else small[..., ::-1], -1, 0))


def load_rgb(path: str) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))
