"""Bad ONNX models: a small quantised network, and what is wrong with each copy of it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

sys.path.insert(0, str(Path(__file__).parent))

from onnx_build import QONNX, Network

SHAPE = (1, 3, 6, 6)


def small() -> Network:
    """A quantised convolution; its result is the last node's output."""
    net = Network(SHAPE)
    x = net.quant("x", 0.1, 4)
    weights = net.quant(net.constant(np.linspace(-1, 1, 4 * 3 * 9).reshape(4, 3, 3, 3)), 0.2, 3)
    net.quant(net.add("Conv", x, weights, kernel_shape=[3, 3]), 0.5, 4)
    return net


def model() -> onnx.ModelProto:
    net = small()
    return net.model(net.nodes[-1].output[0])


def node(m: onnx.ModelProto, operator: str) -> onnx.NodeProto:
    return next(n for n in m.graph.node if n.op_type == operator)


def constant(m: onnx.ModelProto, operator: str, position: int) -> onnx.TensorProto:
    name = node(m, operator).input[position]
    return next(c for c in m.graph.initializer if c.name == name)


def weights_of(m: onnx.ModelProto) -> onnx.TensorProto:
    """The constant of the convolution's weights, which a quantiser reads."""
    quantiser = next(n for n in m.graph.node if n.output[0] == node(m, "Conv").input[1])
    return next(c for c in m.graph.initializer if c.name == quantiser.input[0])


def set_number(tensor: onnx.TensorProto, value: float) -> None:
    tensor.raw_data = np.array(value, np.float32).tobytes()


def _cycle(m: onnx.ModelProto) -> None:
    first, last = m.graph.node[0], m.graph.node[-1]
    first.input[0] = last.output[0]


def _huge_constant(m: onnx.ModelProto) -> None:
    m.graph.initializer.append(TensorProto(name="huge", data_type=TensorProto.FLOAT, dims=[1 << 31, 1 << 31]))


def external(location: str) -> Callable[[onnx.ModelProto], None]:
    def change(m: onnx.ModelProto) -> None:
        tensor = constant(m, "Quant", 1)
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)

    return change


def _reshape(tensor: onnx.TensorProto, shape: tuple[int, ...]) -> None:
    tensor.CopyFrom(numpy_helper.from_array(np.linspace(0.1, 0.2, *shape, dtype=np.float32), tensor.name))


def _add_node(operator: str, domain: str = "", **attributes: object) -> Callable[[onnx.ModelProto], None]:
    def change(m: onnx.ModelProto) -> None:
        source = m.graph.output[0].name
        m.graph.node.append(helper.make_node(operator, [source], ["last"], "last", domain=domain, **attributes))
        m.graph.output[0].name = "last"

    return change


def _shape(*shape: object) -> Callable[[onnx.ModelProto], None]:
    def change(m: onnx.ModelProto) -> None:
        m.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", TensorProto.FLOAT, list(shape)))

    return change


CASES: dict[str, tuple[Callable[[onnx.ModelProto], object], str]] = {
    "cycle": (_cycle, "depends on its own result"),
    "dangling": (lambda m: node(m, "Conv").input.__setitem__(1, "nowhere"), "reads 'nowhere', which nothing defines"),
    "twice": (lambda m: m.graph.node.append(m.graph.node[0]), "is defined twice"),
    "no output": (lambda m: m.graph.ClearField("output"), "has no outputs"),
    "stray output": (lambda m: setattr(m.graph.output[0], "name", "stray"), "output 'stray' is made by no node"),
    "no nodes": (lambda m: m.graph.ClearField("node"), "has no nodes"),
    "huge constant": (_huge_constant, "constant 'huge' has shape (2147483648, 2147483648): more than 134217728"),
    "huge input": (_shape(1, 3, 1 << 31, 1 << 31), "input 'x' has shape (1, 3, 2147483648, 2147483648): more than"),
    "open shape": (_shape(1, 3, "height", 6), "input 'x': axis 2 is 'height': export with static shapes"),
    "empty input": (_shape(1, 3, 0, 6), "whose extents have to be at least 1"),
    "batch": (_shape(7, 3, 6, 6), "input 'x' has shape (7, 3, 6, 6): more than three axes beside a batch of 1"),
    "future": (lambda m: setattr(m.opset_import[0], "version", 99), "ONNX of opset 99 is not read (allowed: 7 to 26)"),
    "nan scale": (lambda m: set_number(constant(m, "Quant", 1), np.nan), "scale holds values that are not finite"),
    "zero scale": (lambda m: set_number(constant(m, "Quant", 1), 0.0), "scale has to be above 0"),
    "negative scale": (lambda m: set_number(constant(m, "Quant", 1), -1.0), "scale has to be above 0"),
    "bits": (lambda m: set_number(constant(m, "Quant", 3), 4096.0), "bit_width 4096 is not supported"),
    "half a bit": (lambda m: set_number(constant(m, "Quant", 3), 4.5), "bit_width is 4.5, has to be a whole number"),
    "short data": (lambda m: setattr(constant(m, "Quant", 1), "raw_data", b"ab"), "is damaged"),
    "outside": (external("../weights.bin"), "outside the model's folder: it is not opened"),
    "absolute": (external("/etc/passwd"), "outside the model's folder: it is not opened"),
    "absent": (external("weights.bin"), "'weights.bin' cannot be read (No such file or directory)"),
    "operator": (_add_node("LSTM", hidden_size=3), "node 'last' (LSTM): operator LSTM is not supported (allowed: Abs"),
    "domain": (_add_node("Relu", "ai.unknown"), "operator ai.unknown::Relu is not supported"),
    "falling": (_add_node("LeakyRelu", alpha=-1.0), "node 'last' (LeakyRelu): leaky falls: a is -1.0"),
    "kernel": (_add_node("MaxPool", kernel_shape=[9, 9]), "window (9, 9) is larger than the input"),
    "strides": (_add_node("MaxPool", kernel_shape=[2, 2], strides=[0, 1]), "need to be positive"),
    "pads": (_add_node("MaxPool", kernel_shape=[2, 2], pads=[1 << 40] * 4), "is out of bounds"),
    "axis": (_add_node("Flatten", axis=9), "axis 9 is none of 4"),
    "perm": (_add_node("Transpose", perm=[0, 0, 1, 2]), "perm [0, 0, 1, 2] is no order of 4 axes"),
    "dilated": (lambda m: node(m, "Conv").attribute.append(helper.make_attribute("dilations", [60000] * 2)), "kernel"),
    "scales": (lambda m: _reshape(constant(m, "Quant", 1), (7,)), "does not broadcast to"),
    "cast": (_add_node("Cast", to=TensorProto.INT8), "casts real values to integers, which truncates"),
    "attribute": (_add_node("Flatten", axis="one"), "attribute 'axis' of 'last' is of another kind than INT"),
    "operands": (_add_node("Quant", QONNX), "operand 1 ('') has to be a constant"),
    "name": (lambda m: setattr(m.graph.node[0], "name", "a\nb"), "holds characters that cannot be printed"),
}  # fmt: skip
