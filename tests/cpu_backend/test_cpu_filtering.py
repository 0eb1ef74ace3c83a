"""The kernel of minimal filtering against `Op.evaluate`: portable, and at three vector lengths from one binary; what is
proven of its sums against sums that are made as large as they can be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cpu_cases
import cpu_filtering
import numpy as np
import pytest
from cpu_cases import Case
from cpu_objects import build_region
from cpu_programs import Programs

from cpu_backend import runner, toolchain
from cpu_backend.engine import CpuEngine
from cpu_backend.forms import cheapest
from cpu_backend.layers import layers_of
from cpu_backend.tiles import row_tiles
from cpu_backend.winograd import BT, PLANES, Filtering, filtering, plane_bounds
from ir.executor import execute
from ir.graph import Graph, Node
from ir.ops import Conv2d
from ir.target import Target
from ir.types import DType, TensorType

MACHINES = {"x86-asan": None, "no-v": 0, "rvv128": 128, "rvv256": 256, "rvv512": 512}
SEED = 20261130


@pytest.fixture(scope="module")
def sample() -> list[Case]:
    return cpu_filtering.cases(150, SEED)


@pytest.mark.parametrize("machine", MACHINES)
def test_equals_the_reference(machine: str, sample: list[Case], driver_programs: Programs, tmp_path: Path) -> None:
    driver_programs.check(sample, MACHINES[machine], tmp_path)


@pytest.fixture(scope="module")
def extremes() -> list[Case]:
    return cpu_filtering.extremes()


@pytest.mark.parametrize("machine", MACHINES)
def test_at_the_ends_of_every_range(
    machine: str, extremes: list[Case], driver_programs: Programs, tmp_path: Path
) -> None:
    driver_programs.check(extremes, MACHINES[machine], tmp_path)


@pytest.mark.full
def test_equals_the_reference_on_many(driver_programs: Programs, tmp_path: Path) -> None:
    cases = cpu_filtering.cases(2000, SEED + 1)
    for vlen in MACHINES.values():
        driver_programs.check(cases, vlen, tmp_path)


@pytest.mark.slow
def test_a_network(board: Target, tmp_path: Path, riscv_tools: None) -> None:
    """The kernel is chosen for both layers, with vectors of three lengths (in tiles of rows: test_cpu_threads.py)."""
    graph, rng = cpu_filtering.network(1), np.random.default_rng(2)
    frames = [{name: cpu_cases.values(rng, type_) for name, type_ in graph.inputs.items()} for _ in range(3)]
    wanted = [execute(graph, frame) for frame in frames]
    artifact = CpuEngine().lower(graph, {}, board)
    assert [stage.note.startswith("minimal filtering") for stage in artifact.stages] == [True, True]
    program = build_region(artifact, graph, tmp_path, toolchain.VECTOR)
    for vlen in (128, 256, 512):
        got = runner.run_region(program, artifact, graph, frames, vlen)
        assert all(np.array_equal(a["pool"], b["pool"]) for a, b in zip(got, wanted, strict=True))


def test_tiles_of_rows_do_not_cut_pairs() -> None:
    """10 rows for 8 threads: two tiles a thread would have one row each, and compute two."""
    x = TensorType.of_dtype((64, 10, 20), DType("uint", 4))
    constants = {"w": np.ones((64, 64, 3, 3), np.int64)}
    graph = Graph("g", {"x": x}, (Node("y", Conv2d(padding=(1, 1, 1, 1)), ("x", "w")),), ("y",), constants).verify()
    (layer,) = (replace(each, form="winograd", threads=8) for each in layers_of(graph))
    tiles = row_tiles(layer)
    assert tiles and (tiles.each, tiles.count) == (2, 5)


def test_planes_are_bounded_by_what_elements_can_be() -> None:
    """Every plane reaches both ends, by elements that are each as the plane wants them."""
    for lo, hi in ((0, 15), (-8, 7), (-1, 1), (0, 255), (-128, 127)):
        for p, (least, most) in enumerate(plane_bounds(lo, hi)):
            factors = np.outer(BT[p // 4], BT[p % 4])
            ends = [(factors * np.where(sign * factors > 0, max(hi, 0), min(lo, 0))).sum() for sign in (-1, 1)]
            assert ends == [least, most]


def kinds(found: Filtering | None) -> tuple[str, str, str]:
    assert found
    return found.operands, found.sums, found.results


def test_the_narrowest_that_holds() -> None:
    """Kernels of ones, of which a plane's weights are 9 at the most and its elements four times the largest."""
    ones = np.ones((3, 64, 3, 3), np.int64)
    assert kinds(filtering(ones[:, :14], 0, 15)) == ("HCK_I8", "HCK_I16", "HCK_I16")  # 4 * 9 * 14 * 15 = 7,560
    # 4 * 9 * 60 * 15 = 32,400 fits 16 bits, 4 * 9 * 61 * 15 = 32,940 does not; a plane's sum is 9 * 61 * 60 = 32,940
    assert kinds(filtering(ones[:, :60], 0, 15)) == ("HCK_I8", "HCK_I16", "HCK_I16")
    assert kinds(filtering(ones[:, :61], 0, 15)) == ("HCK_I8", "HCK_I32", "HCK_I32")
    assert filtering(ones[:, :61], 0, 15).flush[5] == 31  # type: ignore[union-attr]
    # a weight of 14 is 126 in the middle planes, of 15 is 135; elements up to 31 make planes of 124, of 32 of 128
    assert kinds(filtering(14 * ones[:, :8], 0, 1))[0] == "HCK_I8"
    assert kinds(filtering(15 * ones[:, :8], 0, 1)) == ("HCK_I16", "HCK_I32", "HCK_I32")
    assert kinds(filtering(ones, 0, 31))[0] == "HCK_I8"
    assert kinds(filtering(ones, 0, 32)) == ("HCK_I16", "HCK_I32", "HCK_I32")


def test_flush_periods_hold_and_no_fewer_parts_do() -> None:
    rng = np.random.default_rng(3)
    weights = rng.integers(-7, 8, (40, 200, 3, 3))
    found = filtering(weights, 0, 15)
    assert found and found.sums == "HCK_I32" and min(found.flush) < 200
    for p, (least, most) in enumerate(plane_bounds(0, 15)):
        u = found.weights[p].astype(np.int64)

        def ends(period: int, u: np.ndarray = u, least: int = least, most: int = most) -> tuple[int, int]:
            low, high = np.minimum(u * least, u * most), np.maximum(u * least, u * most)
            starts = np.arange(0, len(u), period)
            return int(np.add.reduceat(low, starts).min()), int(np.add.reduceat(high, starts).max())

        period = found.flush[p]
        assert ends(period)[0] >= -(1 << 15) and ends(period)[1] < 1 << 15
        parts = -(-200 // period)
        if parts > 1:
            low, high = ends(-(-200 // (parts - 1)))
            assert low < -(1 << 15) or high >= 1 << 15


def test_no_kernel_where_32_bits_are_too_few(board: Target) -> None:
    """Four times a sum has to fit: 9 * 127 * 255 * 1,842 is below 2^29, one channel more is above."""
    for channels, fits in ((1841, True), (1842, False)):
        weights = np.full((1, channels, 3, 3), 127)
        assert (9 * 127 * 255 * channels < 1 << 29) == fits
        assert (filtering(weights, 0, 255) is not None) == fits
        x = TensorType.of_dtype((channels, 4, 4), DType("uint", 8))
        graph = Graph("g", {"x": x}, (Node("y", Conv2d(), ("x", "w")),), ("y",), {"w": weights}).verify()
        if not fits:
            assert cheapest(layers_of(graph)[0], board.cpu).form != "winograd"


def test_transformed_weights_and_planes_give_the_convolution() -> None:
    """The definition in whole tensors: A' (sum of products) A / 4 of one tile is the four results."""
    rng = np.random.default_rng(5)
    weights, d = rng.integers(-128, 128, (3, 5, 3, 3)), rng.integers(-128, 128, (5, 4, 4))
    found = filtering(weights, -128, 127)
    assert found and found.weights.shape == (PLANES, 5, 3)
    planes = np.einsum("ia,cab,jb->ijc", BT, d, BT).reshape(PLANES, 5)
    sums = np.einsum("pc,pco->po", planes, found.weights.astype(np.int64)).reshape(4, 4, 3)
    a = np.array([[1, 1, 1, 0], [0, 1, -1, -1]])
    four = np.einsum("ia,abo,jb->ijo", a, sums, a)
    for i in range(2):
        for j in range(2):
            assert np.array_equal(four[i, j], 4 * (weights * d[None, :, i : i + 3, j : j + 3]).sum((1, 2, 3)))
