"""Small ONNX models, made by `onnx.helper`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from frontend.lower.freeze import Frozen, freeze
from frontend.onnx.importer import Imported, import_onnx
from host.vision.heads import dequantise
from ir.executor import execute
from ir.types import Array

QONNX = "qonnx.custom_op.general"


class Network:
    """Collects nodes and constants; every method returns the name of what it added."""

    def __init__(self, shape: Sequence[int], element: int = TensorProto.FLOAT) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.inputs = [helper.make_tensor_value_info("x", element, list(shape))]
        self.count = 0

    def constant(self, value: Any, dtype: str = "float32") -> str:
        self.count += 1
        name = f"c{self.count}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def add(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        self.count += 1
        name = f"{operator.lower()}{self.count}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name, domain=domain, **attributes))
        return name

    def quant(self, x: str, scale: Any, bits: int, zero: float = 0.0, **attributes: Any) -> str:
        operands = (self.constant(scale), self.constant(zero), self.constant(float(bits)))
        given = {"signed": 1, "narrow": 0, "rounding_mode": "ROUND"} | attributes
        return self.add("Quant", x, *operands, domain=QONNX, **given)

    def round_trip(self, x: str, scale: Any, zero: Any, dtype: str, axis: int | None = None) -> str:
        """QuantizeLinear and DequantizeLinear."""
        s, z = self.constant(scale), self.constant(zero, dtype)
        more = {} if axis is None else {"axis": axis}
        return self.add("DequantizeLinear", self.add("QuantizeLinear", x, s, z, **more), s, z, **more)

    def weights(self, integers: Array, scale: Any, axis: int = 0) -> str:
        """Stored integers behind a DequantizeLinear."""
        s = np.asarray(scale, np.float32)
        zero = self.constant(np.zeros(s.shape), "int8")
        return self.add("DequantizeLinear", self.constant(integers, "int8"), self.constant(s), zero, axis=axis)

    def model(self, *outputs: str, opset: int = 21) -> onnx.ModelProto:
        infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
        graph = helper.make_graph(self.nodes, "network", self.inputs, infos, self.constants)
        domains = [helper.make_opsetid("", opset), helper.make_opsetid(QONNX, 1)]
        return helper.make_model(graph, opset_imports=domains, ir_version=10)

    def save(self, folder: Path, *outputs: str, opset: int = 21) -> Path:
        path = folder / "network.onnx"
        onnx.save(self.model(*outputs, opset=opset), path)
        return path


def integers_of(path: Path) -> tuple[Imported, Frozen]:
    imported = import_onnx(path)
    return imported, freeze(imported.graph)


def run(imported: Imported, frozen: Frozen, x: Array) -> Array:
    """The real output of the integer network for one real input in the file's shape."""
    (name,) = frozen.graph.inputs
    shape = frozen.graph.inputs[name].shape
    values = execute(frozen.graph, {name: frozen.quantise[name].integers(x.reshape(shape))})
    (output,) = frozen.graph.outputs
    real = dequantise(values[output], frozen.dequantise[output])
    return np.asarray(real.reshape(imported.shapes[imported.graph.outputs[0]]))
