"""Operators without an integer form: refused by name, accepted with ``fallback`` or behind the last quantiser, and then
what onnx's own evaluator computes, to a step of the quantisers behind."""

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
from frontend.onnx.importer import Imported, import_onnx
from ir.executor import execute
from ir.kinds import is_fallback, kind_of
from ir.types import Array

SHAPE = (1, 6, 5, 7)
X = np.random.default_rng(2).normal(0, 1.5, SHAPE).astype(np.float32)
STEP = 0.0213
"""So that no sums of few values lie between two of its multiples."""
Part = Callable[[Network, str], str]


def _layer_norm(net: Network, x: str) -> str:
    scale, bias = (net.constant(np.random.default_rng(i).normal(1, 0.3, 7)) for i in range(2))
    return net.add("LayerNormalization", x, scale, bias, axis=-1)


def _of_pixels(net: Network, x: str, operator: str, **attributes: int) -> str:
    """Every channel, or every group of them, by its own pixels."""
    scale, bias = (net.constant(np.random.default_rng(i).normal(1, 0.3, 6)) for i in range(2))
    return net.add(operator, x, scale, bias, epsilon=1e-3, **attributes)


def _written_out_norm(net: Network, x: str) -> str:
    """As older exporters write it."""
    centred = net.add("Sub", x, net.add("ReduceMean", x, net.constant([1], "int64")))
    squares = net.add("Pow", centred, net.constant(2.0))
    variance = net.add("Add", net.add("ReduceMean", squares, net.constant([1], "int64")), net.constant(1e-5))
    return net.add("Div", centred, net.add("Sqrt", variance))


def _gelu(net: Network, x: str) -> str:
    erf = net.add("Erf", net.add("Mul", net.add("Softplus", x), x))
    return net.add("Mul", net.add("Exp", net.add("Neg", x)), erf)


def _excitation(net: Network, x: str) -> str:
    squeezed = net.add("Conv", net.add("GlobalAveragePool", x), net.weights(np.eye(6).reshape(6, 6, 1, 1) * 90, 0.02))
    return net.add("Mul", x, net.add("Sigmoid", squeezed))


def _bilinear(net: Network, x: str) -> str:
    scales = net.constant([1, 1, 2, 3])
    return net.add("Resize", x, "", scales, mode="linear", coordinate_transformation_mode="half_pixel")


PARTS: dict[str, tuple[Part, str]] = {
    "Softmax": (lambda net, x: net.add("Softmax", x, axis=1), "Softmax"),
    "Softmax along rows": (lambda net, x: net.add("Softmax", x, axis=-1), "Softmax"),
    "Div": (lambda net, x: net.add("Div", net.constant(1.0), net.add("Add", net.add("Abs", x), net.constant(0.5))), ""),
    "layer norm": (_layer_norm, "Reduce"),
    "instance norm": (lambda net, x: _of_pixels(net, x, "InstanceNormalization"), "Reduce"),
    "group norm": (lambda net, x: _of_pixels(net, x, "GroupNormalization", num_groups=2), "Reduce|Reshape"),
    "written out": (_written_out_norm, "Arithmetic"),
    "functions": (_gelu, "Multiply"),
    "excitation": (_excitation, "Arithmetic"),
    "bilinear": (_bilinear, "Interpolate"),
}


def network(part: Part, folder: Path) -> Path:
    """Quantised to 8 bits before and behind the part."""
    net = Network(SHAPE)
    x = net.round_trip("x", 0.04, 0, "int8")
    return net.save(folder, net.round_trip(part(net, x), STEP, 3, "int8"))


def frozen(path: Path, fallback: bool) -> tuple[Imported, Frozen]:
    imported = import_onnx(path)
    return imported, freeze(imported.graph, fallback=fallback)


@pytest.mark.parametrize("name", PARTS)
def test_between_quantisers(name: str, tmp_path: Path) -> None:
    part, refused = PARTS[name]
    path = network(part, tmp_path)
    if refused:  # the others are functions of one value, whose results are a table
        with pytest.raises(ModelError, match=rf"node '\w+': ({refused}).*--fallback computes it in floats|--fallback"):
            frozen(path, False)
    imported, made = frozen(path, True)
    assert kind_of(made.graph) == "integer"
    assert any(is_fallback(view) for view in made.graph.views()) == bool(refused)
    expected = ReferenceEvaluator(str(path)).run(None, {"x": X})[0]
    steps = np.abs(run(imported, made, X) - expected) / STEP
    assert steps.max() < 1.01 and (steps > 0.5).mean() < 0.01  # float32 settles some ties otherwise


def test_a_scale_for_each_group(tmp_path: Path) -> None:
    """As up to opset 20."""
    net = Network(SHAPE)
    x = net.round_trip("x", 0.04, 0, "int8")
    scale, bias = (net.constant(values) for values in ([0.5, 1.5, -1.0], [0.0, 0.4, 0.8]))
    y = net.add("GroupNormalization", x, scale, bias, epsilon=1e-3, num_groups=3)
    imported, made = frozen(net.save(tmp_path, y, opset=20), False)
    given = made.quantise["x"]
    values = given.scale * np.asarray(given.integers(X[0]), np.float64).reshape(3, -1)
    centred = values - values.mean(axis=1, keepdims=True)
    normal = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-3)
    expected = normal * np.array([[0.5], [1.5], [-1.0]]) + np.array([[0.0], [0.4], [0.8]])
    assert np.allclose(real_output(imported, made).reshape(3, -1), expected, rtol=0, atol=1e-6)


def test_groups_as_older_exporters_write_them(tmp_path: Path) -> None:
    """A channel of an instance norm for each group, scaled afterwards."""
    net = Network(SHAPE)
    x = net.round_trip("x", 0.04, 0, "int8")
    grouped = net.add("Reshape", x, net.constant([0, 2, -1], "int64"))
    normal = net.add("InstanceNormalization", grouped, net.constant(np.ones(2)), net.constant(np.zeros(2)))
    scale = net.constant(np.linspace(0.5, 2, 6).reshape(1, 6, 1, 1))
    path = net.save(tmp_path, net.add("Mul", net.add("Reshape", normal, net.constant(SHAPE, "int64")), scale))
    imported, made = frozen(path, False)
    expected = ReferenceEvaluator(str(path)).run(None, {"x": X})[0]
    assert np.allclose(real_output(imported, made), expected, rtol=1e-4, atol=1e-5)


def real_output(imported: Imported, made: Frozen) -> Array:
    (name,), (output,) = made.graph.inputs, made.graph.outputs
    x = made.quantise[name].integers(X.reshape(made.graph.inputs[name].shape))
    assert output not in made.dequantise
    return np.asarray(execute(made.graph, {name: x})[output].reshape(imported.shapes[imported.graph.outputs[0]]))


def _head(net: Network, x: str) -> str:
    """As YOLO's heads are exported: centres and sizes by functions of parts, joined again."""
    ends = (net.constant(v, "int64") for v in ([2, 2, 2],))
    sizes = next(ends)
    net.count += 1
    names = [f"part{i}" for i in range(3)]
    net.add("Split", net.add("Sigmoid", x), sizes, axis=1)
    net.nodes[-1].output[:] = names
    grid = net.constant(np.random.default_rng(0).uniform(0, 8, (1, 2, 1, 1)))
    centre = net.add("Add", net.add("Mul", names[0], net.constant(2.0)), grid)
    size = net.add("Mul", net.add("Pow", net.add("Mul", names[1], net.constant(2.0)), net.constant(2.0)), grid)
    return net.add("Concat", centre, size, names[2], axis=1)


@pytest.mark.parametrize(
    "end",
    [lambda net, x: net.add("Softmax", x, axis=1), lambda net, x: net.add("Relu", x), _head],
    ids=["softmax", "relu", "head"],
)
def test_how_networks_end(end: Part, tmp_path: Path) -> None:
    """Behind the last quantiser nothing has to be asked for."""
    net = Network(SHAPE)
    x = net.round_trip("x", 0.04, 0, "int8")
    weights = net.weights(np.random.default_rng(0).integers(-90, 91, (6, 6, 1, 1)), 0.01)
    path = net.save(tmp_path, end(net, net.add("Conv", x, weights)))
    imported, made = frozen(path, False)
    expected = ReferenceEvaluator(str(path)).run(None, {"x": X})[0]
    assert np.allclose(real_output(imported, made), expected, rtol=1e-4, atol=1e-5)


def test_bent_values_are_joined_where_that_is_asked_for(tmp_path: Path) -> None:
    net = Network(SHAPE)
    x = net.round_trip("x", 0.04, 0, "int8")
    parts = [net.add(operator, x) for operator in ("Relu", "Sigmoid")]
    path = net.save(tmp_path, net.round_trip(net.add("Concat", *parts, axis=1), 0.1, 0, "int8"))
    with pytest.raises(ModelError, match=r"has to be quantised with one scale.*--fallback computes it in floats"):
        frozen(path, False)
    imported, made = frozen(path, True)
    expected = ReferenceEvaluator(str(path)).run(None, {"x": X})[0]
    assert (np.abs(run(imported, made, X) - expected) < 0.101).all()


def test_what_has_no_form_in_c_is_refused_either_way(tmp_path: Path) -> None:
    path = network(lambda net, x: net.add("MaxPool", net.add("Softmax", x, axis=1), kernel_shape=[2, 2]), tmp_path)
    with pytest.raises(ModelError, match=r"node 'maxpool.*MaxPool2d has no form in floats between integers"):
        frozen(path, True)
