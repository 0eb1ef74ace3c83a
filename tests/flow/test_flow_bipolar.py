"""A binary network over both sides: bits cross from the device to the CPU, and into it as an input."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from cpu_backend.engine import CpuEngine
from hetero_compile.board import load_board
from hls.engine import DataflowEngine
from host.build import Toolchain
from host.errors import RunError
from host.manifest import Board, Manifest, Region, Tensor
from host.package import Package, write_package
from host.piped import find_qemu_with_zvbb
from host.session import Session
from ir.engine import Engine, Prepared
from ir.executor import execute
from ir.graph import Graph, Node
from ir.ops import Add, Concat, Conv2d, Sign
from ir.target import Target
from ir.types import DType, TensorType

SAME = (1, 1, 1, 1)


def network() -> Graph:
    rng = np.random.default_rng(3)
    inputs = {
        "x": TensorType.of_dtype((8, 6, 5), DType("uint", 2)),
        "bits": TensorType.of_dtype((4, 6, 5), DType("bipolar", 1)),
    }
    constants = {
        "w1": rng.choice([-1, 1], (16, 8, 3, 3)),
        "t1": rng.integers(-9, 9, 16),
        "r1": rng.integers(0, 2, 16),
        "w2": rng.choice([-1, 1], (16, 20, 3, 3)),
        "t2": rng.integers(-9, 9, 16),
        "r2": np.ones(16, np.int64),
    }
    nodes = (
        Node("conv1", Conv2d(padding=SAME), ("x", "w1")),
        Node("sign1", Sign(), ("conv1", "t1", "r1")),
        Node("joined", Concat(), ("sign1", "bits")),
        Node("conv2", Conv2d(padding=SAME), ("joined", "w2")),
        Node("sign2", Sign(), ("conv2", "t2", "r2")),
        Node("total", Add(), ("sign1", "sign2")),
    )
    return Graph("binary", inputs, nodes, ("sign1", "sign2", "total"), constants).verify()


def region(
    graph: Graph, name: str, nodes: tuple[str, ...], engine: Engine, target: Target
) -> tuple[Region, dict[str, str]]:
    """The region of some nodes, each in its first configuration, and its files."""
    part, choices = graph.subgraph(name, nodes), {}
    for view in part.views():
        prepared = engine.prepare(view, target)
        assert isinstance(prepared, Prepared)
        choices[view.name] = engine.candidates(prepared, target)[0]
    artifact = engine.lower(part, choices, target)
    return Region(name, engine.side, artifact.inputs, artifact.outputs, artifact.sources), dict(artifact.files)


def packaged(graph: Graph, devices: tuple[str, ...], target: Target, path: Path) -> Package:
    """The network with these nodes on the device, and the others on the CPU."""
    rest = tuple(node.name for node in graph.nodes if node.name not in devices)
    made = [region(graph, "cpu0", rest, CpuEngine(), target)]
    if devices:
        made.insert(0, region(graph, "fpga0", devices, DataflowEngine(), target))
    crossing = dict.fromkeys((*graph.inputs, *graph.outputs))
    cpu, memory = target.cpu, target.memory
    manifest = Manifest(
        "binary",
        Board(target.name, cpu.march, cpu.vlen, cpu.role, memory.coherent, memory.cache_line, memory.pool_bytes),
        tuple(Tensor.of(name, graph.types[name]) for name in crossing),
        tuple(graph.inputs),
        graph.outputs,
        tuple(each for each, _ in made),
    )
    files = {path: text for _, contents in made for path, text in contents.items()}
    toolchain = Toolchain(cc="gcc", cxx="g++", cc_riscv=f"{sys.executable} -m ziglang cc")
    return write_package(path, manifest, files, toolchain.build)


def check_frames(package: Package, graph: Graph, on: Literal["sim", "qemu"]) -> None:
    rng = np.random.default_rng(5)
    frames = [
        {"x": rng.integers(0, 4, (8, 6, 5)), "bits": rng.choice([-1, 1], (4, 6, 5))},
        {"x": np.full((8, 6, 5), 3), "bits": np.full((4, 6, 5), -1)},
        {"x": np.zeros((8, 6, 5), int), "bits": np.full((4, 6, 5), 1)},
    ]
    with Session(package, on=on, deadline=300.0) as session:
        for frame, outputs in zip(frames, session.run_all(frames), strict=True):
            reference = execute(graph, frame)
            for name in graph.outputs:
                assert np.array_equal(outputs[name], reference[name]), name


@pytest.mark.slow
@pytest.mark.parametrize("devices", [(), ("conv1", "sign1")], ids=["cpu", "both"])
def test_bits_cross_the_edges(devices: tuple[str, ...], tmp_path: Path) -> None:
    graph = network()
    check_frames(packaged(graph, devices, load_board("zu3eg-rvv"), tmp_path / "p"), graph, "sim")


@pytest.mark.slow
def test_a_board_with_zvbb(tmp_path: Path) -> None:
    """The package's RISC-V program counts bits; so does the emulator, if it can."""
    graph, target = network(), load_board("zu3eg-rvv")
    target = replace(target, cpu=replace(target.cpu, extensions=("zvbb",)))
    package = packaged(graph, (), target, tmp_path / "p")
    assert "hck_conv2d_bits(" in (package.root / "cpu" / "cpu0.c").read_text()
    check_frames(package, graph, "sim")
    try:
        find_qemu_with_zvbb()
    except RunError as error:
        assert error.code == "system" and "Zvbb" in str(error)
        pytest.skip(str(error))
    check_frames(package, graph, "qemu")
