"""Freezing: the published integers and golden outputs of real networks, the formula on others, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from zoo_models import NETWORKS, checkpoint, layers

from frontend.errors import ModelError
from frontend.load import load_model
from frontend.lower.freeze import Frozen, freeze
from ir.executor import execute
from ir.graph import Graph, Node
from ir.ops import BatchNorm, Concat, Conv2d, FakeQuantize, MaxPool2d, MultiplyShift, Op, Scaled
from ir.types import Array, DType, TensorType


@pytest.fixture(scope="module", params=NETWORKS)
def network(request: pytest.FixtureRequest, shared_data: Path) -> tuple[str, Frozen]:
    return request.param, freeze(load_model(checkpoint(shared_data, request.param)).graph)


def test_public_networks_freeze_to_the_published_integers(network: tuple[str, Frozen], shared_data: Path) -> None:
    name, frozen = network
    graph = frozen.graph
    convolutions, requantisations = layers(graph)
    assert (len(convolutions), len(requantisations)) == (9, 8)
    with np.load(shared_data / "golden" / f"{name}_integers.npz") as golden:
        for i, conv in enumerate(convolutions):
            np.testing.assert_array_equal(graph.constants[graph.by_name[conv].inputs[1]], golden[f"w{i}"])
        for i, each in enumerate(requantisations):
            node = graph.by_name[each]
            assert node.op == MultiplyShift(int(golden[f"shift{i}"]), 0, 15)
            np.testing.assert_array_equal(graph.constants[node.inputs[1]], golden[f"inc{i}"])
            np.testing.assert_array_equal(graph.constants[node.inputs[2]], golden[f"bias{i}"])


def test_reference_executor_equals_all_golden_frames(network: tuple[str, Frozen], shared_data: Path) -> None:
    name, frozen = network
    (output,) = frozen.graph.outputs
    with np.load(shared_data / "golden" / f"{name}_first8.npz") as golden:
        pictures, raw, bias = golden["img_bgr_160x320"], golden["raw_int32_36x10x20"], golden["last_bias"]
    for picture, expected in zip(pictures, raw, strict=True):
        got = execute(frozen.graph, {"input": picture.transpose(2, 0, 1)})[output]
        np.testing.assert_array_equal(got, expected)
    record = frozen.dequantise[output]
    assert record.scale == pytest.approx(1 / 105)
    np.testing.assert_allclose(record.bias, bias, rtol=1e-6)


SIDE = 4
INPUT = TensorType.of_dtype((2, SIDE, SIDE), DType("uint", 8))


class Float:
    """A float graph in the making: a picture divided by 255, then whatever is added."""

    def __init__(self) -> None:
        self.nodes = [Node("x", Scaled(255.0), ("picture",))]
        self.constants: dict[str, Array] = {}

    def constant(self, name: str, values: object) -> str:
        self.constants[name] = np.asarray(values, np.float64)
        return name

    def add(self, name: str, op: Op, *inputs: str) -> str:
        self.nodes.append(Node(name, op, inputs))
        return name

    def weights(self, name: str, bits: int, values: Array) -> str:
        levels = (1 << (bits - 1)) - 1
        return self.add(name, FakeQuantize(float(levels), -levels, levels), self.constant(f"{name}.float", values))

    def norm(self, name: str, source: str, channels: int = 2, **changes: object) -> str:
        ones = {"gamma": np.ones(channels), "beta": np.zeros(channels), "mean": np.zeros(channels)}
        given = {**ones, "var": np.ones(channels), **changes}
        return self.add(name, BatchNorm(1e-5), source, *(self.constant(f"{name}.{k}", given[k]) for k in given))

    def activation(self, name: str, source: str, bits: int = 4) -> str:
        return self.add(name, FakeQuantize(float((1 << bits) - 1), 0, (1 << bits) - 1), source)

    def graph(self, *outputs: str) -> Graph:
        return Graph("net", {"picture": INPUT}, tuple(self.nodes), outputs, self.constants).verify()


def real_values(graph: Graph, picture: Array) -> dict[str, Array]:
    """Every tensor of a float graph for a uint8 picture, whose quantiser only says that it counts 255ths."""
    values = dict(graph.constants) | {"x": picture / 255}
    for node in graph.nodes[1:]:
        values[node.name] = node.op.evaluate([values[i] for i in node.inputs])
    return values


def small(weight_bits: int, bits: int, seed: int) -> Graph:
    """conv 3x3 - norm - activation - pool - conv 1x1 with bias."""
    rng, net = np.random.default_rng(seed), Float()
    net.weights("w0", weight_bits, rng.uniform(-1, 1, (3, 2, 3, 3)))
    net.add("conv0", Conv2d(padding=(1, 1, 1, 1)), "x", "w0")
    net.norm("norm", "conv0", 3, gamma=[0.4, -0.3, 0.2], beta=[0.2, 0.5, 0.1], mean=[0.3, -0.2, 0], var=[0.5, 2, 1])
    net.activation("act", "norm", bits)
    net.add("pool", MaxPool2d(), "act")
    net.weights("w1", weight_bits, rng.uniform(-1, 1, (2, 3, 1, 1)))
    net.add("head", Conv2d(), "pool", "w1", net.constant("bias", [0.25, -1.5]))
    return net.graph("head")


@pytest.mark.parametrize(("weight_bits", "bits"), [(2, 1), (3, 5), (4, 4), (5, 3), (8, 8)])
def test_any_widths_follow_the_formula_and_the_float_network(weight_bits: int, bits: int) -> None:
    """The published formula, and the float network itself: at most one level off, since the shift has 8 bits more."""
    graph = small(weight_bits, bits, seed=weight_bits)
    frozen = freeze(graph)
    requantise = frozen.graph.by_name["act"]
    shift = weight_bits - 1 + 8 + 8
    steps, top = (1 << bits) - 1, (1 << (weight_bits - 1)) - 1
    gain = np.array([0.4, -0.3, 0.2]) / np.sqrt(np.array([0.5, 2, 1]) + 1e-5)
    offset = np.array([0.2, 0.5, 0.1]) - np.array([0.3, -0.2, 0]) * gain
    assert requantise.op == MultiplyShift(shift, 0, steps)
    np.testing.assert_array_equal(
        frozen.graph.constants[requantise.inputs[1]], np.rint(steps * gain * 2.0**shift / (top * 255))
    )
    np.testing.assert_array_equal(frozen.graph.constants[requantise.inputs[2]], np.rint(steps * offset * 2.0**shift))
    for seed in range(3):
        picture = np.random.default_rng(seed).integers(0, 256, INPUT.shape)
        real, integers = real_values(graph, picture), execute(frozen.graph, {"picture": picture})
        assert np.abs(integers["act"] - real["act"] * steps).max() <= 1 + 1e-9
        if np.array_equal(integers["pool"], np.rint(real["pool"] * steps)):
            record = frozen.dequantise["head"]
            value = integers["head"] * record.scale + np.array(record.bias).reshape(-1, 1, 1)
            np.testing.assert_allclose(value, real["head"], atol=1e-9)


def test_an_activation_that_changes_nothing_adds_no_node() -> None:
    net = Float()
    net.weights("w", 4, np.ones((2, 2, 1, 1)))
    net.add("conv", Conv2d(), "x", "w")
    net.activation("again", net.activation("act", "conv"))
    assert [type(n.op).__name__ for n in freeze(net.graph("again")).graph.nodes] == ["Conv2d", "MultiplyShift"]


def refused(graph: Graph) -> str:
    with pytest.raises(ModelError) as raised:
        freeze(graph)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def convolution(values: Array | None = None) -> Float:
    net = Float()
    net.weights("w", 4, np.ones((2, 2, 1, 1)) if values is None else values)
    net.add("conv", Conv2d(), "x", "w")
    return net


def test_an_output_scaled_per_channel_has_a_gain_for_each() -> None:
    net = convolution()
    plain = freeze(net.graph("conv")).dequantise["conv"]
    net.norm("norm", "conv", gamma=[1.0, 2.0])
    graph = net.graph("norm")
    variance = graph.by_name["norm"].op.affine(*(graph.constants[i] for i in graph.by_name["norm"].inputs[1:]))[0]
    record = freeze(graph).dequantise["norm"]
    assert np.allclose(np.array(record.gain) * record.scale, plain.scale * variance)


def test_a_concat_of_different_scales_has_one_for_each_channel() -> None:
    """Which an output may have, but no convolution that sums over the channels."""
    net = convolution()
    net.add("both", Concat(), net.activation("a", "conv", 4), net.activation("b", "conv", 3))
    record = freeze(net.graph("both")).dequantise["both"]
    assert np.allclose(np.array(record.gain) * record.scale, [1 / 15, 1 / 15, 1 / 7, 1 / 7])
    net.weights("v", 4, np.ones((2, 4, 1, 1)))
    net.add("sums", Conv2d(), "both", "v")
    assert "node 'sums': its input has to be quantised with one scale" in refused(net.graph("sums"))


@pytest.mark.parametrize("source", ["float", "computed"])
def test_weights_that_are_not_constant_quantised_are_refused(source: str) -> None:
    net = Float()
    if source == "float":
        net.add("conv", Conv2d(), "x", net.constant("w", np.ones((2, 2, 1, 1))))
        assert "node 'conv': operand 'w' is not quantised" in refused(net.graph("conv"))
    else:
        net.nodes.append(Node("w", Scaled(7.0), ("dynamic",)))
        inputs = {"picture": INPUT, "dynamic": TensorType((2, 2, 1, 1), DType("int", 4), -7, 7)}
        nodes = (*net.nodes, Node("conv", Conv2d(), ("x", "w")))
        graph = Graph("net", inputs, nodes, ("conv",), {})
        assert "node 'conv': needs quantised input and constant quantised weights" in refused(graph)


def test_a_convolution_of_unquantised_values_is_refused() -> None:
    net = convolution()
    net.norm("norm", "conv")
    net.add("second", Conv2d(), "norm", "w")
    assert "node 'second': its input has to be quantised with one scale" in refused(net.graph("second"))


def test_pooling_of_values_that_fall_with_their_integers_is_refused() -> None:
    net = convolution()
    net.add("pool", MaxPool2d(), net.norm("norm", "conv", gamma=[1.0, -1.0]))
    assert "node 'pool': needs a quantised input, or one whose scale is above 0" in refused(net.graph("pool"))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    "changes",
    [
        {"var": [1.0, -1.0]},
        {"gamma": [float("nan"), 1.0]},
        {"gamma": [1e30, 1.0]},
        {"beta": [1e9, 0.0]},
        {"mean": [float("inf"), 0.0]},
    ],
)
def test_degenerate_batch_norms_are_refused(changes: dict[str, list[float]]) -> None:
    net = convolution()
    net.activation("act", net.norm("norm", "conv", **changes))
    assert "node 'act': its scale or offset exceeds 32 bits: the batch norm in front of it" in refused(net.graph("act"))


def test_a_bias_that_is_not_finite_is_refused() -> None:
    net = convolution()
    net.add("head", Conv2d(), "x", "w", net.constant("bias", [0.0, float("nan")]))
    assert "node 'head': an output's scale or bias is not finite" in refused(net.graph("head"))


def test_only_inputs_are_scaled() -> None:
    nodes = (Node("x", Scaled(255.0), ("picture",)), Node("p", MaxPool2d(), ("x",)))
    again = (*nodes, Node("y", Scaled(3.0), ("picture",)))
    assert set(freeze(Graph("net", {"picture": INPUT}, again, ("p",), {})).graph.types) == {"picture", "p"}


def test_a_range_beyond_64_bits_names_its_node() -> None:
    wide = 2.0**31 - 1
    net, w = Float(), np.ones((2, 2, 1, 1))
    net.add("w", FakeQuantize(wide, -int(wide), int(wide)), net.constant("w.float", w))
    net.add("a", Conv2d(), "x", "w")
    net.add("b", Conv2d(), "a", "w")
    assert "net: node 'b': uint of 72 bits is no element type" in refused(net.graph("b"))  # 2 * 2 * 255 * (2**31)**2
