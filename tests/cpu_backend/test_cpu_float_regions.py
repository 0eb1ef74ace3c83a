"""Regions of float32: every operator, on every machine, within what rounding allows a network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import float_graphs
import numpy as np
import pytest
from cpu_floats import FLOAT32
from cpu_objects import build_region

from cpu_backend import runner, toolchain
from cpu_backend.emit import FLOAT_RULES
from cpu_backend.engine import CpuEngine
from cpu_backend.layers import layers_of
from frontend.training.columns import prune_columns
from ir.engine import Reason
from ir.executor import execute
from ir.graph import Graph, Node
from ir.ops import Clip, Conv2d, MaxPool2d
from ir.target import Target
from ir.tolerance import tolerances
from ir.types import TensorType

Machine = tuple[toolchain.Feature | None, int | None]
EMULATED: list[Machine] = [
    (toolchain.SCALAR, 0),
    (toolchain.VECTOR, 128),
    (toolchain.VECTOR, 256),
    (toolchain.VECTOR, 512),
]


def check_on(graph: Graph, board: Target, folder: Path, machines: list[Machine]) -> None:
    """Three frames through the lowered region on each machine."""
    rng = np.random.default_rng(3)
    frames = [float_graphs.frame_of(graph, rng) for _ in range(3)]
    references = [execute(graph, frame) for frame in frames]
    artifact = CpuEngine().lower(graph, {}, board)
    programs = {
        feature: build_region(artifact, graph, folder, feature, () if feature else toolchain.SANITIZE)
        for feature in dict.fromkeys(feature for feature, _ in machines)
    }
    for feature, vlen in machines:
        results = runner.run_region(programs[feature], artifact, graph, frames, vlen)
        for reference, result in zip(references, results, strict=True):
            allowed = tolerances(graph, reference)
            for name in graph.outputs:
                assert result[name].dtype == np.float32
                assert (np.abs(result[name] - reference[name]) <= allowed[name]).all(), (feature, vlen, name)
                # and the tolerance is one: a thousandth of a tensor's largest value is beyond it
                assert allowed[name].max() < 1e-3 * np.abs(reference[name]).max()


@pytest.mark.parametrize("network", float_graphs.NETWORKS)
def test_networks_on_this_machine(network: str, board: Target, tmp_path: Path) -> None:
    for seed in range(2):
        check_on(float_graphs.NETWORKS[network](seed), board, tmp_path, [(None, None)])


@pytest.mark.slow
@pytest.mark.parametrize("network", float_graphs.NETWORKS)
def test_networks_under_qemu(network: str, board: Target, tmp_path: Path, riscv_tools: None) -> None:
    check_on(float_graphs.NETWORKS[network](7), board, tmp_path, EMULATED)


def test_the_networks_have_every_operator() -> None:
    assert {type(n.op) for make in float_graphs.NETWORKS.values() for n in make(0).nodes} == set(FLOAT_RULES)


@pytest.mark.parametrize(
    ("machines", "most"), [([(None, None)], np.inf), ([(toolchain.VECTOR, 128), (toolchain.VECTOR, 512)], 6.0)]
)
def test_pruned_columns_are_found(
    machines: list[Machine], most: float, board: Target, tmp_path: Path, riscv_tools: None
) -> None:
    """A quarter of the columns in tiles of seven channels, pooled and bounded: the kernel for them is chosen, and
    dense weights of the same shape are left to the other."""
    rng = np.random.default_rng(4)
    x = TensorType((16, 20, 20), FLOAT32)
    dense = rng.standard_normal((28, 16, 3, 3)).astype(np.float32)
    pruned = prune_columns(dense, 1, 4, 7).astype(np.float32)
    steps = (
        Node("conv", Conv2d(padding=(1, 1, 1, 1)), ("x", "w", "b")),
        Node("relu", Clip(0.0, most), ("conv",)),
        Node("pool", MaxPool2d(), ("relu",)),
    )
    for weights, chosen in ((pruned, True), (dense, False)):
        constants = {"w": weights, "b": rng.standard_normal(28).astype(np.float32)}
        graph = Graph("pruned", {"x": x}, steps, ("pool",), constants).verify()
        (stage,) = CpuEngine().lower(graph, {}, board).stages
        assert stage.note.startswith("columns pruned, 25% left in 4 tiles") == chosen
        check_on(graph, board, tmp_path, machines)


def test_what_one_kernel_does() -> None:
    titles = {layer.title for make in float_graphs.NETWORKS.values() for layer in layers_of(make(0))}
    assert {
        "Conv2d stem -> Clip stem.relu",
        "Add sum -> Clip relu",
        "Conv2d point -> PRelu bent",
        "Conv2d depth -> Clip depth.relu",  # others read it before it is pooled
        "MaxPool2d pooled",
    } <= titles


def test_a_processor_without_floating_point_refuses(board: Target) -> None:
    soft = replace(board, cpu=replace(board.cpu, isa="rv32im", vlen=0))
    graph = float_graphs.residual(0)
    for view in graph.views():
        objection = CpuEngine().objection(view, soft)
        assert isinstance(objection, Reason) and "which rv32im has not" in objection.text
        assert CpuEngine().objection(view, board) is None
