"""Multiply-shift as thresholds: equal for every x there can be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ir.executor import execute
from ir.graph import Graph, GraphError, Node
from ir.ops import Add, MaxPool2d, MultiplyShift, Thresholds
from ir.passes.addends import FoldAddends
from ir.passes.base import run_passes
from ir.passes.thresholds import MultiplyShiftToThresholds
from ir.types import Array, TensorType


def requantisation(op: MultiplyShift, lo: int, hi: int, mul: Array, add: Array) -> tuple[Graph, dict[str, Array]]:
    """A graph of one node, and its input holding every x of lo..hi in every channel."""
    x = np.broadcast_to(np.arange(lo, hi + 1), (len(mul), 1, hi - lo + 1))
    nodes = (Node("y", op, ("x", "mul", "add")),)
    return Graph("net", {"x": TensorType.of_range(x.shape, lo, hi)}, nodes, ("y",), {"mul": mul, "add": add}), {"x": x}


@pytest.mark.parametrize("seed", range(30))
def test_equal_for_every_value(seed: int) -> None:
    rng = np.random.default_rng(seed)
    lo, hi = sorted(rng.integers(-700, 700, 2).tolist())
    out = sorted(rng.choice(np.arange(-12, 16), 2, replace=False).tolist())
    shift, channels = int(rng.integers(1, 14)), 12
    mul = rng.integers(-40, 41, channels)
    mul[:3] = 0, 1, -1
    add = rng.integers(-(20 << shift), 20 << shift, channels)
    graph, inputs = requantisation(MultiplyShift(shift, *out), lo, hi, mul, add)
    made = run_passes(graph, [MultiplyShiftToThresholds(levels=32)])
    assert isinstance(made.nodes[0].op, Thresholds)
    assert np.array_equal(execute(made, inputs)["y"], execute(graph, inputs)["y"])
    table = made.constants["y.thresholds"]
    assert table.min() >= lo - 1 and table.max() <= hi + 1  # nothing wider than a comparison with x needs


def test_a_zero_multiplier_is_a_constant_on_either_side_of_a_tie() -> None:
    mul, add = np.zeros(4, int), np.array([7, 8, -9, -8])  # shift 4: 8 is half a level, rounded up
    graph, inputs = requantisation(MultiplyShift(4, -1, 1), -5, 5, mul, add)
    made = MultiplyShiftToThresholds()(graph)
    got = execute(made, inputs)["y"]
    assert [set(row.reshape(-1)) for row in got] == [{0}, {1}, {-1}, {0}]


def test_more_levels_than_asked_for_stay_a_multiply_shift() -> None:
    graph, _ = requantisation(MultiplyShift(4, 0, 16), -5, 5, np.array([3]), np.array([0]))
    assert MultiplyShiftToThresholds(levels=16)(graph).nodes == graph.nodes
    graph, _ = requantisation(MultiplyShift(4, 0, 15), -5, 5, np.array([3]), np.array([0]))
    made = MultiplyShiftToThresholds(levels=16)(graph).verify()
    assert isinstance(made.nodes[0].op, Thresholds) and "mul" not in made.constants


def test_passes_run_in_order_and_each_result_is_verified() -> None:
    graph, _ = requantisation(MultiplyShift(4, 0, 15), -5, 5, np.array([3]), np.array([0]))
    seen: list[str] = []

    def broken(g: Graph) -> Graph:
        return g.with_nodes([*g.nodes, Node("z", MaxPool2d((9, 9), (9, 9)), ("y",))])

    with pytest.raises(GraphError, match="node 'z'"):
        run_passes(graph, [MultiplyShiftToThresholds(), broken], lambda each, g: seen.append(type(each).__name__))
    assert seen == ["MultiplyShiftToThresholds"]


@pytest.mark.parametrize("seed", range(8))
def test_addends_become_part_of_the_requantisation(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mul, add, b = rng.integers(-900, 900, 5), rng.integers(-9000, 9000, 5), rng.integers(-500, 500, 5)
    nodes = (Node("sum", Add(), ("x", "b")), Node("y", MultiplyShift(9, -128, 127), ("sum", "mul", "add")))
    x = TensorType.of_range((5, 4, 6), -3000, 3000)
    graph = Graph("net", {"x": x}, nodes, ("y",), {"mul": mul, "add": add, "b": b}).verify()
    folded = run_passes(graph, [FoldAddends()])
    assert [node.inputs for node in folded.nodes] == [("x", "mul", "add")]
    inputs = {"x": rng.integers(-3000, 3001, (5, 4, 6))}
    assert np.array_equal(execute(folded, inputs)["y"], execute(graph, inputs)["y"])
    assert FoldAddends()(replace(graph, outputs=("sum", "y"))).nodes == nodes  # the sum itself is wanted


def test_addends_that_would_leave_63_bits_stay() -> None:
    huge = {"mul": np.array([1 << 40]), "add": np.array([0]), "b": np.array([1 << 20])}
    nodes = (Node("sum", Add(), ("x", "b")), Node("y", MultiplyShift(50, 0, 1), ("sum", "mul", "add")))
    graph = Graph("net", {"x": TensorType.of_range((1, 1, 1), -(1 << 20), 0)}, nodes, ("y",), huge).verify()
    assert FoldAddends()(graph).nodes == nodes
