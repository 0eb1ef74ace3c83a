"""``--quantise w8a8 --calibration PICTURES``: what post-training quantisation is told and shown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from frontend.errors import ModelError
from frontend.load import Model
from frontend.lower.post_training import Recipe
from host.errors import InputError
from host.vision.picture import load_photo, network_input
from ir.types import Array

PHOTOS = {".jpg", ".jpeg", ".png", ".bmp", ".ppm"}
MOST = 32
"""Inputs that are looked at."""
ALLOWED = "w8a8, w4a8, w6a8, ...: bits of weights and activations, 2 to 8"


@dataclass(frozen=True)
class Calibration:
    """How to quantise, and where the inputs are: a folder of photos, or a .npy or .npz of inputs (N, C, H, W)."""

    recipe: Recipe
    source: Path

    @staticmethod
    def parse(widths: str, source: Path | None) -> Calibration:
        """ModelError where the widths are none or the source is missing."""
        found = re.fullmatch(r"w(\d)a(\d)", "w8a8" if widths == "int8" else widths)
        if found is None:
            raise ModelError(f"--quantise {widths}: no widths (allowed: int8, {ALLOWED})")
        if source is None:
            raise ModelError("--quantise needs --calibration: a folder of photos, or a .npy or .npz of inputs")
        return Calibration(Recipe(int(found[1]), int(found[2])), source)

    def inputs(self, model: Model) -> list[Mapping[str, Array]]:
        """Up to `MOST` inputs of the model's graph. InputError where the source holds none that fit."""
        (name, type_), *more = model.graph.inputs.items()
        if more:
            raise ModelError(f"{model.graph.name}: quantisation takes networks of one input, this has {1 + len(more)}")
        values = list(self._photos(model)) if self.source.is_dir() else list(_arrays(self.source))
        inner = model.shapes.get(name, ())[1:]
        for value in values:
            if value.shape not in (type_.shape, inner):
                raise InputError(f"{self.source}: inputs have shape {value.shape}, the network needs {type_.shape}")
        if not values:
            raise InputError(f"{self.source}: holds no photos ({', '.join(sorted(PHOTOS))})")
        return [{name: value.reshape(type_.shape)} for value in values]

    def _photos(self, model: Model) -> Iterator[Array]:
        if model.picture is None:
            raise ModelError(f"--calibration {self.source}: the network's input is no picture: give a .npy or .npz")
        paths = sorted(path for path in self.source.rglob("*") if path.suffix.lower() in PHOTOS)
        for path in paths[:: max(len(paths) // MOST, 1)][:MOST]:
            yield network_input(load_photo(path), model.picture).astype(np.int64)


def _arrays(path: Path) -> Iterator[Array]:
    """The inputs of a file: its only array, or the one of an .npz that has more than two dimensions."""
    try:
        loaded = np.load(path, allow_pickle=False)
        arrays = [loaded] if isinstance(loaded, np.ndarray) else [loaded[key] for key in loaded.files]
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: is no folder, .npy or .npz ({' '.join(str(error).split())})") from None
    stacks = [array for array in arrays if array.ndim > 1]
    if len(stacks) != 1:
        raise InputError(f"{path}: holds {len(stacks)} arrays of inputs, needs one of shape (N, ...)")
    (stack,) = stacks
    if stack.dtype.kind == "f" and not np.isfinite(stack).all():
        raise InputError(f"{path}: holds values that are not finite")
    for value in stack[:: max(len(stack) // MOST, 1)][:MOST]:
        yield value.astype(np.float64 if stack.dtype.kind == "f" else np.int64)
