"""Photos: files -> Pillow pictures -> the network's input."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from host.errors import InputError
from ir.records import Picture
from ir.resize import resize_bilinear


def check_photo(path: Path) -> None:
    """InputError unless the file starts like a picture; reads its header only."""
    try:
        with _quiet(), Image.open(path):
            pass
    except _UNREADABLE as error:
        raise _bad(path, error) from None


def load_photo(path: Path) -> Image.Image:
    """An RGB picture, turned as its EXIF orientation says; InputError if the file is none or damaged."""
    try:
        with _quiet(), Image.open(path) as image:
            return ImageOps.exif_transpose(image).convert("RGB")
    except _UNREADABLE as error:
        raise _bad(path, error) from None


def network_input(photo: Image.Image, record: Picture) -> npt.NDArray[np.uint8]:
    """RGB picture -> (3, height, width) uint8, channels in the record's order."""
    pixels = resize_bilinear(np.asarray(photo), record.width, record.height)
    ordered = pixels[:, :, ::-1] if record.order == "bgr" else pixels
    return ordered.transpose(2, 0, 1)


def picture_of_input(values: npt.NDArray[Any], record: Picture) -> Image.Image:
    """The inverse of `network_input`, at the network's size: what a raw input tensor shows."""
    pixels = values.astype(np.uint8).transpose(1, 2, 0)
    return Image.fromarray(np.ascontiguousarray(pixels[:, :, ::-1] if record.order == "bgr" else pixels))


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Pillow's warnings: a large or oddly tagged photo is no reason for a second line of output."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


# What Pillow raises for missing, foreign, truncated, damaged and absurdly large files.
_UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)


def _bad(path: Path, error: Exception) -> InputError:
    if isinstance(error, UnidentifiedImageError):
        return InputError(f"{path}: is no picture that Pillow can read")
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return InputError(f"{path}: cannot be read ({' '.join(reason.split())})")
