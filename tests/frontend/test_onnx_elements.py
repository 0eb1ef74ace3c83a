"""Integers of 4 bits, bfloat16, constants in nodes, shares of quantised tensors: by ONNX's definitions in float64."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

sys.path.insert(0, str(Path(__file__).parent))

from onnx_build import Network, integers_of, run
from onnx_floats import SHAPE, compare
from test_onnx_qoperators import MICROSOFT

from frontend.errors import ModelError
from frontend.lower.freeze import freeze
from frontend.onnx.importer import import_onnx
from ir.types import Array

RNG = np.random.default_rng(9)
SCALES = np.array([0.25, 0.125, 0.5])


def four_bits(net: Network, values: Array, element: int) -> str:
    """A constant of two values a byte."""
    name = f"four{len(net.constants)}"
    net.constants.append(helper.make_tensor(name, element, values.shape, values.ravel().tolist()))
    return name


def saved(net: Network, y: str, folder: Path, form: str) -> Path:
    """``form``: where the file holds its constants."""
    model = net.model(y)
    path = folder / "network.onnx"
    if form == "nodes":
        nodes = [helper.make_node("Constant", [], [each.name], value=each) for each in model.graph.initializer]
        del model.graph.initializer[:]
        kept = list(model.graph.node)
        del model.graph.node[:]
        model.graph.node.extend([*nodes, *kept])
    onnx.save(model, path, save_as_external_data=form == "beside", location="weights.bin", size_threshold=0)
    return path


@pytest.mark.parametrize("form", ["inside", "nodes", "beside"])
@pytest.mark.parametrize("element", [TensorProto.INT4, TensorProto.UINT4])
def test_weights_of_four_bits(element: int, form: str, tmp_path: Path) -> None:
    lo, zero = (-8, 0) if element == TensorProto.INT4 else (0, 5)
    integers = RNG.integers(lo, lo + 16, (3, 4, 3, 3))
    net = Network(SHAPE)
    zeros = four_bits(net, np.full(3, zero), element)
    w = net.add("DequantizeLinear", four_bits(net, integers, element), net.constant(SCALES), zeros, axis=0)
    y = net.add("Conv", net.round_trip("x", 0.25, 0, "int8"), w, kernel_shape=[3, 3])
    imported, frozen = integers_of(saved(net, net.round_trip(y, 2.0, 3, "uint8"), tmp_path, form))
    x = RNG.integers(-40, 40, SHAPE) * 0.25
    windows = np.lib.stride_tricks.sliding_window_view(x[0], (3, 3), axis=(1, 2))
    sums = np.einsum("ihwkl,oikl->ohw", windows, (integers - zero) * SCALES[:, None, None, None])
    expected = np.clip(np.rint(sums / 2.0), -3, 252) * 2.0
    assert len(np.unique(expected)) > 20
    assert np.array_equal(run(imported, frozen, x)[0], expected)


@pytest.mark.parametrize(("element", "lo"), [(TensorProto.INT4, -8), (TensorProto.UINT4, 0)])
@pytest.mark.parametrize("stated", [False, True])
def test_activations_of_four_bits(element: int, lo: int, stated: bool, tmp_path: Path) -> None:
    """The type of the levels is that of the zero point, or an attribute's."""
    net = Network(SHAPE)
    scale = net.constant(0.5)
    zero = () if stated else (four_bits(net, np.array(lo + 3), element),)
    attributes = {"output_dtype": element} if stated else {}
    fine = net.round_trip("x", 0.25, 0, "int8")
    y = net.add("DequantizeLinear", net.add("QuantizeLinear", fine, scale, *zero, **attributes), scale, *zero)
    imported, frozen = integers_of(net.save(tmp_path, y))
    x = RNG.integers(-40, 40, SHAPE) * 0.25
    offset = 0 if stated else lo + 3
    expected = (np.clip(np.rint(x / 0.5) + offset, lo, lo + 15) - offset) * 0.5
    assert np.array_equal(run(imported, frozen, x), expected)


def test_scales_of_blocks_are_refused_by_name(tmp_path: Path) -> None:
    net = Network(SHAPE)
    weights = four_bits(net, np.zeros((3, 4), np.int64), TensorProto.INT4)
    w = net.add("DequantizeLinear", weights, net.constant(np.ones((3, 2))), axis=1, block_size=2)
    y = net.add("MatMul", "x", w)
    with pytest.raises(ModelError, match=r"\(DequantizeLinear\): attribute 'block_size' is 2: scales of blocks"):
        import_onnx(net.save(tmp_path, y))


@pytest.mark.parametrize("form", ["inside", "beside"])
def test_bfloat16_is_read_as_floats(form: str, tmp_path: Path) -> None:
    net = Network(SHAPE)
    values = np.array([1.5, -0.375, 3.140625, 2.0**-100]).reshape(1, 4, 1, 1)
    net.constants.append(helper.make_tensor("b", TensorProto.BFLOAT16, values.shape, values.ravel().tolist()))
    path = saved(net, net.add("Mul", "x", net.add("Cast", "b", to=TensorProto.FLOAT)), tmp_path, form)
    constants = import_onnx(path).graph.constants.values()
    assert any(np.array_equal(constant, values.ravel()) for constant in constants)


@pytest.mark.parametrize("indices", [[2], [3, 1], [0, 2, 1, 3], [-1, -1, 0], 1])
@pytest.mark.parametrize("axis", [1, 3])
def test_gather(indices: list[int] | int, axis: int, tmp_path: Path) -> None:
    net = Network(SHAPE)
    compare(net, net.add("Relu", net.add("Gather", "x", net.constant(indices, "int64"), axis=axis)), tmp_path)


def test_shares_of_a_quantised_tensor(tmp_path: Path) -> None:
    net = Network((1, 10))
    scale, zero = net.constant(0.125), net.constant(120, "uint8")
    x = net.add("QuantizeLinear", "x", scale, zero)
    levels = net.constant(1 / 256), net.constant(0, "uint8")
    y = net.add("QLinearSoftmax", x, scale, zero, *levels, domain=MICROSOFT, axis=1, opset=11)
    model = net.model(net.add("DequantizeLinear", y, *levels))
    model.opset_import.append(helper.make_opsetid(MICROSOFT, 1))
    onnx.save(model, tmp_path / "network.onnx")
    imported = import_onnx(tmp_path / "network.onnx")
    frozen = freeze(imported.graph, fallback=True)
    values = RNG.integers(-30, 30, (1, 10)) * 0.125
    shares = np.exp(values) / np.exp(values).sum()
    assert np.array_equal(run(imported, frozen, values), np.clip(np.rint(shares * 256), 0, 255) / 256)


def test_shares_of_old_operators_join_axes(tmp_path: Path) -> None:
    net = Network(SHAPE)
    with pytest.raises(ModelError, match=r"\(Softmax\): joins the axes \[1, 2, 3\] of \(1, 4, 6, 8\)"):
        import_onnx(net.save(tmp_path, net.add("Softmax", "x"), opset=11))
    net = Network(SHAPE)
    compare(net, net.add("Softmax", "x", axis=3), tmp_path, opset=11)
    flat = Network((1, 5))
    compare(flat, flat.add("LogSoftmax", "x"), tmp_path, (1, 5), opset=11)
