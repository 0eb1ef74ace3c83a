"""ONNX files of the shared data: integer networks with their inputs and outputs, as they come."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from frontend.onnx.importer import Imported, InputType, import_onnx
from frontend.onnx.model import read_onnx
from ir.types import Array, DType


def integer_cases(root: Path) -> list[str]:
    """Every folder with a network and its vectors, relative to ``root``; none where the data is absent."""
    folder = root / "integer_onnx"
    found = sorted(folder.glob("**/network.onnx")) if folder.is_dir() else []
    return [str(path.parent.relative_to(folder)) for path in found]


def load_case(root: Path, case: str) -> tuple[Imported, dict[str, Array], list[Array]]:
    """The imported network, its input by the graph's names, and the outputs as the file's authors have them.

    The files say float for integers: the narrowest type that holds a given input stands in for what a user knows.
    """
    folder = root / "integer_onnx" / case
    source = read_onnx(folder / "network.onnx")
    with np.load(folder / "inputs.npz") as arrays, np.load(folder / "outputs.npz") as results:
        values = [arrays[name] for name in arrays.files][: len(source.inputs)]  # some files give the weights too
        outputs = [results[name].astype(np.int64) for name in results.files]
    types = [byte_type(v, given.name) for v, given in zip(values, source.inputs, strict=True)]
    imported = import_onnx(folder / "network.onnx", types)
    frame = {
        name: value.astype(np.int64).reshape(type_.shape)
        for (name, type_), value in zip(imported.graph.inputs.items(), values, strict=True)
    }
    return imported, frame, outputs


def byte_type(values: Array, name: str) -> InputType:
    """uint8 or int8 where the values fit, else the narrowest type."""
    lo, hi = int(values.min()), int(values.max())
    byte = DType("uint", 8) if lo >= 0 and hi < 256 else DType("int", 8) if lo >= -128 and hi < 128 else None
    return InputType(byte or DType.holding(lo, hi), name)
