"""What hetero-run is given: photos and files of raw integers, each as a frame for the network."""

from __future__ import annotations

import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from host.errors import InputError
from host.manifest import Manifest
from host.vision.picture import check_photo, load_photo, network_input, picture_of_input

Array = npt.NDArray[Any]
TENSOR_SUFFIXES = (".npy", ".npz")


@dataclass(frozen=True)
class Item:
    """One frame; ``photo`` is what findings are drawn on, None where the input is no picture."""

    path: Path
    frame: Mapping[str, Array]
    photo: Image.Image | None


def listed(paths: Sequence[Path], manifest: Manifest) -> list[Path]:
    """The paths with every folder replaced by what the network takes in it, in the order of names.

    Files that are no pictures (or, for networks without pictures, no tensors) are passed over; InputError where a
    folder holds nothing else.
    """
    pictures = Image.registered_extensions() if manifest.picture else {}
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        inside = [
            entry
            for entry in sorted(path.iterdir())
            if entry.is_file() and entry.suffix.lower() in (*pictures, *TENSOR_SUFFIXES)
        ]
        if not inside:
            kinds = "pictures, .npy or .npz files" if manifest.picture else ".npy or .npz files"
            raise InputError(f"{path}: the folder holds no {kinds}")
        found += inside
    return found


def check_input(path: Path, manifest: Manifest) -> None:
    """InputError if it is clear without running anything that the file cannot be an input of the network."""
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if path.suffix in TENSOR_SUFFIXES:
        return
    if manifest.picture is None:
        names = ", ".join(f"{name}: {manifest.tensor(name).type}" for name in manifest.inputs)
        raise InputError(f"{path}: the network takes no pictures; give a .npy or .npz file ({names})")
    check_photo(path)


def load_input(path: Path, manifest: Manifest) -> Item:
    """Reads one input; InputError if it is damaged or not what the network takes."""
    return LOADERS.get(path.suffix, _photo)(path, manifest)


def _photo(path: Path, manifest: Manifest) -> Item:
    assert manifest.picture is not None
    photo = load_photo(path)
    return Item(path, {manifest.inputs[0]: network_input(photo, manifest.picture)}, photo)


def _npy(path: Path, manifest: Manifest) -> Item:
    values = _load(path)
    if not isinstance(values, np.ndarray) or len(manifest.inputs) != 1:
        raise InputError(f"{path}: one array for the {len(manifest.inputs)} inputs {', '.join(manifest.inputs)}")
    return _tensors(path, {manifest.inputs[0]: values}, manifest)


def _npz(path: Path, manifest: Manifest) -> Item:
    arrays = load_arrays(path)
    if len(manifest.inputs) == len(arrays) == 1:
        arrays = {manifest.inputs[0]: next(iter(arrays.values()))}
    if set(arrays) != set(manifest.inputs):
        raise InputError(f"{path}: holds {', '.join(arrays)} instead of {', '.join(manifest.inputs)}")
    return _tensors(path, arrays, manifest)


def _tensors(path: Path, given: Mapping[str, Array], manifest: Manifest) -> Item:
    arrays = {name: _integers(path, name, values, manifest) for name, values in given.items()}
    for name, values in arrays.items():
        tensor = manifest.tensor(name)
        if values.shape != tensor.shape:
            raise InputError(f"{path}: input '{name}': {_other_shape(name, values, manifest)}")
        if reason := tensor.objection(values):
            raise InputError(f"{path}: {reason}")
    shown = picture_of_input(arrays[manifest.inputs[0]], manifest.picture) if manifest.picture else None
    return Item(path, arrays, shown)


def _other_shape(name: str, values: Array, manifest: Manifest) -> str:
    """What is wrong with a shape, in terms of the model's file where it has one of its own."""
    shape = manifest.shapes.get(name, manifest.tensor(name).shape)
    batched = values.shape[1:] == (shape[1:] if name in manifest.shapes else shape)
    if batched and len(values) > 1:
        return f"{len(values)} inputs in one file; give each a file of its own, of shape {shape}"
    return f"shape {values.shape} instead of {shape}"


def _integers(path: Path, name: str, values: Array, manifest: Manifest) -> Array:
    """An input as the network takes it.

    Where the manifest has the shape of the model's file, that shape is taken too, with or without a batch of one in
    front, and so are real values: quantised by the network's own quantiser, else if they hold integers."""
    tensor, shape = manifest.tensor_table.get(name), manifest.shapes.get(name)
    if tensor is None or shape is None:
        return values
    if values.shape == shape or (1, *values.shape) == shape:
        values = values.reshape(tensor.shape)
    if values.dtype.kind != "f" or values.shape != tensor.shape or not tensor.dtype.is_integer:
        return values
    if not np.isfinite(values).all():
        raise InputError(f"{path}: input '{name}' holds values that are not finite")
    if name in manifest.quantise:
        return manifest.quantise[name].integers(values)
    whole = values.astype(np.int64) if np.abs(values).max() < 2.0**62 else np.zeros(0)
    return whole if np.array_equal(whole, values) else values


def load_arrays(path: Path) -> dict[str, Array]:
    """The arrays of an .npz file; InputError where it is none."""
    arrays = _load(path)
    if not isinstance(arrays, dict):
        raise InputError(f"{path}: is one array and no .npz file")
    return arrays


def _load(path: Path) -> Any:
    """An array or, from .npz, a dict of them; never a pickle."""
    try:
        found = np.load(path, allow_pickle=False)
        return dict(found) if isinstance(found, np.lib.npyio.NpzFile) else found
    except _UNREADABLE as error:
        raise InputError(f"{path}: no file of numbers ({shorten(str(error), 120)})") from None


# What numpy, its header's parser, zipfile and zlib raise for files that are damaged, cut off, or of another kind.
_UNREADABLE = (
    OSError, ValueError, EOFError, SyntaxError, KeyError, TypeError, MemoryError, OverflowError, NotImplementedError,
    tokenize.TokenError, struct.error, zipfile.BadZipFile, zlib.error,
)  # fmt: skip

LOADERS: Mapping[str, Callable[[Path, Manifest], Item]] = {".npy": _npy, ".npz": _npz}
