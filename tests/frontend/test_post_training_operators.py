"""Post-training quantisation of what networks are made of beside convolutions: integers close to ONNX's own floats."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx.reference import ReferenceEvaluator

sys.path.insert(0, str(Path(__file__).parent))

from onnx_build import Network, run

from frontend.errors import ModelError
from frontend.lower.freeze import Frozen, freeze
from frontend.lower.post_training import Recipe, post_training
from frontend.lower.single import to_single
from frontend.onnx.importer import Imported, import_onnx
from ir.kinds import is_fallback, kind_of
from ir.ops import Lookup, Multiply

SHAPE = (1, 8, 6, 8)


def convolved(net: Network, x: str, inputs: int = 8, outputs: int = 8) -> str:
    weights = np.random.default_rng(net.count).normal(0, (9 * inputs) ** -0.5, (outputs, inputs, 3, 3))
    return net.add("Conv", x, net.constant(weights), kernel_shape=[3, 3], pads=[1, 1, 1, 1])


def silu(net: Network, x: str) -> str:
    return net.add("Mul", x, net.add("Sigmoid", x))


def excited(net: Network, x: str) -> str:
    gate = net.add("Relu", net.add("GlobalAveragePool", x))
    weights = net.constant(np.random.default_rng(1).normal(0, 1, (8, 8, 1, 1)))
    return net.add("Mul", x, net.add("HardSigmoid", net.add("Conv", gate, weights, kernel_shape=[1, 1]), alpha=1 / 6))


def attended(net: Network, x: str) -> str:
    """A gate per pixel, by a sigmoid."""
    weights = net.constant(np.random.default_rng(1).normal(0, 1, (1, 8, 1, 1)))
    return net.add("Mul", x, net.add("Sigmoid", net.add("Conv", x, weights, kernel_shape=[1, 1])))


def shuffled(net: Network, x: str) -> str:
    wide = net.add("Reshape", x, net.constant([1, 2, 4, 6, 8], "int64"))
    wide = net.add("Transpose", wide, perm=[0, 2, 1, 3, 4])
    y = net.add("Reshape", wide, net.constant([1, 8, 6, 8], "int64"))
    halves = [net.add("Slice", y, *(net.constant([n], "int64") for n in cut)) for cut in ((0, 4, 1), (4, 8, 1))]
    return net.add("Concat", halves[1], net.add("Relu", halves[0]), axis=1)


def enlarged(net: Network, x: str) -> str:
    weights = net.constant(np.random.default_rng(1).normal(0, 0.4, (8, 8, 2, 2)))
    y = net.add("ConvTranspose", x, weights, strides=[2, 2])
    return net.add("AveragePool", y, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])


def bent(kind: str) -> Callable[[Network, str], str]:
    return lambda net, x: net.add(kind, x)


CASES: dict[str, Callable[[Network, str], str]] = {
    "silu": silu, "hard swish": bent("HardSwish"), "gelu": bent("Gelu"), "elu": bent("Elu"), "tanh": bent("Tanh"),
    "excitation": excited, "attention": attended, "shuffle": shuffled, "transposed": enlarged,
}  # fmt: skip


def quantised(net: Network, y: str, folder: Path, fallback: bool = False) -> tuple[Imported, Frozen, Path]:
    path = net.save(folder, y)
    imported = import_onnx(path)
    frames = np.random.default_rng(5).normal(0, 1, (6, *SHAPE[1:]))
    graph = post_training(to_single(imported.graph), [{"x": frame} for frame in frames], Recipe())
    shapes = {graph.outputs[0]: imported.shapes[imported.graph.outputs[0]]}
    return Imported(graph, shapes, ""), freeze(graph, fallback=fallback), path


def error(imported: Imported, frozen: Frozen, path: Path) -> float:
    """The mean difference from the float network, of the deviation of its results, on inputs of other values."""
    x = np.random.default_rng(6).normal(0, 1, SHAPE).astype(np.float32)
    expected = ReferenceEvaluator(str(path)).run(None, {"x": x})[0]
    return float(np.abs(run(imported, frozen, x.astype(np.float64)) - expected).mean() / expected.std())


@pytest.mark.parametrize("case", CASES)
def test_integers_come_close(case: str, tmp_path: Path) -> None:
    """8 bits err by up to some hundredths of the results' deviation; an operator that is lost errs by tenths."""
    net = Network(SHAPE)
    y = convolved(net, CASES[case](net, convolved(net, "x")))
    imported, frozen, path = quantised(net, y, tmp_path)
    assert kind_of(frozen.graph) == "integer" and not any(is_fallback(view) for view in frozen.graph.views())
    assert error(imported, frozen, path) < 0.03


def test_a_function_that_falls_is_a_table_of_few_values(tmp_path: Path) -> None:
    net = Network(SHAPE)
    _, frozen, _ = quantised(net, convolved(net, silu(net, convolved(net, "x"))), tmp_path)
    (node,) = [node for node in frozen.graph.nodes if isinstance(node.op, Lookup)]
    assert frozen.graph.constants[node.inputs[1]].size <= 1 << 12


def test_what_has_no_integer_form_runs_in_floats_if_asked(tmp_path: Path) -> None:
    net = Network(SHAPE)
    scales = net.constant([1.0, 1.0, 2.0, 2.0])
    large = net.add("Resize", net.add("Relu", convolved(net, "x")), "", scales, mode="linear")
    y = convolved(net, net.add("MaxPool", large, kernel_shape=[2, 2], strides=[2, 2]))
    with pytest.raises(ModelError, match=r"Interpolate has no integer form \(--fallback"):
        quantised(net, y, tmp_path)
    imported, frozen, path = quantised(net, y, tmp_path, fallback=True)
    assert error(imported, frozen, path) < 0.03


def test_means_at_the_border_are_exact(tmp_path: Path) -> None:
    """Sums of fewer values are multiplied until all windows have the same number: equal to ONNX's definition."""
    net = Network((1, 3, 7, 9))
    y = net.add("AveragePool", net.round_trip("x", 0.05, 3, "uint8"), kernel_shape=[3, 5], pads=[1, 2, 1, 2])
    path = net.save(tmp_path, y)
    imported = import_onnx(path)
    frozen = freeze(imported.graph)
    assert any(isinstance(node.op, Multiply) for node in frozen.graph.nodes)
    x = np.random.default_rng(2).normal(0, 2, (1, 3, 7, 9)).astype(np.float32)
    expected = ReferenceEvaluator(str(path)).run(None, {"x": x})[0]
    assert np.allclose(run(imported, frozen, x.astype(np.float64)), expected, rtol=1e-5, atol=1e-6)
