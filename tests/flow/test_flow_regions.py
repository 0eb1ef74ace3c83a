"""Several accelerator regions in one package: CPU, accelerator, CPU, accelerator, CPU, with the exact integers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from cpu_backend.engine import CpuEngine
from hetero_compile.board import load_board
from hetero_compile.flow import manifest_for
from hls.engine import DataflowEngine
from host.build import Toolchain
from host.package import write_package
from host.session import Session
from ir.engine import Artifact, Candidate, Engine, Overhead, Prepared, Reason
from ir.executor import execute, outputs_of
from ir.graph import Graph, Node, NodeView
from ir.ops import Add, Conv2d, MultiplyShift
from ir.target import Target
from ir.types import DType, TensorType
from partition import settled

LAYERS = ("one", "two", "three", "four", "five")


@dataclass(frozen=True)
class Only:
    """An engine that takes some layers and objects to all others."""

    engine: Engine
    layers: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.engine.name

    @property
    def side(self) -> Literal["device", "cpu"]:
        return self.engine.side

    def clock_mhz(self, target: Target) -> float:
        return self.engine.clock_mhz(target)

    def objection(self, node: NodeView, target: Target) -> Reason | None:
        if node.name.split("_")[0] not in self.layers:
            return Reason("left to the other side")
        return self.engine.objection(node, target)

    def prepare(self, node: NodeView, target: Target) -> Prepared | Reason:
        return self.engine.prepare(node, target)

    def candidates(self, prepared: Prepared, target: Target) -> Sequence[Candidate]:
        return self.engine.candidates(prepared, target)

    def overhead(self, target: Target) -> Overhead:
        return self.engine.overhead(target)

    def lower(self, region: Graph, choices: Mapping[str, Candidate], target: Target) -> Artifact:
        return self.engine.lower(region, choices, target)


def network() -> Graph:
    """Five layers of 3x3 convolution and requantisation; the last one's sum also reads the first one's result, which
    thereby goes round two regions of the accelerator."""
    rng, nodes, constants, x = np.random.default_rng(5), list[Node](), {}, "x"
    for layer in LAYERS:
        constants[f"{layer}_w"] = rng.integers(-7, 8, (8, 8, 3, 3))
        constants[f"{layer}_mul"] = rng.integers(20, 60, 8)
        constants[f"{layer}_add"] = rng.integers(-900, 900, 8)
        nodes.append(Node(f"{layer}_sums", Conv2d(padding=(1, 1, 1, 1)), (x, f"{layer}_w")))
        operands = (f"{layer}_sums", f"{layer}_mul", f"{layer}_add")
        nodes.append(Node(layer, MultiplyShift(10, 0, 15), operands))
        x = layer
    nodes.append(Node("five_sum", Add(), ("five", "one")))
    inputs = {"x": TensorType.of_dtype((8, 6, 7), DType("uint", 4))}
    return Graph("rounds", inputs, tuple(nodes), ("five_sum", "three"), constants).verify()


def test_alternating_regions_give_the_exact_integers(tmp_path: Path) -> None:
    graph, target = network(), load_board("zu3eg-rvv")
    engines = (Only(DataflowEngine(), ("two", "four")), Only(CpuEngine(), ("one", "three", "five")))
    plan, artifacts = settled(graph, engines, target, lambda what: None)
    assert [region.name for region in plan.regions] == ["cpu0", "fpga0", "cpu1", "fpga1", "cpu2"]
    files = {path: text for artifact in artifacts.values() for path, text in artifact.files.items()}
    write_package(tmp_path / "package", manifest_for(graph, plan, artifacts, target), files, Toolchain().build)
    rng = np.random.default_rng(6)
    frames = [{"x": rng.integers(0, 16, (8, 6, 7))} for _ in range(5)]
    frames += [{"x": np.full((8, 6, 7), level)} for level in (0, 15)]
    with Session(tmp_path / "package") as session:
        for frame, got in zip(frames, session.run_all(frames), strict=True):
            expected = outputs_of(graph, execute(graph, frame))
            assert got.keys() == expected.keys()
            for name, values in expected.items():
                np.testing.assert_array_equal(got[name], values)
