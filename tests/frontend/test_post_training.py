"""Post-training quantisation: integers beside the network in floats, on a trained network and on small ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from frontend.errors import ModelError
from frontend.load import load_model
from frontend.lower.freeze import freeze
from frontend.lower.grids import quantised_weights
from frontend.lower.post_training import Recipe, post_training
from frontend.lower.single import to_single
from frontend.zoo import ENTRIES
from hetero_compile.quantise import Calibration
from ir.executor import execute
from ir.graph import Graph, Node
from ir.kinds import kind_of
from ir.ops import Add, Affine, AveragePool2d, Clip, Concat, Conv2d, FakeQuantize, MaxPool2d, PRelu, Softmax
from ir.types import Array, DType, TensorType

PARAMETERS = {
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "mobilenet_v2": 3_504_872,
    "densenet121": 7_978_856,
}
"""As published with the checkpoints."""


@pytest.mark.parametrize("name", PARAMETERS)
def test_networks_have_the_published_size(name: str) -> None:
    with torch.device("meta"):
        module = ENTRIES[name].factory()
    assert sum(p.numel() for p in module.parameters()) == PARAMETERS[name]


def test_weights_are_rounded_per_channel() -> None:
    """A channel's error does not depend on the others, and no power of two times its scale would be better."""
    rng = np.random.default_rng(3)
    weights = rng.standard_normal((4, 3, 3, 3)) * np.array([1.0, 100.0, 0.01, 1.0]).reshape(-1, 1, 1, 1)
    for bits in (2, 4, 8):
        integers, scale = quantised_weights(weights, bits)
        top = (1 << bits - 1) - 1
        assert np.abs(integers).max() <= top and scale.shape == (4,)
        errors = np.square(integers * scale.reshape(-1, 1, 1, 1) - weights).sum(axis=(1, 2, 3))
        for factor in (0.5, 2.0):
            other = (scale * factor).reshape(-1, 1, 1, 1)
            worse = np.square(np.clip(np.rint(weights / other), -top, top) * other - weights).sum(axis=(1, 2, 3))
            assert (errors <= worse).all()
        alone, _ = quantised_weights(weights[1:2], bits)
        assert np.array_equal(alone[0], integers[1])


def block(rng: np.random.Generator) -> Graph:
    """Two branches added, one concatenated, leaky, pooled, classified: float32, from real values."""
    f32 = np.float32
    constants: dict[str, Array] = {
        "w1": rng.standard_normal((8, 3, 3, 3)).astype(f32) / 5,
        "b1": rng.standard_normal(8).astype(f32),
        "w2": rng.standard_normal((8, 8, 3, 3)).astype(f32) / 8,
        "w3": rng.standard_normal((8, 1, 3, 3)).astype(f32) / 3,
        "slope": np.full(8, 0.1, f32),
        "w4": rng.standard_normal((5, 16, 1, 1)).astype(f32),
        "b4": rng.standard_normal(5).astype(f32),
    }
    pad = (1, 1, 1, 1)
    nodes = (
        Node("c1", Conv2d(padding=pad), ("x", "w1", "b1")),
        Node("r1", Clip(0.0, 6.0), ("c1",)),
        Node("c2", Conv2d(padding=pad), ("r1", "w2")),
        Node("sum", Add(), ("c2", "r1")),
        Node("r2", Clip(0.0, float("inf")), ("sum",)),
        Node("c3", Conv2d(padding=pad, groups=8), ("r2", "w3")),
        Node("bent", PRelu(), ("c3", "slope")),
        Node("both", Concat(), ("bent", "r2")),
        Node("small", MaxPool2d(), ("both",)),
        Node("mean", AveragePool2d((4, 4), (4, 4)), ("small",)),
        Node("y", Conv2d(), ("mean", "w4", "b4")),
    )
    return Graph("block", {"x": TensorType((3, 8, 8), DType("float", 32))}, nodes, ("y",), constants).verify()


def real_outputs(graph: Graph, inputs: list[Array], recipe: Recipe) -> tuple[Array, Array]:
    """Outputs in floats and by the integers, (N, C): quantised by the first half, compared on the second."""
    half = len(inputs) // 2
    frozen = freeze(post_training(graph, [{"x": x} for x in inputs[:half]], recipe))
    (name,) = frozen.graph.outputs
    exact, rounded = [], []
    for x in inputs[half:]:
        exact.append(execute(graph, {"x": x})[graph.outputs[0]].ravel())
        integers = frozen.quantise["x"].integers(x)
        raw = execute(frozen.graph, {"x": integers})[name].ravel()
        record = frozen.dequantise[name]
        rounded.append(raw * record.scale + np.asarray(record.bias))
    return np.array(exact), np.array(rounded)


def test_integers_are_close_and_closer_with_more_bits() -> None:
    rng = np.random.default_rng(1)
    graph = block(rng)
    inputs = [rng.standard_normal((3, 8, 8)) for _ in range(24)]
    errors = {}
    for widths in ((8, 8), (6, 8), (4, 4)):
        exact, rounded = real_outputs(graph, inputs, Recipe(*widths))
        errors[widths] = float(np.sqrt(np.square(exact - rounded).mean() / exact.var()))
    assert errors[8, 8] < 0.05  # of the outputs' deviation, in a network of random weights
    assert errors[8, 8] < errors[6, 8] < errors[4, 4] < 0.5


def pictures(scale: list[float], offset: list[float], joined: bool = False) -> Graph:
    """A picture in real values and a convolution of it, or of it beside its clipped self."""
    constants: dict[str, Array] = {
        "scale": np.array(scale, np.float32),
        "offset": np.array(offset, np.float32),
        "w": np.ones((2, 6 if joined else 3, 1, 1), np.float32),
    }
    nodes = [Node("real", Affine(), ("x", "scale", "offset"))]
    if joined:
        nodes += [Node("half", Clip(0.0, 0.25), ("real",)), Node("both", Concat(), ("real", "half"))]
    nodes.append(Node("y", Conv2d(), (nodes[-1].name, "w")))
    return Graph("p", {"x": TensorType.of_dtype((3, 2, 2), DType("uint", 8))}, tuple(nodes), ("y",), constants).verify()


@pytest.mark.parametrize("bits", [8, 4])
def test_a_picture_that_is_only_scaled_keeps_its_bytes(bits: int) -> None:
    """Whatever calibration saw, and however few bits activations have: nothing is computed before the first sums."""
    dark = {"x": np.arange(12).reshape(3, 2, 2) * 5}
    graph = freeze(post_training(pictures([0.25] * 3, [0.0] * 3), [dark], Recipe(8, bits))).graph
    assert type(graph.nodes[0].op) is Conv2d and graph.nodes[0].inputs[0] == "x"


def test_a_normalised_or_joined_picture_is_rounded() -> None:
    frame = {"x": np.arange(12).reshape(3, 2, 2) * 20}
    for graph in (pictures([0.01, 0.02, 0.03], [-1.0] * 3), pictures([0.01] * 3, [0.0] * 3, joined=True)):
        frozen = freeze(post_training(graph, [frame], Recipe()))
        exact = execute(graph, frame)["y"].ravel()
        raw = execute(frozen.graph, frame)[frozen.graph.outputs[0]]
        assert np.abs(raw.ravel() * frozen.dequantise[frozen.graph.outputs[0]].scale - exact).max() < 0.05


def test_ranges_by_extremes_and_by_percentile() -> None:
    """One value of a thousand is far out: the extremes span it, a percentile below leaves it out."""
    x = np.linspace(0, 1, 1000).reshape(10, 10, 10)
    x[0, 0, 0] = 100.0
    node = Node("y", MaxPool2d((1, 1), (1, 1)), ("x",))
    graph = Graph("r", {"x": TensorType(x.shape, DType("float", 32))}, (node,), ("y",)).verify()
    scales = {
        ranges: freeze(post_training(graph, [{"x": x}], Recipe(ranges=ranges, percentile=99.0))).quantise["x"].scale
        for ranges in ("max", "percentile")
    }
    assert scales["max"] == pytest.approx(100 / 255)
    assert scales["percentile"] == pytest.approx(np.percentile(x, 99.0) / 255, rel=0.02)


def test_biases_take_up_the_mean_error() -> None:
    """With two bits the weights' error is large; its mean over the inputs is none that is left."""
    rng = np.random.default_rng(2)
    graph = block(rng)
    inputs = [rng.standard_normal((3, 8, 8)) for _ in range(40)]
    biased = [
        np.abs(np.subtract(*real_outputs(graph, inputs, Recipe(3, 8, correct_bias=corrected))).mean(axis=0)).max()
        for corrected in (False, True)
    ]
    assert biased[1] < 0.5 * biased[0]


def test_what_has_no_quantised_form_is_named() -> None:
    graph = block(np.random.default_rng(1))
    ended = graph.with_nodes((*graph.nodes, Node("p", FakeQuantize(1.0, 0, 1), ("y",))), outputs=("p",))
    with pytest.raises(ModelError, match="node 'p': FakeQuantize has no quantised form"):
        post_training(ended, [{"x": np.zeros((3, 8, 8))}], Recipe())
    behind = (Node("p", Softmax(), ("y",)), Node("q", MaxPool2d((1, 1), (1, 1)), ("p",)))
    ended = graph.with_nodes((*graph.nodes, *behind), outputs=("q",))
    with pytest.raises(ModelError, match=r"node 'p': Softmax has no integer form \(--fallback computes it"):
        freeze(post_training(ended, [{"x": np.ones((3, 8, 8))}], Recipe()))
    with pytest.raises(ModelError, match="at least one calibration input"):
        post_training(graph, [], Recipe())
    with pytest.raises(ModelError, match="weight bits must be 2 to 8, is 9"):
        Recipe(9, 8)


def test_scores_at_the_end_stay_real() -> None:
    """The softmax is computed in floats behind integers, and errs by what their 12 bits err."""
    graph, rng = block(np.random.default_rng(1)), np.random.default_rng(2)
    ended = graph.with_nodes((*graph.nodes, Node("p", Softmax(), ("y",))), outputs=("p",))
    inputs = [rng.normal(0, 1, (3, 8, 8)) for _ in range(12)]
    frozen = freeze(post_training(ended, [{"x": x} for x in inputs[:6]], Recipe()))
    assert kind_of(frozen.graph) == "integer" and not frozen.dequantise
    for x in inputs[6:]:
        got = execute(frozen.graph, {"x": frozen.quantise["x"].integers(x)})["p"]
        assert got.sum() == pytest.approx(1.0)
        assert np.abs(got - execute(ended, {"x": x})["p"]).max() < 0.05


def test_widths_and_inputs_of_the_command(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="--quantise 8bit: no widths"):
        Calibration.parse("8bit", tmp_path)
    with pytest.raises(ModelError, match="--quantise needs --calibration"):
        Calibration.parse("int8", None)
    assert Calibration.parse("w6a8", tmp_path).recipe == Recipe(6, 8)


def test_a_trained_network_keeps_its_labels(shared_data: Path) -> None:
    """MLPerf Tiny's ResNet-8: labels of the integers against those of the floats, on pictures not used to quantise."""
    folder = shared_data / "mlperf_tiny" / "diana_quantlib"
    model = load_model(folder / "examples" / "image_classification" / "checkpoints" / "resnet8.pth")
    assert model.head is not None and len(model.head.labels) == 12
    batches = torch.load(folder / "tests" / "data" / "image_classification_inputs.pt", weights_only=True)["x"]
    pictures = np.rint((torch.cat(batches).numpy() + 1) * 127.5).astype(np.int64)
    graph = to_single(model.graph)
    (name,) = graph.inputs
    quantised = freeze(post_training(graph, [{name: p} for p in pictures[:16]], Recipe())).graph
    chosen = pictures[16:76]
    labels = [int(execute(graph, {name: p})[graph.outputs[0]].argmax()) for p in chosen]
    found = [int(execute(quantised, {name: p})[quantised.outputs[0]].argmax()) for p in chosen]
    assert len(set(labels)) > 5
    assert np.mean(np.equal(labels, found)) >= 0.95
