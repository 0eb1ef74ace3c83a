"""Bad ONNX files: one line that says what and where, and never anything else; most of them are in `tests/flow`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

sys.path.insert(0, str(Path(__file__).parent))

from bad_onnx import SHAPE, constant, external, model, weights_of
from onnx_build import Network

from frontend.errors import ModelError
from frontend.load import load_model
from frontend.lower.freeze import freeze
from frontend.lower.single import is_float
from ir.graph import GraphError


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


def test_external_data_beside_the_model_is_read(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(b"skip" + np.array(0.1, np.float32).tobytes())

    def change(m: onnx.ModelProto) -> None:
        external("weights.bin")(m)
        constant(m, "Quant", 1).external_data.add(key="offset", value="4")

    frozen = freeze(load_model(saved(tmp_path, change)).graph)
    assert frozen.quantise["x"].scale == np.float32(0.1)


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_weights_of_other_floats_are_read_as_they_are(dtype: str, tmp_path: Path) -> None:
    """Not as float32: the same integers as numpy's of the same values."""
    values = np.random.default_rng(0).normal(0, 0.4, (4, 3, 3, 3)).astype(dtype)

    def change(m: onnx.ModelProto) -> None:
        tensor = weights_of(m)
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))

    graph = freeze(load_model(saved(tmp_path, change)).graph).graph
    expected = np.clip(np.rint(values.astype(np.float64) / np.float64(np.float32(0.2))), -4, 3)
    assert any(np.array_equal(constant, expected) for constant in graph.constants.values())


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(4))
    (folder / "weights.bin").symlink_to(tmp_path / "secret.bin")
    assert "outside the model's folder" in refusal(saved(folder, external("weights.bin")))


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
