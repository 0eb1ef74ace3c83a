"""A network of MobileNetV2's shape as onnxruntime's quantiser writes it: QDQ, or operators of quantised tensors.

Scales and zero points are those of the ranges that the network itself has on a few inputs, weights are per channel, and
biases are int32 in steps of input scale times weight scale.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx_exact import conv

from ir.types import Array

BLOCKS = ((1, 8, 1), (4, 12, 2), (4, 12, 1), (4, 16, 2), (4, 16, 1))
"""(expansion, outputs, stride) of the inverted residuals."""
MICROSOFT = "com.microsoft"


@dataclass(frozen=True, eq=False)
class Tensor:
    """``name`` is of integers; ``values`` what the float network has there."""

    name: str
    scale: str
    zero: str
    values: Array


class Exporter:
    """``form``: "qdq" or "qoperator"; ``dtype``: of activations; ``clip``: whether Clip stays between a convolution and
    its quantiser (ReLU6, which onnxruntime removes where the quantiser's range does the same)."""

    def __init__(self, form: str, dtype: str, clip: bool, seed: int = 0) -> None:
        self.form, self.dtype, self.clip = form, np.dtype(dtype), clip
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.kept: list[Tensor] = []

    def network(self, path: Path) -> list[Tensor]:
        """Writes the file; the tensors whose integers are its outputs, behind a DequantizeLinear each."""
        x = self.rng.normal(0, 1, (4, 3, 32, 32))
        y = self.input(x)
        y = self.convolution(y, 8, 3, 2, True)
        for expansion, outputs, stride in BLOCKS:
            y = self.block(y, expansion, outputs, stride)
        y = self.convolution(y, 24, 1, 1, True)
        y = self.classifier(self.mean(y), 10)
        outputs = [self.real(t, f"{t.name}.out") for t in self.kept]
        given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 32, 32])
        made = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
        graph = helper.make_graph(self.nodes, "mobilenet", [given], made, self.constants)
        domains = [helper.make_opsetid("", 13), helper.make_opsetid(MICROSOFT, 1)]
        onnx.save(helper.make_model(graph, opset_imports=domains, ir_version=8), path)
        return self.kept

    def block(self, x: Tensor, expansion: int, outputs: int, stride: int) -> Tensor:
        channels = x.values.shape[1]
        y = self.convolution(x, expansion * channels, 1, 1, True) if expansion > 1 else x
        y = self.convolution(y, expansion * channels, 3, stride, True, groups=expansion * channels)
        y = self.convolution(y, outputs, 1, 1, False)
        return self.sum(y, x) if channels == outputs and stride == 1 else y

    def constant(self, values: Array, dtype: str) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values).astype(dtype), name))
        return name

    def node(self, operator: str, *inputs: str, domain: str = "", **attributes: object) -> str:
        name = f"{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], name, domain=domain, **attributes))
        return name

    def range(self, values: Array) -> tuple[str, str]:
        """(scale, zero point) of a tensor, as onnxruntime's MinMax calibration has them."""
        info = np.iinfo(self.dtype)
        lo, hi = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
        scale = np.float32((hi - lo) / 255)
        return self.constant(scale, "float32"), self.constant(np.rint(info.min - lo / scale), self.dtype.name)

    def input(self, x: Array) -> Tensor:
        scale, zero = self.range(x)
        return Tensor(self.node("QuantizeLinear", "x", scale, zero), scale, zero, x)

    def real(self, x: Tensor, name: str = "") -> str:
        made = self.node("DequantizeLinear", x.name, x.scale, x.zero)
        if name:
            self.nodes[-1].output[0] = made = name
        return made

    def result(self, real: str, values: Array) -> Tensor:
        scale, zero = self.range(values)
        return self.keep(Tensor(self.node("QuantizeLinear", real, scale, zero), scale, zero, values))

    def keep(self, made: Tensor) -> Tensor:
        self.kept.append(made)
        return made

    def weights(self, x: Tensor, shape: tuple[int, ...], bias: Array) -> tuple[Array, tuple[str, str, str], str, Array]:
        """(real weights, their integers, scales and zero points, the bias' integers, the bias' scales)."""
        w = self.rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape)
        scale = (np.abs(w).reshape(len(w), -1).max(1) / 127).astype(np.float32)
        integers = np.rint(w / scale.reshape(-1, *[1] * (w.ndim - 1)))
        step = np.float32(numpy_helper.to_array(next(c for c in self.constants if c.name == x.scale)))
        steps = (step * scale).astype(np.float32)
        names = (self.constant(integers, "int8"), self.constant(scale, "float32"), self.constant(0 * scale, "int8"))
        return w, names, self.constant(np.rint(bias / steps), "int32"), steps

    def convolution(self, x: Tensor, outputs: int, kernel: int, stride: int, relu6: bool, groups: int = 1) -> Tensor:
        bias = self.rng.normal(0, 0.3, outputs)
        w, names, b, steps = self.weights(x, (outputs, x.values.shape[1] // groups, kernel, kernel), bias)
        pads = [kernel // 2] * 4
        attributes = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": pads, "group": groups}
        values = conv(attributes, x.values, w, bias)
        values = np.clip(values, 0, 6) if relu6 else values
        if self.form == "qoperator" and not (relu6 and self.clip):
            scale, zero = self.range(values)
            operands = (x.name, x.scale, x.zero, *names, scale, zero, b)
            return self.keep(Tensor(self.node("QLinearConv", *operands, **attributes), scale, zero, values))
        real_bias = self.node("DequantizeLinear", b, self.constant(steps, "float32"), axis=0)
        y = self.node("Conv", self.real(x), self.node("DequantizeLinear", *names, axis=0), real_bias, **attributes)
        if relu6 and self.clip:
            y = self.node("Clip", y, self.constant(0, "float32"), self.constant(6, "float32"))
        return self.result(y, values)

    def sum(self, x: Tensor, y: Tensor) -> Tensor:
        values = x.values + y.values
        if self.form == "qdq":
            return self.result(self.node("Add", self.real(x), self.real(y)), values)
        scale, zero = self.range(values)
        operands = (x.name, x.scale, x.zero, y.name, y.scale, y.zero, scale, zero)
        return self.keep(Tensor(self.node("QLinearAdd", *operands, domain=MICROSOFT), scale, zero, values))

    def mean(self, x: Tensor) -> Tensor:
        values = x.values.mean((2, 3), keepdims=True)
        if self.form == "qdq":
            return self.result(self.node("GlobalAveragePool", self.real(x)), values)
        scale, zero = self.range(values)
        operands = (x.name, x.scale, x.zero, scale, zero)
        name = self.node("QLinearGlobalAveragePool", *operands, domain=MICROSOFT, channels_last=0)
        return self.keep(Tensor(name, scale, zero, values))

    def classifier(self, x: Tensor, outputs: int) -> Tensor:
        flat = x.values[:, :, 0, 0]
        bias = self.rng.normal(0, 0.3, outputs)
        w, names, b, steps = self.weights(x, (outputs, flat.shape[1]), bias)
        values = flat @ w.T + bias
        moved = Tensor(self.node("Flatten", x.name), x.scale, x.zero, flat)
        if self.form == "qdq":
            real_bias = self.node("DequantizeLinear", b, self.constant(steps, "float32"), axis=0)
            weights = self.node("DequantizeLinear", *names, axis=0)
            return self.result(self.node("Gemm", self.real(moved), weights, real_bias, transB=1), values)
        scale, zero = self.range(values)
        operands = (moved.name, moved.scale, moved.zero, *names, b, scale, zero)
        made = self.node("QGemm", *operands, domain=MICROSOFT, transB=1, alpha=1.0)
        return self.keep(Tensor(made, scale, zero, values))
