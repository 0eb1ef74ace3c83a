"""Whole trained networks from pixels to raw head sums, equal to the golden integers."""

from __future__ import annotations

from pathlib import Path

import cpu_networks
import numpy as np
import pytest
from cpu_objects import build_region

from cpu_backend import runner, toolchain
from cpu_backend.engine import CpuEngine
from ir.target import Target

NETWORKS = ("ultranet", "ultranet_bypass")
VLENS = (128, 256, 512)


def check(
    data: Path, network: str, board: Target, folder: Path, frames: int, feature: toolchain.Feature | None, *vlens: int
) -> None:
    graph, pictures, golden = cpu_networks.load(data, network)
    artifact = CpuEngine().lower(graph, {}, board)
    program = build_region(artifact, graph, folder, feature)
    for vlen in vlens or (None,):
        results = runner.run_region(program, artifact, graph, [{"picture": p} for p in pictures[:frames]], vlen)
        for number, (result, raw) in enumerate(zip(results, golden, strict=False)):
            assert np.array_equal(result["head"], raw), f"frame {number}, VLEN {vlen}"


@pytest.mark.parametrize("network", NETWORKS)
def test_portable_c_on_this_machine(network: str, shared_data: Path, board: Target, tmp_path: Path) -> None:
    check(shared_data, network, board, tmp_path, 8, None)


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS)
def test_vectors(network: str, shared_data: Path, board: Target, tmp_path: Path, riscv_tools: None) -> None:
    check(shared_data, network, board, tmp_path, 3, toolchain.VECTOR, *VLENS)


@pytest.mark.parametrize("network", NETWORKS)
def test_without_vectors(network: str, shared_data: Path, board: Target, tmp_path: Path, riscv_tools: None) -> None:
    check(shared_data, network, board, tmp_path, 1, toolchain.SCALAR, 0)


@pytest.mark.full
@pytest.mark.parametrize("network", NETWORKS)
def test_all_frames(network: str, shared_data: Path, board: Target, tmp_path: Path, riscv_tools: None) -> None:
    check(shared_data, network, board, tmp_path, 8, toolchain.VECTOR, *VLENS)
    check(shared_data, network, board, tmp_path, 8, toolchain.SCALAR, 0)
