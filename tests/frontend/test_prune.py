"""`--prune`: what is pruned, and that a tile's columns are kept or gone together."""

from __future__ import annotations

import numpy as np
import pytest

from frontend.errors import ModelError
from frontend.lower.prune import PruneColumns, Pruning, prunable
from ir.graph import Graph, Node
from ir.ops import Conv2d, MaxPool2d, MultiplyShift
from ir.types import DType, TensorType

SAME = Conv2d(padding=(1, 1, 1, 1))


def network() -> Graph:
    """A first convolution behind a pool, a plain, a binary, a depthwise one, and two that share their weights."""
    rng = np.random.default_rng(1)
    c = 8
    constants = {
        "first.w": rng.integers(-7, 8, (c, 3, 3, 3)),
        "plain.w": rng.integers(-7, 8, (c, c, 3, 3)),
        "binary.w": rng.choice([-1, 1], (c, c, 3, 3)),
        "depth.w": rng.integers(-7, 8, (c, 1, 3, 3)),
        "shared.w": rng.integers(-7, 8, (c, c, 1, 1)),
    }
    nodes, source = [Node("pool", MaxPool2d(), ("x",))], "pool"
    for name, weights, op in (
        ("first", "first.w", SAME),
        ("plain", "plain.w", SAME),
        ("binary", "binary.w", SAME),
        ("depth", "depth.w", Conv2d(padding=(1, 1, 1, 1), groups=c)),
        ("one", "shared.w", Conv2d()),
        ("two", "shared.w", Conv2d()),
    ):
        constants |= {f"{name}.mul": np.full(c, 3), f"{name}.add": np.zeros(c, np.int64)}
        nodes += [
            Node(name, op, (source, weights)),
            Node(f"{name}.act", MultiplyShift(8, -8, 7), (name, f"{name}.mul", f"{name}.add")),
        ]
        source = f"{name}.act"
    inputs = {"x": TensorType.of_dtype((3, 12, 12), DType("uint", 8))}
    return Graph("net", inputs, tuple(nodes), (source,), constants).verify()


def test_what_can_be_pruned() -> None:
    """Not the first convolution, nor weights of -1 and +1, nor groups."""
    assert prunable(network()) == ["plain", "one", "two"]


@pytest.mark.parametrize(("n", "m", "tile"), [(2, 4, 1), (4, 8, 3), (1, 4, 8), (36, 72, 2)])
def test_columns_of_a_tile_go_together(n: int, m: int, tile: int) -> None:
    """In each tile and group of M columns N are as they were, and none that went was larger than one that stayed."""
    graph = network()
    pruned = PruneColumns(Pruning(n, m, tile), frozenset({"plain"}))(graph).verify()
    before, after = (g.constants["plain.w"].transpose(0, 2, 3, 1).reshape(8, -1) for g in (graph, pruned))
    for first in range(0, 8, tile):
        old, new = before[first : first + tile], after[first : first + tile]
        for start in range(0, old.shape[1], m):
            a, b = old[:, start : start + m], new[:, start : start + m]
            norms = np.abs(a).sum(0)
            gone = (b == 0).all(0) & (norms > 0)
            stayed = (a == b).all(0)
            assert (gone | stayed).all() and (stayed & (norms > 0)).sum() <= n <= stayed.sum()
            assert norms[gone].max(initial=0) <= norms[stayed & (norms > 0)].min(initial=norms.max())
    untouched = [name for name in graph.constants if name != "plain.w"]
    assert all(pruned.constants[name] is graph.constants[name] for name in untouched)


def test_weights_that_another_reads_stay() -> None:
    graph = network()
    pruned = PruneColumns(Pruning(1, 2), frozenset({"two"}))(graph).verify()
    assert np.array_equal(pruned.constants["shared.w"], graph.constants["shared.w"])
    assert np.count_nonzero(pruned.constants["two.pruned"]) <= 8 * 8 // 2
    assert pruned.by_name["two"].inputs == ("one.act", "two.pruned")


@pytest.mark.parametrize("text", ["half", "2", "4:4", "5:4", "0:4", "2:4/0", "2:4/", "-1:4", "2:4:8", "2.0:4"])
def test_what_is_no_pruning_is_refused(text: str) -> None:
    with pytest.raises(ModelError, match=r"--prune .*: no pruning \(allowed: N:M"):
        Pruning.parse(text)


def test_what_is_one() -> None:
    assert Pruning.parse("2:4") == Pruning(2, 4, 1) and Pruning.parse("72:144/7") == Pruning(72, 144, 7)
