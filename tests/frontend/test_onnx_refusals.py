"""Bad ONNX files: one line that says what and where, in bounded time and memory, and never anything else."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

sys.path.insert(0, str(Path(__file__).parent))

from onnx_build import QONNX, Network

from frontend.errors import ModelError
from frontend.load import load_model
from frontend.lower.freeze import freeze
from frontend.lower.single import is_float
from ir.graph import GraphError

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


def refusal(path: Path, *inputs: str) -> str:
    with pytest.raises((ModelError, GraphError)) as caught:
        freeze(load_model(path, inputs=inputs).graph)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 1200
    return message


def saved(folder: Path, change: Callable[[onnx.ModelProto], None]) -> Path:
    changed = model()
    change(changed)
    path = folder / "network.onnx"
    path.write_bytes(changed.SerializeToString())
    return path


def node(m: onnx.ModelProto, operator: str) -> onnx.NodeProto:
    return next(n for n in m.graph.node if n.op_type == operator)


def constant(m: onnx.ModelProto, operator: str, position: int) -> onnx.TensorProto:
    name = node(m, operator).input[position]
    return next(c for c in m.graph.initializer if c.name == name)


def set_number(tensor: onnx.TensorProto, value: float) -> None:
    tensor.raw_data = np.array(value, np.float32).tobytes()


def _cycle(m: onnx.ModelProto) -> None:
    first, last = m.graph.node[0], m.graph.node[-1]
    first.input[0] = last.output[0]


def _huge_constant(m: onnx.ModelProto) -> None:
    m.graph.initializer.append(TensorProto(name="huge", data_type=TensorProto.FLOAT, dims=[1 << 31, 1 << 31]))


def _external(location: str) -> Callable[[onnx.ModelProto], None]:
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
    "huge constant": (_huge_constant, "constant 'huge' has shape (2147483648, 2147483648): more than 67108864"),
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
    "outside": (_external("../weights.bin"), "outside the model's folder: it is not opened"),
    "absolute": (_external("/etc/passwd"), "outside the model's folder: it is not opened"),
    "absent": (_external("weights.bin"), "'weights.bin' cannot be read (No such file or directory)"),
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


@pytest.mark.parametrize("case", CASES)
def test_refusal(case: str, tmp_path: Path) -> None:
    change, message = CASES[case]
    assert message in refusal(saved(tmp_path, lambda m: change(m) and None))


def test_external_data_beside_the_model_is_read(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(b"skip" + np.array(0.1, np.float32).tobytes())

    def change(m: onnx.ModelProto) -> None:
        _external("weights.bin")(m)
        constant(m, "Quant", 1).external_data.add(key="offset", value="4")

    frozen = freeze(load_model(saved(tmp_path, change)).graph)
    assert frozen.quantise["x"].scale == np.float32(0.1)


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(4))
    (folder / "weights.bin").symlink_to(tmp_path / "secret.bin")
    assert "outside the model's folder" in refusal(saved(folder, _external("weights.bin")))


def test_files_of_another_kind(tmp_path: Path) -> None:
    path = tmp_path / "network.onnx"
    for content in (b"", b"\x80\x04K\x01.", b"PK\x03\x04", bytes(range(256)) * 4):
        path.write_bytes(content)
        refusal(path)
    assert "cannot be read (No such file" in refusal(tmp_path / "absent.onnx")
    path.unlink()
    path.mkdir()
    assert "cannot be read (Is a directory)" in refusal(path)


def test_networks_of_floats_are_named_as_such(tmp_path: Path) -> None:
    net = Network(SHAPE)
    y = net.add("Conv", "x", net.constant(np.full((2, 3, 1, 1), 0.5)), kernel_shape=[1, 1])
    path = net.save(tmp_path, y)
    assert is_float(load_model(path).graph)
    assert "holds values that are no integers, in a network of integers" in refusal(path, "int8")
    assert "--input: 'x' cannot be divided by 255.0: the network has no quantiser" in refusal(path, "uint8/255")


@pytest.mark.parametrize("text", ["int", "float32", "x=", "uint8/0", "uint8/nan", "y=int8", "int64"])
def test_input_types_that_make_no_sense(text: str, tmp_path: Path) -> None:
    assert f"--input {text.split('=')[0]}" in refusal(saved(tmp_path, lambda m: None), text)


def linear() -> onnx.ModelProto:
    """QuantizeLinear, DequantizeLinear, and what moves values."""
    net = Network(SHAPE)
    x = net.round_trip("x", 0.02, 128, "uint8")
    weights = net.weights(np.arange(-54, 54).reshape(4, 3, 3, 3), [0.01, 0.02, 0.03, 0.04])
    y = net.round_trip(net.add("Relu", net.add("Conv", x, weights, kernel_shape=[3, 3])), 0.04, 3, "uint8")
    y = net.add("Reshape", net.add("Concat", y, y, axis=1), net.constant([0, 2, -1], "int64"))
    y = net.add("Transpose", net.add("Slice", y, *(net.constant([v], "int64") for v in (0, 9, 2))), perm=[0, 2, 1])
    return net.model(net.round_trip(net.add("Mul", y, y), 0.1, 0, "uint8"))


def integers() -> onnx.ModelProto:
    """RequantShift; the input's type is in the file."""
    net = Network(SHAPE, TensorProto.UINT8)
    y = net.add("Conv", "x", net.constant(np.arange(-54, 54).reshape(4, 3, 3, 3)), kernel_shape=[3, 3])
    factors = net.constant(np.full((4, 1, 1), 7)), net.constant(np.full((4, 1, 1), -900))
    attributes = {"div": 4096.0, "n_levels_out": 256.0, "signed": 1.0}
    y = net.add("RequantShift", y, *factors, domain="PACTOps", **attributes)
    y = net.add("ReduceMean", y, net.constant([2], "int64"), keepdims=0)
    return net.model(net.add("Pad", y, net.constant([0, 0, 1, 0, 2, 0], "int64")))


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("make", [model, linear, integers])
def test_damaged_bytes(make: Callable[[], onnx.ModelProto], tmp_path: Path) -> None:
    """Truncated, with bits flipped, with bytes exchanged: read, or refused in one line."""
    whole = make().SerializeToString()
    rng = np.random.default_rng(8)
    path = tmp_path / "network.onnx"
    refused = 0
    freeze(load_model(written(path, whole)).graph)
    for i in range(200):
        content = bytearray(whole[: int(rng.integers(len(whole)))] if i % 4 == 0 else whole)
        for _ in range(int(rng.integers(1, 6)) if i % 4 and content else 0):
            at = int(rng.integers(len(content)))
            content[at] = int(rng.integers(256)) if i % 2 else content[at] ^ (1 << int(rng.integers(8)))
        written(path, bytes(content))
        try:
            freeze(load_model(path).graph)
        except (ModelError, GraphError) as error:
            assert "\n" not in str(error)
            refused += 1
    assert refused > 60
