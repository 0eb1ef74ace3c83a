"""ONNX networks of floats, and operators that move values: the float graph against ONNX's own evaluator."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from onnx_build import Network
from onnx_floats import SHAPE, compare

from frontend.onnx.importer import import_onnx
from ir.executor import execute


def test_residual_classifier(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)

    def drawn(*shape: int) -> str:
        return net.constant(rng.normal(0, 0.5, shape))

    net = Network(SHAPE)
    y = net.add("Conv", "x", drawn(4, 2, 3, 3), drawn(4), kernel_shape=[3, 3], auto_pad="SAME_UPPER", group=2)
    parts = [net.constant(v) for v in (rng.uniform(0.5, 2, 4), rng.normal(0, 1, 4), rng.normal(0, 1, 4), [1, 2, 3, 4])]
    y = net.add("Relu", net.add("BatchNormalization", y, *parts))
    y = net.add(
        "Conv", net.add("Add", y, "x"), drawn(5, 4, 3, 3), kernel_shape=[3, 3], dilations=[1, 2], strides=[2, 1]
    )
    y = net.add("LeakyRelu", net.add("Sub", net.constant(1.0), y), alpha=0.3)
    y = net.add("Flatten", net.add("MaxPool", y, kernel_shape=[2, 2], pads=[0, 1, 1, 0]))
    size = 5 * 2 * 4
    y = net.add("Gemm", y, drawn(7, size), drawn(7), transB=1, alpha=0.5, beta=2.0)
    y = net.add("Mul", net.add("MatMul", y, drawn(7, 3)), drawn(3))
    compare(net, net.add("Sigmoid", y), tmp_path)


def test_shapes_of_some_axes(tmp_path: Path) -> None:
    net = Network(SHAPE)
    rows = net.add("Shape", "x", start=-2, end=3)
    shape = net.add("Concat", net.add("Shape", "x", end=1), rows, net.constant([-1], "int64"), axis=0)
    compare(net, net.add("Tanh", net.add("Reshape", "x", shape)), tmp_path)


def test_rows_are_cut_off_and_added(tmp_path: Path) -> None:
    net = Network(SHAPE)
    compare(net, net.add("Relu", net.add("Pad", "x", net.constant([0, 1, 2, 0, 0, 1, 1, 3], "int64"))), tmp_path)
    net = Network(SHAPE)
    y = net.add("Pad", "x", net.constant([0, 1, -2, 0, 0, -1, 1, -3], "int64"))
    x = np.random.default_rng(1).normal(0, 2, SHAPE)
    graph = import_onnx(net.save(tmp_path, y)).graph
    expected = np.pad(x[0, :3, 2:, :5], ((1, 0), (0, 1), (0, 0)))  # ONNX's own evaluator cuts nothing off
    assert np.array_equal(execute(graph, {"x": x[0]})[graph.outputs[0]], expected)


@pytest.mark.parametrize("operator", ["Celu", "Selu"])
def test_exponential_units(operator: str, tmp_path: Path) -> None:
    net = Network(SHAPE)
    compare(net, net.add(operator, "x", alpha=1.5), tmp_path)


def test_sums_of_many(tmp_path: Path) -> None:
    net = Network(SHAPE)
    bias = net.constant(np.linspace(-1, 1, 4).reshape(4, 1, 1))
    compare(net, net.add("Sum", "x", bias, net.add("Relu", "x"), "x"), tmp_path)


@pytest.mark.parametrize("ceil", [0, 1])
@pytest.mark.parametrize("operator", ["MaxPool", "AveragePool"])
def test_pools(operator: str, ceil: int, tmp_path: Path) -> None:
    net = Network((1, 3, 7, 9))
    y = net.add(operator, "x", kernel_shape=[3, 2], strides=[2, 3], ceil_mode=ceil if operator == "MaxPool" else 0)
    compare(net, y, tmp_path, (1, 3, 7, 9))


@pytest.mark.parametrize("axes", [[1], [2], [3], [2, 3], [1, 3]])
@pytest.mark.parametrize("keep", [0, 1])
@pytest.mark.parametrize("operator", ["ReduceMean", "ReduceSum", "ReduceMax"])
def test_reductions(operator: str, axes: list[int], keep: int, tmp_path: Path) -> None:
    net = Network(SHAPE)
    compare(net, net.add(operator, "x", net.constant(axes, "int64"), keepdims=keep), tmp_path)


@pytest.mark.parametrize(("way", "nearest"), [("asymmetric", "floor"), ("half_pixel", "round_prefer_floor")])
def test_nearest_resize(way: str, nearest: str, tmp_path: Path) -> None:
    net = Network(SHAPE)
    scales = net.constant([1.0, 1.0, 3.0, 3.0])
    attributes = {"coordinate_transformation_mode": way, "nearest_mode": nearest, "mode": "nearest"}
    compare(net, net.add("Resize", "x", "", scales, **attributes), tmp_path)


def test_what_moves_values(tmp_path: Path) -> None:
    net = Network(SHAPE)
    cut = [net.constant(v, "int64") for v in ([7, 1], [-20, 5], [3, 2], [-3, 2])]
    y = net.add("Slice", "x", *cut)
    y = net.add("Transpose", y, perm=[0, 3, 1, 2])
    y = net.add("Reshape", y, net.constant([1, 2, -1, 3], "int64"))
    y = net.add("Concat", y, net.add("Relu", y), axis=3)
    y = net.add("Pad", y, net.constant([0, 1, 0, 2, 0, 0, 3, 0], "int64"))
    y = net.add("Unsqueeze", net.add("Squeeze", y, net.constant([0], "int64")), net.constant([1], "int64"))
    y = net.add("Transpose", y, perm=[2, 1, 0, 3])
    compare(net, y, tmp_path)


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_depth_and_space(mode: str, tmp_path: Path) -> None:
    net = Network(SHAPE)
    compare(net, net.add("SpaceToDepth", net.add("DepthToSpace", "x", blocksize=2, mode=mode), blocksize=2), tmp_path)


def test_shapes_that_exporters_compute(tmp_path: Path) -> None:
    """Shape, Gather, Unsqueeze and Concat in front of a Reshape, as older exporters flatten."""
    net = Network(SHAPE)
    batch = net.add("Gather", net.add("Shape", "x"), net.constant(0, "int64"), axis=0)
    shape = net.add(
        "Concat", net.add("Unsqueeze", batch, net.constant([0], "int64")), net.constant([-1], "int64"), axis=0
    )
    flat = net.add("Reshape", "x", shape)
    root = net.add("Sqrt", net.add("Mul", net.constant(4.0), net.constant(2.25)))
    compare(net, net.add("Div", net.add("Tanh", flat), root), tmp_path)
