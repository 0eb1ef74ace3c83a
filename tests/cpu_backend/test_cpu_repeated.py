"""Groups of weights that repeat: by hand, as long as 8 bits are proven to hold, and when the engine uses them."""

from __future__ import annotations

from pathlib import Path

import cpu_cases
import numpy as np
import pytest
from cpu_objects import build_region

from cpu_backend import runner, toolchain
from cpu_backend.engine import CpuEngine
from cpu_backend.repeated import Repeated, by_columns, repeat
from cpu_backend.sparse import RUN8_SUM16, Pruned
from ir.executor import execute
from ir.graph import Graph, Node
from ir.ops import Conv2d, MultiplyShift
from ir.target import Target
from ir.types import Array, DType, TensorType

WHOLE = 1 << 16


def repeated(weights: Array, lo: int, hi: int, block_rows: int = WHOLE) -> Repeated:
    found = repeat(weights, lo, hi, block_rows)
    assert found is not None
    return found


def test_arrays_by_hand() -> None:
    """Column 1 is nobody's, so the panel has rows for 0, 2, 3, 4; in bytes, rows are 128 apart. A group of negative
    weights alone is added."""
    weights = np.array([[2, 0, -2, 3, 2], [0, 0, -1, -1, 0], [0, 0, 0, 0, -128]])
    assert {key: value.tolist() for key, value in repeated(weights, 0, 1).arrays().items()} == {
        "channels": [1, 1, 1],
        "runs": [2, 1, 1],
        "lengths": [1, 1, 0, 0, 1, 0, 0, 0],
        "columns": [0, 3 * 128, 128, 2 * 128, 128, 2 * 128, 3 * 128],
        "weights": [2, 3, -1, -128],
    }


def test_groups_end_where_blocks_of_rows_do() -> None:
    found = repeated(np.array([[5, 5, 5], [0, 0, 5]]), 0, 1, block_rows=2)
    assert found.groups.tolist() == [[1, 0], [1, 1]]
    assert found.added.tolist() == [2, 1, 1]
    assert found.columns.tolist() == [0, 1, 0, 0]


@pytest.mark.parametrize(("lo", "hi", "most"), [(0, 15, (8, 8)), (0, 31, (4, 4)), (0, 127, (1, 1)), (-8, 7, (15, 0))])
def test_a_group_is_as_long_as_8_bits_hold(lo: int, hi: int, most: tuple[int, int]) -> None:
    """Each group's worst operands, and more groups than one only where it is full. Of elements that may be negative all
    share the room, of others those added and those subtracted have as much each."""
    rng = np.random.default_rng(hi)
    weights = rng.choice([-3, 3, 3], (5, 70))
    found = repeated(weights, lo, hi)
    largest = found.added * max(hi, 0) + found.subtracted * max(-lo, 0)
    least = found.added * min(lo, 0) - found.subtracted * max(hi, 0)
    assert largest.max() <= 127
    assert least.min() >= -128
    if lo < 0:
        assert sorted(set(found.added + found.subtracted)) == [70 % most[0], most[0]]
    else:
        assert (found.added.max(), found.subtracted.max()) == most
        assert found.products == sum(-(-int(np.count_nonzero(row > 0)) // most[0]) for row in weights)


@pytest.mark.parametrize("seed", range(5))
def test_every_weight_is_in_one_group(seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.integers(-7, 8, (6, 90)) * (rng.random((6, 90)) < rng.random())
    found = repeated(weights, 0, 15, block_rows=int(rng.choice([7, 40, WHOLE])))
    sums, at = np.zeros_like(weights), 0
    places = [
        (block, channel) for block, row in enumerate(found.groups) for channel, n in enumerate(row) for _ in range(n)
    ]
    for (block, channel), added, subtracted, weight in zip(
        places, found.added, found.subtracted, found.weights, strict=True
    ):
        rows = found.rows[found.columns[at : at + added + subtracted] + block * found.block_rows]
        np.add.at(sums[channel], rows, np.where(np.arange(rows.size) < added, weight, -weight))
        at += rows.size
    assert np.array_equal(sums, weights)


def test_what_8_and_16_bits_do_not_hold_is_refused() -> None:
    assert repeat(np.ones((1, 4), np.int64), 0, 128) is None
    assert repeat(np.ones((1, 4), np.int64), -128, 127) is None
    assert repeat(np.full((1, 64), 127), 0, 4) is not None  # 32,512
    assert repeat(np.full((1, 65), 127), 0, 4) is None


def test_products_in_8_bits_are_kept_where_they_cost_less() -> None:
    """Groups of one element, each with a product in 16 bits, or as many products in 8."""
    found = by_columns(np.tile(np.arange(1, 9), (7, 1)), 0, 1, 8)
    assert isinstance(found, Pruned)
    assert found.sums is RUN8_SUM16
    assert isinstance(by_columns(np.ones((2, 64), np.int64) * 7, 0, 15, 8), Repeated)


def network(stride: int) -> Graph:
    rng = np.random.default_rng(stride)
    x = TensorType.of_dtype((40, 21 * stride, 24 * stride), DType("uint", 4))
    constants = {
        "w": rng.integers(-8, 8, (50, 40, 1, 1)),
        "mul": rng.integers(20, 90, 50),
        "add": rng.integers(-900, 900, 50),
    }
    nodes = (
        Node("conv", Conv2d((stride, stride)), ("x", "w")),
        Node("act", MultiplyShift(14, 0, 15), ("conv", "mul", "add")),
    )
    return Graph("net", {"x": x}, nodes, ("act",), constants).verify()


@pytest.mark.slow
@pytest.mark.parametrize("stride", [1, 2])
def test_engine_adds_before_it_multiplies(stride: int, board: Target, tmp_path: Path, riscv_tools: None) -> None:
    """A dense 1x1 convolution in four bits, whose map is done in 16: frames of the largest elements, of the smallest
    and of random ones."""
    graph = network(stride)
    artifact = CpuEngine().lower(graph, {}, board)
    assert "weights repeat" in artifact.stages[0].note
    assert ".before = " in artifact.files["cpu/net.c"]
    shape = graph.inputs["x"].shape
    frames = [{"x": x} for x in (np.full(shape, 15), np.zeros(shape, np.int64))]
    frames.append({"x": cpu_cases.values(np.random.default_rng(5), graph.inputs["x"])})
    for feature, vlen in ((None, None), (toolchain.VECTOR, 128), (toolchain.VECTOR, 256), (toolchain.VECTOR, 512)):
        folder = tmp_path / f"{vlen}"
        folder.mkdir()
        program = build_region(artifact, graph, folder, feature)
        for frame, got in zip(frames, runner.run_region(program, artifact, graph, frames, vlen), strict=True):
            assert np.array_equal(got["act"], execute(graph, frame)["act"])
