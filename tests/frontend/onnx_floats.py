"""A float network as the importer reads it against ONNX's own evaluator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx.reference import ReferenceEvaluator
from onnx_build import Network

from frontend.onnx.importer import import_onnx
from ir.executor import execute

SHAPE = (1, 4, 6, 8)


def compare(net: Network, output: str, folder: Path, shape: tuple[int, ...] = SHAPE, opset: int = 21) -> None:
    path = net.save(folder, output, opset=opset)
    imported = import_onnx(path)
    assert imported.kind == "floats"
    x = np.random.default_rng(1).normal(0, 2, shape).astype(np.float32)
    expected = ReferenceEvaluator(str(path)).run(None, {"x": x})[0]
    ((name, type_),) = imported.graph.inputs.items()
    values = execute(imported.graph, {name: x.reshape(type_.shape).astype(np.float64)})
    (result,) = imported.graph.outputs
    assert imported.shapes[result] == expected.shape
    assert np.allclose(values[result].reshape(expected.shape), expected, rtol=1e-4, atol=1e-5)
