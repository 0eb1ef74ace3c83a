"""QDQ and operators of quantised tensors: the integers that ONNX's definitions give in float64, tensor by tensor."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

sys.path.insert(0, str(Path(__file__).parent))

import onnx_exact
from exported_mobilenet import MICROSOFT, Exporter
from onnx_build import Network, integers_of, run

from frontend.errors import ModelError
from ir.executor import execute
from ir.kinds import kind_of


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("dtype", ["uint8", "int8"])
@pytest.mark.parametrize("form", ["qdq", "qoperator"])
def test_inverted_residuals(form: str, dtype: str, clip: bool, tmp_path: Path) -> None:
    path = tmp_path / "mobilenet.onnx"
    kept = Exporter(form, dtype, clip).network(path)
    imported, frozen = integers_of(path)
    assert kind_of(frozen.graph) == "integer"
    assert len(kept) == len(frozen.graph.outputs)
    rng = np.random.default_rng(1)
    for gain in (0.5, 1.0, 3.0):
        x = rng.normal(0, gain, (1, 3, 32, 32)).astype(np.float32).astype(np.float64)
        expected = onnx_exact.evaluate(path, x)
        values = execute(frozen.graph, {"x": frozen.quantise["x"].integers(x[0])})
        for tensor, name in zip(kept, frozen.graph.outputs, strict=True):
            wanted = expected[tensor.name].astype(np.int64) - int(expected[tensor.zero])
            assert np.array_equal(np.ravel(values[name]), np.ravel(wanted)), tensor.name
            assert len(np.unique(wanted)) > 4  # not all of one level
    assert imported.shapes[imported.graph.outputs[-1]] == (1, 10)


SHAPE = (1, 4, 6, 6)


def quantised(net: Network, scale: float = 0.05, zero: int = 131, dtype: str = "uint8") -> tuple[str, str, str]:
    """x in integers, and what they are in real values."""
    s, z = net.constant(scale), net.constant(zero, dtype)
    return net.add("QuantizeLinear", "x", s, z), s, z


def compare(net: Network, output: str, folder: Path, scale: float = 0.05) -> None:
    """Inputs on the grid of half steps: every other one is a tie of the input's quantiser."""
    path = net.save(folder, output)
    imported, frozen = integers_of(path)
    assert kind_of(frozen.graph) == "integer"
    rng = np.random.default_rng(5)
    for _ in range(4):
        x = rng.integers(-600, 600, SHAPE) * (scale / 2)
        expected = onnx_exact.evaluate(path, x)[output]
        assert np.array_equal(run(imported, frozen, x), expected.astype(np.float64))


@pytest.mark.parametrize("zero", [-3, 0, 4, 127])
def test_ties_of_odd_zero_points(zero: int, tmp_path: Path) -> None:
    """The zero point is added behind the rounding, so that ties go to levels that are even without it."""
    net = Network(SHAPE)
    q, s, z = quantised(net, 0.25, zero, "int8")
    y = net.add("DequantizeLinear", q, s, z)
    steps = net.constant(0.5), net.constant(zero, "int8")  # half of the levels are ties
    y = net.add("QuantizeLinear", y, *steps)
    compare(net, net.add("DequantizeLinear", y, *steps), tmp_path, 0.25)


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
@pytest.mark.parametrize("operator", ["QLinearConv", "QLinearMatMul", "QGemm", "QGemm float", "QGemm plain"])
def test_products(operator: str, dtype: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    net = Network(SHAPE)
    x = quantised(net, 0.0371, 131 if dtype == "uint8" else -7, dtype)
    result = net.constant(0.113), net.constant(77, dtype)
    n = 5
    scales = net.constant(rng.uniform(0.001, 0.01, n)), net.constant(np.zeros(n), "int8")
    bias = net.constant(rng.integers(-3000, 3000, n), "int32")
    if operator == "QLinearConv":
        w = net.constant(rng.integers(-127, 128, (n, 4, 3, 3)), "int8"), *scales
        y = net.add("QLinearConv", *x, *w, *result, bias, strides=[2, 1], pads=[1, 0, 0, 1], dilations=[1, 2])
    else:
        shape = (n, 144) if operator == "QGemm" else (144, n)
        w = net.constant(rng.integers(-127, 128, shape), "int8"), *scales
        flat = net.add("Flatten", x[0]), *x[1:]
        if operator == "QLinearMatMul":
            y = net.add("QLinearMatMul", *flat, *w, *result)
        else:
            y = net.add("QGemm", *flat, *w, bias, *(() if operator == "QGemm float" else result), domain=MICROSOFT,
                        transB=int(operator == "QGemm"), alpha=0.5)  # fmt: skip
    if operator == "QGemm float":
        s = net.constant(0.5), net.constant(3, dtype)
        y = net.add("QuantizeLinear", y, *s)
        result = s
    compare(net, net.add("DequantizeLinear", y, *result), tmp_path, 0.0371)


@pytest.mark.parametrize(
    ("operator", "operands", "attributes"),
    [
        ("QLinearAdd", 2, {}),
        ("QLinearMul", 2, {}),
        ("QLinearConcat", 2, {"axis": 1}),
        ("QLinearSigmoid", 1, {}),
        ("QLinearLeakyRelu", 1, {"alpha": 0.125}),
        ("QLinearGlobalAveragePool", 1, {"channels_last": 0}),
        ("QLinearAveragePool", 1, {"kernel_shape": [2, 3], "strides": [2, 1]}),
        ("QLinearReduceMean", 1, {"axes": [2, 3], "keepdims": 1}),
    ],
)
def test_other_operators(operator: str, operands: int, attributes: dict[str, object], tmp_path: Path) -> None:
    net = Network(SHAPE)
    x = quantised(net, 0.0371)
    if operands == 2:
        s, z = net.constant(0.0213), net.constant(13, "uint8")
        other = net.add("QuantizeLinear", net.add("DequantizeLinear", *x), s, z), s, z
    else:
        other = ()
    result = net.constant(0.0417 if operator != "QLinearSigmoid" else 1 / 255), net.constant(101, "uint8")
    order = (*result, *x, *other) if operator == "QLinearConcat" else (*x, *other, *result)
    y = net.add(operator, *order, domain=MICROSOFT, **attributes)
    compare(net, net.add("DequantizeLinear", y, *result), tmp_path, 0.0371)


@pytest.mark.parametrize("zero", [None, 131, 120])
def test_integer_products(zero: int | None, tmp_path: Path) -> None:
    """ConvInteger and MatMulInteger, whose zero points need not be those of the quantiser, and a scale behind them."""
    rng = np.random.default_rng(3)
    net = Network(SHAPE)
    q, _, _ = quantised(net, 0.0625)
    more = () if zero is None else (net.constant(zero, "uint8"), net.constant(3, "int8"))
    y = net.add("ConvInteger", q, net.constant(rng.integers(-100, 100, (5, 4, 3, 3)), "int8"), *more)
    y = net.add("Mul", net.add("Cast", y, to=TensorProto.FLOAT), net.constant(0.0003))
    steps = net.constant(0.5), net.constant(120, "uint8")
    q = net.add("Flatten", net.add("QuantizeLinear", y, *steps))
    y = net.add("MatMulInteger", q, net.constant(rng.integers(-100, 100, (80, 6)), "int8"), *more[:1])
    y = net.add("Mul", net.add("Cast", y, to=TensorProto.FLOAT), net.constant(rng.uniform(0.001, 0.002, (1, 6))))
    last = net.constant(0.7), net.constant(9, "uint8")
    compare(net, net.add("DequantizeLinear", net.add("QuantizeLinear", y, *last), *last), tmp_path, 0.0625)


def test_integers_that_are_cast_and_padded(tmp_path: Path) -> None:
    net = Network(SHAPE)
    q, *_ = quantised(net)
    q = net.add("Pad", q, net.constant([0, 0, 1, 0, 0, 0, 0, 2], "int64"), net.constant(131, "uint8"))
    q = net.add("MaxPool", q, kernel_shape=[2, 2])
    y = net.add("Add", net.add("Cast", q, to=TensorProto.FLOAT), net.constant(-100.0))
    steps = net.constant(0.9), net.constant(7, "uint8")
    compare(net, net.add("DequantizeLinear", net.add("QuantizeLinear", y, *steps), *steps), tmp_path)


def refused(net: Network, output: str, folder: Path) -> str:
    with pytest.raises(ModelError) as caught:
        integers_of(net.save(folder, output))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_refused(tmp_path: Path) -> None:
    net = Network(SHAPE)
    y = net.add("DynamicQuantizeLinear", "x")
    assert "node 'dynamicquantizelinear1' (DynamicQuantizeLinear): chooses its scale while" in refused(net, y, tmp_path)
    net = Network(SHAPE)
    x = quantised(net)
    y = net.add("QLinearGlobalAveragePool", *x, *x[1:], domain=MICROSOFT, channels_last=1)
    message = refused(net, y, tmp_path)
    assert f"node '{y}' (QLinearGlobalAveragePool): attribute 'channels_last' is 1 (allowed: 0)" in message
    net = Network(SHAPE)
    x = quantised(net)
    w = net.constant(np.ones((4, 4, 3, 3)), "int8"), net.constant(-0.5), net.constant(0, "int8")
    y = net.add("QLinearConv", *x, *w, *x[1:])
    message = refused(net, y, tmp_path)
    assert f"node '{y}' (QLinearConv, its DequantizeLinear): scale has to be above 0" in message
    net = Network(SHAPE)
    q, *_ = quantised(net)
    y = net.add("Add", q, net.constant(1, "uint8"))
    assert f"node '{y}' (Add): computes with the integers of '{q}': a DequantizeLinear" in refused(net, y, tmp_path)
    net = Network(SHAPE)
    x = quantised(net)
    y = net.add("QLinearWhere", *x, *x[1:], domain=MICROSOFT)
    assert "operator com.microsoft::QLinearWhere is not supported (allowed: " in refused(net, y, tmp_path)
