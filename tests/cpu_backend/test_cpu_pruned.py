"""Packing of column-pruned weights: tiles found, runs proven, arrays, and when the engine uses them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cpu_cases
import numpy as np
import pytest
from cpu_objects import build_region

from cpu_backend import runner, toolchain
from cpu_backend.engine import CpuEngine
from cpu_backend.sparse import RUN8_SUM16, RUN16_SUM16, RUN32_SUM32, Pruned, prune, tiles_of
from frontend.training.columns import prune_columns
from ir.executor import execute
from ir.graph import Graph, Node
from ir.ops import Conv2d, MaxPool2d, MultiplyShift
from ir.target import Cpu, Target
from ir.types import Array, DType, TensorType

WHOLE = 1 << 16


def packed(weights: Array, lo: int, hi: int, bits: int = 8, block_rows: int = WHOLE) -> Pruned:
    pruned = prune(weights, lo, hi, bits, block_rows)
    assert pruned is not None
    return pruned


def test_finds_the_channels_that_were_pruned_together() -> None:
    rng = np.random.default_rng(3)
    weights = rng.integers(1, 8, (14, 64))  # of four columns each tile keeps another one
    for first, end, offset in ((0, 4, 0), (4, 10, 1), (10, 14, 2)):
        weights[first:end, np.arange(64) % 4 != offset] = 0
    tiles = tiles_of(weights)
    assert [tile.channels for tile in tiles] == [4, 6, 4]
    assert [tile.columns[:2].tolist() for tile in tiles] == [[0, 4], [1, 5], [2, 6]]


def test_dense_weights_keep_every_column_in_tiles_of_seven() -> None:
    tiles = tiles_of(np.ones((21, 5), np.int64))
    assert [(tile.channels, tile.columns.tolist()) for tile in tiles] == [(7, [0, 1, 2, 3, 4])] * 3


def test_arrays_by_hand() -> None:
    """Two tiles; column 3 is nobody's, so the panel has rows for 0, 1, 2, 4; blocks of two rows."""
    weights = np.zeros((8, 5), np.int64)
    weights[:4, [0, 2]] = [[1, 2]] * 4
    weights[4:, [0, 1, 4]] = [[3, 4, 5]] * 4
    arrays = {key: value.tolist() for key, value in packed(weights, 0, 1, block_rows=2).arrays().items()}
    assert arrays == {
        "channels": [4, 4],
        "runs": [1, 1, 1, 1],
        "lengths": [1, 2, 1, 1],
        "columns": [0, 0, 1, 0, 1],
        "weights": [1] * 4 + [3] * 4 + [4] * 4 + [2] * 4 + [5] * 4,
    }


def test_the_first_block_has_a_run_for_a_tile_without_columns() -> None:
    weights = np.zeros((8, 4), np.int64)
    weights[:4, 2:] = 1
    pruned = packed(weights, 0, 1, block_rows=1)
    assert pruned.lengths == (((1,), (0,)), ((1,), ()))


@pytest.mark.parametrize("seed", range(5))
def test_no_partial_sum_of_a_run_leaves_its_accumulator(seed: int) -> None:
    """Each channel's worst operand for every prefix of every run; and each run ends only where it must."""
    rng = np.random.default_rng(seed)
    weights = rng.integers(-3, 4, (7, 200))
    pruned = packed(weights, 0, 7)
    assert pruned.sums is RUN8_SUM16
    (tile,) = pruned.tiles
    (lengths,) = pruned.lengths[0]
    assert sum(lengths) == tile.columns.size
    assert len(lengths) > 1
    start = 0
    for number, length in enumerate(lengths):
        run = tile.weights[:, start : start + length]
        positive, negative = (np.where(run * sign > 0, run * 7, 0).sum(1) for sign in (1, -1))
        assert positive.max() <= 127
        assert negative.min() >= -128
        if number + 1 < len(lengths):
            longer = tile.weights[:, start : start + length + 1]
            positive, negative = (np.where(longer * sign > 0, longer * 7, 0).sum(1) for sign in (1, -1))
            assert positive.max() > 127 or negative.min() < -128
        start += length


def test_only_kept_weights_count_in_the_proof() -> None:
    """576 products of 7 * 15 leave 16 bits, a quarter of them does not."""
    weights = np.full((7, 576), 7)
    assert packed(weights, 0, 15).sums is not RUN16_SUM16
    weights[:, np.arange(576) % 4 > 0] = 0
    assert packed(weights, 0, 15).sums is RUN16_SUM16


def test_wide_elements_and_large_products_take_32_bits() -> None:
    assert packed(np.ones((1, 4), np.int64), 0, 1, bits=16).sums is RUN32_SUM32
    assert packed(np.full((7, 64), 127), -128, 127).sums is RUN32_SUM32
    assert prune(np.full((1, 1 << 10), 127), 0, (1 << 16) - 1, 16, WHOLE) is None  # beyond 32 bits


def network(kept: int, pool: bool, padding: int = 1) -> Graph:
    rng = np.random.default_rng(kept)
    x = TensorType.of_dtype((16, 20, 24), DType("uint", 4))
    w = prune_columns(rng.integers(-7, 8, (32, 16, 3, 3)), kept, 4, 8)
    constants = {"w": w, "mul": rng.integers(1, 90, 32), "add": rng.integers(-900, 900, 32)}
    conv = Conv2d(padding=(padding,) * 4)
    nodes = [Node("conv", conv, ("x", "w")), Node("act", MultiplyShift(9, 0, 15), ("conv", "mul", "add"))]
    if pool:
        nodes.append(Node("pool", MaxPool2d(), ("act",)))
    return Graph("net", {"x": x}, tuple(nodes), (nodes[-1].name,), constants).verify()


@pytest.mark.slow
@pytest.mark.parametrize("pool", [False, True])
def test_engine_uses_the_kernel_for_pruned_weights(
    pool: bool, board: Target, tmp_path: Path, riscv_tools: None
) -> None:
    graph = network(1, pool)
    artifact = CpuEngine().lower(graph, {}, board)
    assert "hck_sparse_conv2d" in artifact.files["cpu/net.c"]
    kept = np.count_nonzero(graph.constants["w"]) / graph.constants["w"].size
    assert f"weights repeat: {kept:.0%} left to add" in artifact.stages[0].note
    rng = np.random.default_rng(5)
    frames = [{"x": cpu_cases.values(rng, graph.inputs["x"])} for _ in range(3)]
    for feature, vlen in ((None, None), (toolchain.VECTOR, 128), (toolchain.VECTOR, 512)):
        folder = tmp_path / f"{vlen}"
        folder.mkdir()
        program = build_region(artifact, graph, folder, feature)
        for frame, got in zip(frames, runner.run_region(program, artifact, graph, frames, vlen), strict=True):
            name = graph.outputs[0]
            assert np.array_equal(got[name], execute(graph, frame)[name])


def test_weights_of_nothing_but_zeros(board: Target, tmp_path: Path) -> None:
    graph = network(1, False)
    graph = replace(graph, constants={**graph.constants, "w": np.zeros_like(graph.constants["w"])}).verify()
    artifact = CpuEngine().lower(graph, {}, board)
    assert "hck_sparse_conv2d" in artifact.files["cpu/net.c"]
    frame = {"x": cpu_cases.values(np.random.default_rng(5), graph.inputs["x"])}
    program = build_region(artifact, graph, tmp_path)
    (got,) = runner.run_region(program, artifact, graph, [frame], None)
    assert np.array_equal(got["act"], execute(graph, frame)["act"])


def test_engine_prefers_the_dense_kernel_where_nothing_is_gained(board: Target) -> None:
    scalar = replace(board, cpu=Cpu("rv64gc", 0, 1, 1000.0, "host"))
    assert "hck_sparse" not in CpuEngine().lower(network(1, False), {}, scalar).files["cpu/net.c"]
    x = TensorType.of_dtype((16, 1, 1), DType("uint", 4))  # one pixel: lanes stay empty
    w = prune_columns(np.random.default_rng(1).integers(1, 8, (32, 16, 1, 1)), 1, 4, 8)
    graph = Graph("net", {"x": x}, (Node("c", Conv2d(), ("x", "w")),), ("c",), {"w": w}).verify()
    assert "hck_sparse" not in CpuEngine().lower(graph, {}, board).files["cpu/net.c"]
