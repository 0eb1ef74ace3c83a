"""What is remembered of constants."""

from __future__ import annotations

import gc
from weakref import ref

import numpy as np

from ir.graph import Graph, Node
from ir.memo import remembered
from ir.ops import Conv2d
from ir.types import Array, DType, TensorType


def constant(*values: int) -> Array:
    array = np.array(values)
    array.setflags(write=False)
    return array


def test_is_computed_once_for_each_array_and_argument() -> None:
    asked: list[tuple[int, int]] = []

    @remembered
    def scaled(array: Array, factor: int = 1) -> int:
        asked.append((int(array[0]), factor))
        return int(array.sum()) * factor

    first, second = constant(1, 2), constant(3, 4)
    assert [scaled(first, 2), scaled(first, 2), scaled(second, 2), scaled(first, 3)] == [6, 6, 14, 9]
    assert asked == [(1, 2), (3, 2), (1, 3)]


def test_the_callers_array_stays_as_it_is() -> None:
    """What can change is computed anew; a graph reads constants by a name of its own, which its passes hand on."""
    array = np.array([[[[1]], [[2]]]])
    total = remembered(lambda a: int(a.sum()))
    assert total(array) == 3
    array[:] = 5
    assert total(array) == 10
    x = TensorType((2, 1, 1), DType("uint", 8), 0, 255)
    graph = Graph("g", {"x": x}, (Node("y", Conv2d((1, 1), (0, 0, 0, 0)), ("x", "w")),), ("y",), {"w": array}).verify()
    kept = graph.constants["w"]
    assert array.flags.writeable and not kept.flags.writeable and np.shares_memory(array, kept)
    assert graph.with_nodes(graph.nodes).constants["w"] is kept


def test_results_go_with_the_array() -> None:
    total = remembered(lambda a: np.array([a.sum()]))
    array = constant(1, 2)
    kept = ref(total(array))
    assert kept() is not None
    del array
    gc.collect()
    assert kept() is None
