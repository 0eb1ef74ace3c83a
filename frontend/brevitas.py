"""Live modules of Brevitas: exported to QONNX by Brevitas itself, then read like any QONNX file."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import nn

from frontend.errors import ModelError
from frontend.load import Model
from frontend.onnx.importer import import_onnx

NEEDED = ("brevitas", "onnxoptimizer", "onnxscript")


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Without the logger's warnings, which are about operators that the exporter would know with more packages."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def load_brevitas(module: nn.Module, shape: Sequence[int], name: str = "network") -> Model:
    """The network of a module built of Brevitas' layers, for inputs of ``shape`` (batch of 1 included).

    Its first layer has to quantise the input (`QuantIdentity`). ModelError where Brevitas is not installed, cannot
    export the module, or exports what is not supported.
    """
    missing = [package for package in NEEDED if importlib.util.find_spec(package) is None]
    if missing:
        raise ModelError(f"{name}: {', '.join(missing)} not installed (pip install 'hetero-compile[brevitas]')")
    from brevitas.export import export_qonnx

    with TemporaryDirectory() as folder, _quiet("torch.onnx"):
        path = Path(folder, f"{name}.onnx")
        try:
            export_qonnx(module.eval(), torch.zeros(tuple(shape)), export_path=str(path), verbose=False)
        except Exception as error:  # whatever the user's forward raises, and export's own limits
            first = (str(error).strip().splitlines() or [""])[0]
            raise ModelError(f"{name}: Brevitas cannot export it: {type(error).__name__}: {first}") from error
        imported = import_onnx(path)
    return Model(imported.graph, None, None, "Brevitas module, exported to QONNX", imported.shapes)
