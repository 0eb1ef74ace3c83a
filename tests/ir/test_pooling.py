"""`PoolBeforeRequantise` and `PositiveMultipliers`: exact, and only where they are legal."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ir.executor import execute
from ir.graph import Graph, Node
from ir.ops import Conv2d, MaxPool2d, MultiplyShift, Op, Thresholds
from ir.passes.pooling import PoolBeforeRequantise
from ir.passes.signs import PositiveMultipliers
from ir.types import Array, DType, TensorType

CHANNELS = 6


def network(map_: Op, constants: dict[str, Array], pool: MaxPool2d = MaxPool2d()) -> Graph:  # noqa: B008
    """conv -> map -> pool with 6 channels and int4 weights."""
    rng = np.random.default_rng(5)
    weights = rng.integers(-7, 8, (CHANNELS, 3, 3, 3))
    x = TensorType.of_dtype((3, 9, 10), DType("uint", 4))
    nodes = (
        Node("conv", Conv2d(padding=(1, 1, 1, 1)), ("x", "w")),
        Node("map", map_, ("conv", *constants)),
        Node("pool", pool, ("map",)),
    )
    return Graph("g", {"x": x}, nodes, ("pool",), {"w": weights, **constants}).verify()


def multiply_shift(negative: int = 0) -> Graph:
    mul = np.array([900, 0, 17, 333, 650, 5])
    mul[:negative] *= -1
    return network(MultiplyShift(12, 0, 15), {"mul": mul, "add": np.arange(CHANNELS) * 700 - 500})


def thresholds(rising: Array) -> Graph:
    table = np.sort(np.random.default_rng(6).integers(-500, 500, (CHANNELS, 7)), axis=1)
    return network(Thresholds(-3), {"table": table, "rising": rising})


def kinds(graph: Graph) -> list[str]:
    return [type(node.op).__name__ for node in graph.nodes]


def assert_same_integers(before: Graph, after: Graph) -> None:
    rng = np.random.default_rng(7)
    for frame in (rng.integers(0, 16, (3, 9, 10)), np.full((3, 9, 10), 15), np.zeros((3, 9, 10), np.int64)):
        expected, got = execute(before, {"x": frame}), execute(after.verify(), {"x": frame})
        for name in before.outputs:
            assert np.array_equal(expected[name], got[name])
            assert before.types[name].shape == after.types[name].shape


MOVED = ["Conv2d", "MaxPool2d", "MultiplyShift"]


def test_multiply_shift_moves_behind_the_pool() -> None:
    before = multiply_shift()
    after = PoolBeforeRequantise()(before)
    assert kinds(after) == MOVED
    assert [node.name for node in after.nodes] == ["conv", "pool.sums", "pool"]
    assert_same_integers(before, after)


def test_rising_thresholds_move_behind_the_pool() -> None:
    before = thresholds(np.ones(CHANNELS, np.int64))
    after = PoolBeforeRequantise()(before)
    assert kinds(after) == ["Conv2d", "MaxPool2d", "Thresholds"]
    assert_same_integers(before, after)


def test_a_falling_channel_stays() -> None:
    assert kinds(PoolBeforeRequantise()(multiply_shift(negative=1))) == ["Conv2d", "MultiplyShift", "MaxPool2d"]
    rising = np.ones(CHANNELS, np.int64)
    rising[4] = 0
    assert kinds(PoolBeforeRequantise()(thresholds(rising))) == ["Conv2d", "Thresholds", "MaxPool2d"]


def test_moving_a_falling_channel_would_be_wrong() -> None:
    """The condition is needed: the integers differ without it."""
    before = multiply_shift(negative=3)
    conv, map_, pool = before.nodes
    forced = before.with_nodes(
        (conv, Node("p", pool.op, ("conv",)), Node("pool", map_.op, ("p", *map_.inputs[1:])))
    ).verify()
    frame = {"x": np.random.default_rng(7).integers(0, 16, (3, 9, 10))}
    assert not np.array_equal(execute(before, frame)["pool"], execute(forced, frame)["pool"])


@pytest.mark.parametrize("also", ["output", "reader"])
def test_a_tensor_that_others_see_stays(also: str) -> None:
    graph = multiply_shift()
    if also == "output":
        graph = replace(graph, outputs=("pool", "map"))
    else:
        reader = Node("other", MaxPool2d((3, 3), (3, 3)), ("map",))
        graph = replace(graph, nodes=(*graph.nodes, reader), outputs=("pool", "other"))
    assert PoolBeforeRequantise()(graph).nodes == graph.nodes


def test_overlapping_windows_move_only_where_they_shrink() -> None:
    graph = multiply_shift()
    shrinking = replace(graph, nodes=(*graph.nodes[:2], Node("pool", MaxPool2d((3, 3), (2, 2)), ("map",))))
    after = PoolBeforeRequantise()(shrinking)
    assert kinds(after) == MOVED
    assert_same_integers(shrinking, after)
    same = replace(graph, nodes=(*graph.nodes[:2], Node("pool", MaxPool2d((1, 1), (1, 1)), ("map",))))
    assert PoolBeforeRequantise()(same).nodes == same.nodes


def test_pools_behind_inputs_and_pools_stay() -> None:
    x = TensorType.of_dtype((2, 8, 8), DType("uint", 4))
    nodes = (Node("a", MaxPool2d(), ("x",)), Node("b", MaxPool2d(), ("a",)))
    graph = Graph("g", {"x": x}, nodes, ("b",)).verify()
    assert PoolBeforeRequantise()(graph).nodes == nodes


def test_signs_turn_into_the_weights() -> None:
    before = multiply_shift(negative=4)
    after = PositiveMultipliers()(before)
    assert (after.constants["map.mul"] >= 0).all()
    assert_same_integers(before, after)
    assert kinds(PoolBeforeRequantise()(after)) == MOVED
    assert_same_integers(before, PoolBeforeRequantise()(after))


def test_signs_stay_where_the_sums_are_seen() -> None:
    before = replace(multiply_shift(negative=4), outputs=("pool", "conv"))
    assert PositiveMultipliers()(before).nodes == before.nodes


def test_signs_stay_where_a_weight_has_no_counterpart() -> None:
    before = multiply_shift(negative=4)
    weights = before.constants["w"].copy()
    weights[0, 0, 0, 0] = -128
    before = replace(before, constants={**before.constants, "w": weights})
    assert PositiveMultipliers()(before).nodes == before.nodes
    weights[0, 0, 0, 0], weights[5, 0, 0, 0] = 7, -128  # a channel whose multiplier is positive
    before = replace(before, constants={**before.constants, "w": weights})
    assert PositiveMultipliers()(before).nodes != before.nodes
