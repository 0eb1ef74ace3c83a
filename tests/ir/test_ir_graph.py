"""Graphs: rules and their errors, subgraphs, dead nodes, the executor's checks."""

from __future__ import annotations

import numpy as np
import pytest

from ir.executor import execute, outputs_of
from ir.graph import Graph, GraphError, Node
from ir.ops import Concat, Conv2d, MaxPool2d, MultiplyShift, Upsample
from ir.passes.base import run_passes
from ir.passes.dead import RemoveDead
from ir.types import Array, DType, TensorType

PICTURE = TensorType.of_dtype((2, 4, 4), DType("uint", 4))
CONSTANTS: dict[str, Array] = {
    "w": np.arange(-8, 10).reshape(1, 2, 3, 3),
    "mul": np.array([3]),
    "add": np.array([-7]),
}
NODES = (
    Node("conv", Conv2d(padding=(1, 1, 1, 1)), ("x", "w")),
    Node("act", MultiplyShift(4, 0, 15), ("conv", "mul", "add")),
    Node("pool", MaxPool2d(), ("act",)),
    Node("fine", MaxPool2d((1, 1), (2, 2)), ("act",)),
    Node("both", Concat(), ("pool", "fine")),
)


def graph(nodes: tuple[Node, ...] = NODES, outputs: tuple[str, ...] = ("both",), **constants: Array) -> Graph:
    return Graph("net", {"x": PICTURE}, nodes, outputs, CONSTANTS | constants)


def test_a_sound_graph_verifies() -> None:
    assert graph().verify().types["both"].shape == (2, 2, 2)


@pytest.mark.parametrize(
    ("nodes", "outputs", "message"),
    [
        (NODES, ("none",), "net: output 'none' is not defined"),
        (NODES, (), "net: no outputs"),
        (NODES[::-1], ("both",), "net: node 'both' reads 'pool', which nothing before it defines"),
        ((*NODES, NODES[0]), ("both",), "net: tensor 'conv' is defined twice"),
        ((*NODES, Node("x", MaxPool2d(), ("act",))), ("both",), "net: tensor 'x' is defined twice"),
        (NODES[:1], ("conv",), "net: constant 'mul' is read by no node"),
        (
            (Node("bad", Conv2d(groups=2), ("x", "w")),),
            ("bad",),
            r"net: node 'bad' \(Conv2d\): 2 channels meet weights for 4",
        ),
    ],
)
def test_errors_name_graph_node_and_rule(nodes: tuple[Node, ...], outputs: tuple[str, ...], message: str) -> None:
    with pytest.raises(GraphError, match=message):
        graph(nodes, outputs).verify()


def test_a_range_beyond_64_bits_is_an_error_of_its_node() -> None:
    wide = {"x": TensorType.of_range((2, 4, 4), -(1 << 40), 1 << 40)}
    found = Graph("net", wide, NODES[:1], ("conv",), {"w": np.full((1, 2, 3, 3), 1 << 30)})
    with pytest.raises(GraphError, match=r"net: node 'conv' \(Conv2d\): .* is no element type"):
        found.verify()


def test_a_name_is_not_both_input_and_constant() -> None:
    with pytest.raises(GraphError, match="'x' is both an input and a constant"):
        graph(x=np.zeros(1, int)).verify()


def test_subgraph_takes_what_crosses_its_edge() -> None:
    part = graph().subgraph("part", ["act", "pool"]).verify()
    assert list(part.inputs) == ["conv"]
    assert part.outputs == ("act", "pool")  # act is also read by 'fine' outside
    assert set(part.constants) == {"mul", "add"}
    assert part.inputs["conv"] == graph().types["conv"]


def test_subgraphs_in_sequence_compute_the_whole() -> None:
    whole, x = graph(), np.random.default_rng(1).integers(0, 16, (2, 4, 4))
    values = {"x": x}
    for names in (["conv"], ["act", "pool"], ["fine", "both"]):
        part = whole.subgraph("part", names)
        values |= outputs_of(part, execute(part, {name: values[name] for name in part.inputs}))
    assert np.array_equal(values["both"], execute(whole, {"x": x})["both"])


def test_sole_user_is_none_for_outputs_and_several_readers() -> None:
    whole = graph(outputs=("both", "pool"))
    assert (user := whole.view("conv").sole_user) is not None and user.name == "act"
    assert whole.view("act").sole_user is None
    assert whole.view("pool").sole_user is None
    assert whole.view("both").sole_user is None


def test_remove_dead_keeps_what_an_output_needs() -> None:
    made = run_passes(graph(outputs=("pool",)), [RemoveDead()])
    assert [node.name for node in made.nodes] == ["conv", "act", "pool"]
    only = run_passes(graph(outputs=("conv",)), [RemoveDead()])
    assert set(only.constants) == {"w"}


def test_executor_equals_a_loop_over_pixels() -> None:
    x = np.random.default_rng(2).integers(0, 16, (2, 4, 4))
    got, padded, w = execute(graph(), {"x": x}), np.pad(x, ((0, 0), (1, 1), (1, 1))), CONSTANTS["w"]
    for i, j in np.ndindex(4, 4):
        sums = int((padded[:, i : i + 3, j : j + 3] * w[0]).sum())
        assert got["conv"][0, i, j] == sums
        assert got["act"][0, i, j] == min(max((sums * 3 - 7 + 8) // 16, 0), 15)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "net: input 'x' is missing"),
        ({"x": np.zeros((2, 4, 5), int)}, r"input 'x' has shape \(2, 4, 5\), needs \(2, 4, 4\)"),
        ({"x": np.zeros((2, 4, 4))}, "input 'x' is float64, needs integers"),
        ({"x": np.full((2, 4, 4), 16)}, r"input 'x' leaves its range 0\.\.15"),
        ({"x": np.full((2, 4, 4), -1)}, r"input 'x' leaves its range 0\.\.15"),
    ],
)
def test_executor_checks_its_inputs(inputs: dict[str, Array], message: str) -> None:
    with pytest.raises(GraphError, match=message):
        execute(graph(), inputs)


def test_executor_takes_no_zero_for_a_bipolar_value() -> None:
    x = TensorType.of_dtype((2, 1, 1), DType("bipolar", 1))
    bits = Graph("net", {"x": x}, (Node("y", Upsample(1), ("x",)),), ("y",)).verify()
    assert execute(bits, {"x": np.array([[[1]], [[-1]]])})["y"].tolist() == [[[1]], [[-1]]]
    with pytest.raises(GraphError, match="input 'x' holds a 0"):
        execute(bits, {"x": np.array([[[1]], [[0]]])})
