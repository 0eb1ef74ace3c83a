"""Networks of QuantizeLinear and DequantizeLinear against ONNX's own evaluator."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from onnx.reference import ReferenceEvaluator

sys.path.insert(0, str(Path(__file__).parent))

import onnx_exact
from onnx_build import Network, integers_of, run

from frontend.errors import ModelError
from frontend.lower.freeze import freeze
from frontend.onnx.importer import import_onnx
from ir.ops import ToInteger
from ir.types import Array


def on_the_grid(rng: np.random.Generator, shape: tuple[int, ...], scale: float) -> Array:
    """Values that are no ties of their quantiser, some beyond its range."""
    return ((rng.integers(-300, 300, shape) + rng.uniform(-0.4, 0.4, shape)) * scale).astype(np.float32)


def compare(net: Network, output: str, scale: float, folder: Path, shape: tuple[int, ...], x_scale: float) -> None:
    """Outputs differ nowhere by more than what single precision loses, which is less than half a step.

    ONNX's evaluator computes in single precision, the importer in double: only where a value is a tie to seven digits
    may they take different steps, and no seed here meets one.
    """
    path = net.save(folder, output)
    imported, frozen = integers_of(path)
    rng = np.random.default_rng(5)
    reference = ReferenceEvaluator(str(path))
    for _ in range(4):
        x = on_the_grid(rng, shape, x_scale)
        expected = reference.run(None, {"x": x})[0]
        got = run(imported, frozen, x)
        assert got.shape == expected.shape
        assert np.abs(got - expected).max() < scale / 4


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("dtype", "zero"), [("int8", 0), ("uint8", 0), ("uint8", 131), ("int8", -17)])
def test_convolution(seed: int, dtype: str, zero: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    c, o, groups = [(3, 8, 1), (4, 6, 2), (5, 5, 5)][seed % 3]
    net = Network((1, c, 7, 6))
    x = net.round_trip("x", 0.037, zero, dtype)
    weights = net.weights(rng.integers(-127, 128, (o, c // groups, 3, 3)), rng.uniform(0.001, 0.01, o))
    bias = net.constant(rng.normal(0, 0.5, o))
    pads = [1, 0, 1, 1]
    y = net.add("Conv", x, weights, bias, kernel_shape=[3, 3], pads=pads, strides=[1, 2], group=groups)
    y = net.add("Relu", y) if seed % 2 else y
    y = net.round_trip(y, 0.051, zero, dtype)
    compare(net, y, 0.051, tmp_path, (1, c, 7, 6), 0.037)


@pytest.mark.parametrize("seed", range(3))
def test_residual_block_with_pools_and_a_classifier(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    net = Network((1, 4, 8, 8))
    x = net.round_trip("x", 0.02, 128, "uint8")
    weights = net.weights(rng.integers(-127, 128, (4, 4, 3, 3)), 0.003)
    left = net.add("Conv", x, weights, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    left = net.round_trip(net.add("Relu", left), 0.04, 0, "uint8")
    total = net.round_trip(net.add("Add", left, x), 0.0625 * (1 + seed), 100, "uint8")
    pooled = net.add("MaxPool", total, kernel_shape=[2, 2], strides=[2, 2])
    mean = net.round_trip(net.add("GlobalAveragePool", pooled), 0.0471, 100, "uint8")
    flat = net.add("Flatten", mean)
    last = net.weights(rng.integers(-127, 128, (10, 4)), rng.uniform(0.01, 0.02, 10))
    scores = net.add("Gemm", flat, last, net.constant(rng.normal(0, 1, 10)), transB=1)
    compare(net, scores, 0.2, tmp_path, (1, 4, 8, 8), 0.02)


def test_activations_that_bend(tmp_path: Path) -> None:
    for operator in ("Sigmoid", "Tanh", "LeakyRelu", "HardSigmoid"):
        net = Network((1, 6, 3, 3))
        x = net.round_trip("x", 0.03, 0, "int8")
        y = net.round_trip(net.add(operator, x), 1 / 120, 7, "int8")
        compare(net, y, 1 / 120, tmp_path, (1, 6, 3, 3), 0.03)


@pytest.mark.parametrize("form", ["HardSwish", "Gelu", "Abs", "silu", "gate", "Mul"])
def test_activations_that_rise_and_fall(form: str, tmp_path: Path) -> None:
    """Tables of all values; a gate that is quantised itself is a product of integers."""
    net = Network((1, 6, 5, 5))
    x = net.round_trip("x", 0.03, 130, "uint8")
    if form == "silu":
        y = net.add("Mul", x, net.add("Sigmoid", x))
    elif form == "gate":
        y = net.add("Mul", net.round_trip(net.add("HardSigmoid", x), 1 / 255, 0, "uint8"), x)
    elif form == "Mul":
        y = net.add("Mul", x, x)
    else:
        y = net.add(form, x)
    compare(net, net.round_trip(y, 0.0373, 40, "uint8"), 0.0373, tmp_path, (1, 6, 5, 5), 0.03)


def test_quantised_tensors_are_moved_as_integers(tmp_path: Path) -> None:
    """What stands between QuantizeLinear and DequantizeLinear works on integers, with their zero point."""
    net = Network((1, 4, 6, 6))
    scale, zero = net.constant(0.05), net.constant(3, "uint8")
    q = net.add("QuantizeLinear", "x", scale, zero)
    q = net.add("Transpose", net.add("MaxPool", q, kernel_shape=[2, 2], strides=[2, 2]), perm=[0, 2, 3, 1])
    x = net.add("DequantizeLinear", q, scale, zero)
    y = net.round_trip(net.add("Mul", x, net.constant([0.5, 1.0, 2.0, -1.0])), 0.0713, 9, "uint8")
    compare(net, y, 0.0713, tmp_path, (1, 4, 6, 6), 0.05)


def test_an_output_of_integers_has_their_zero_point(tmp_path: Path) -> None:
    net = Network((1, 4, 6, 6))
    x = net.round_trip("x", 0.05, 3, "uint8")
    y = net.add("QuantizeLinear", net.add("Relu", x), net.constant(0.031), net.constant(77, "uint8"))
    compare(net, y, 1.0, tmp_path, (1, 4, 6, 6), 0.05)


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_concatenation_along_any_axis(axis: int, tmp_path: Path) -> None:
    net = Network((1, 4, 6, 5))
    x = net.round_trip("x", 0.05, 3, "uint8")
    halves = net.add("Relu", x), x
    quantised = [net.round_trip(half, 0.05, 3, "uint8") for half in halves]
    y = net.add("Concat", *quantised, axis=axis)
    compare(net, net.round_trip(y, 0.09, 3, "uint8"), 0.09, tmp_path, (1, 4, 6, 5), 0.05)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_integers_of_fewer_bits_are_clipped(dtype: str, tmp_path: Path) -> None:
    """Brevitas' QCDQ: a Clip between both halves leaves 4 bits of activations and 3 of weights."""
    rng = np.random.default_rng(12)
    zero = 3 if dtype == "uint8" else 0
    lo, hi = (-8, 7) if dtype == "int8" else (0, 15)
    net = Network((1, 4, 5, 5))

    def clipped(x: str, scale: object, z: int, kind: str, ends: tuple[int, int], **axis: int) -> str:
        s, zp = net.constant(scale), net.constant(np.full(np.shape(scale), z), kind)
        q = net.add("QuantizeLinear", x, s, zp, **axis)
        q = net.add("Clip", q, *(net.constant(end, kind) for end in ends))
        return net.add("DequantizeLinear", q, s, zp, **axis)

    w = rng.normal(0, 1, (6, 4, 3, 3)).astype(np.float32)
    scale = rng.uniform(0.1, 0.5, 6).astype(np.float32)
    stored = rng.integers(-128, 128, (6, 4, 3, 3))
    s, z = net.constant(scale), net.constant(np.zeros(6), "int8")
    held = net.add("Clip", net.constant(stored, "int8"), *(net.constant(end, "int8") for end in (-4, 3)))
    x = clipped("x", 0.25, zero, dtype, (lo, hi))
    first = net.add("Conv", x, clipped(net.constant(w), scale, 0, "int8", (-4, 3), axis=0), kernel_shape=[3, 3])
    second = net.add("Conv", x, net.add("DequantizeLinear", held, s, z, axis=0), kernel_shape=[3, 3])
    y = clipped(net.add("Add", first, second), 0.5, zero, dtype, (lo, hi))
    path = net.save(tmp_path, y)
    imported, frozen = integers_of(path)
    assert (next(iter(frozen.graph.inputs.values())).lo, frozen.graph.types[frozen.graph.outputs[0]].hi) == (
        lo - zero,
        hi - zero,
    )
    for _ in range(3):
        values = rng.normal(0, 1.5, (1, 4, 5, 5))
        assert np.array_equal(run(imported, frozen, values), onnx_exact.evaluate(path, values)[y])


def test_clips_of_other_integers_are_refused(tmp_path: Path) -> None:
    net = Network((1, 4, 5, 5))
    s, z = net.constant(0.25), net.constant(1, "uint8")
    q = net.add("MaxPool", net.add("QuantizeLinear", "x", s, z), kernel_shape=[2, 2])
    y = net.add("DequantizeLinear", net.add("Clip", q, net.constant(0, "uint8"), net.constant(9, "uint8")), s, z)
    with pytest.raises(ModelError, match=r"\(Clip\): computes with the integers"):
        integers_of(net.save(tmp_path, y))


def _sixteen_bits(outputs: int, folder: Path, bent: bool) -> Path:
    rng = np.random.default_rng(13)
    net = Network((1, 3, 6, 6))
    x = net.round_trip("x", 3e-5, 32768, "uint16")
    integers = rng.integers(-127, 128, (outputs, 3, 3, 3))
    sums = net.add("Conv", x, net.weights(integers, rng.uniform(0.002, 0.008, outputs)), kernel_shape=[3, 3])
    y = net.add("LeakyRelu", sums, alpha=0.125) if bent else sums
    return net.save(folder, net.round_trip(y, 1e-4, 21845, "uint16"))


def test_activations_of_sixteen_bits(tmp_path: Path) -> None:
    """Every one of 65536 levels, as the network's own operators give them."""
    path = _sixteen_bits(4, tmp_path, True)
    imported, frozen = integers_of(path)
    rng = np.random.default_rng(14)
    for reach in (0.2, 0.9):
        x = rng.uniform(-reach, reach, (1, 3, 6, 6))
        (expected,) = list(onnx_exact.evaluate(path, x).values())[-1:]
        assert len(np.unique(expected)) > 60
        assert np.array_equal(np.rint(run(imported, frozen, x) / 1e-4), np.rint(expected / 1e-4))


def test_tables_that_no_executor_should_search(tmp_path: Path) -> None:
    path = _sixteen_bits(65, tmp_path, False)
    with pytest.raises(ModelError, match=r"65535 thresholds for each of 65 channels are too many .*--fallback"):
        integers_of(path)
    made = freeze(import_onnx(path).graph, fallback=True)
    assert [type(node.op) for node in made.graph.nodes][-1] is ToInteger


def test_a_picture_flattened_with_its_channels_last(tmp_path: Path) -> None:
    """As tf2onnx writes it: the weights are transposed, nothing is moved when the network runs."""
    rng = np.random.default_rng(15)
    net = Network((1, 3, 6, 5))
    sums = net.add(
        "Conv", net.round_trip("x", 0.03, 5, "uint8"), net.weights(rng.integers(-127, 128, (4, 3, 3, 3)), 0.01)
    )
    picture = net.add("Transpose", net.round_trip(sums, 0.1, 120, "uint8"), perm=[0, 2, 3, 1])
    y = net.add("Reshape", picture, net.constant([-1, 48], "int64"))
    y = net.add("MatMul", y, net.weights(rng.integers(-127, 128, (48, 7)), 0.02, axis=1))
    path = net.save(tmp_path, net.round_trip(y, 0.5, 0, "int8"))
    imported, frozen = integers_of(path)
    assert {type(node.op).__name__ for node in frozen.graph.nodes} <= {"Conv2d", "MultiplyShift", "Thresholds"}
    for _ in range(3):
        x = rng.normal(0, 2, (1, 3, 6, 5))
        (expected,) = list(onnx_exact.evaluate(path, x).values())[-1:]
        assert np.array_equal(run(imported, frozen, x), expected)
