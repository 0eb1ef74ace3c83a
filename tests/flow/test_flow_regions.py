"""Several accelerator regions in one package: CPU, accelerator, CPU, accelerator, CPU, with the exact integers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cpu_backend.engine import CpuEngine
from hetero_compile.board import load_board
from hetero_compile.flow import manifest_for, system
from hls.engine import DataflowEngine
from host.bitstream import check_bitstream, read_hardware, write_bitstream
from host.build import Toolchain
from host.package import write_package
from host.plan import make_plan
from host.session import Session
from ir.engine import Reason
from ir.executor import execute, outputs_of
from ir.graph import Graph, Node, NodeView
from ir.ops import Add, Conv2d, MultiplyShift
from ir.target import Target
from ir.types import DType, TensorType
from partition import settled

LAYERS = ("one", "two", "three", "four", "five")


def left_to_the_other(node: NodeView, layers: tuple[str, ...]) -> Reason | None:
    return None if node.name.split("_")[0] in layers else Reason("left to the other side")


@dataclass(frozen=True)
class SomeOnDevice(DataflowEngine):
    """Takes the nodes of some layers only."""

    layers: tuple[str, ...] = ("two", "four")

    def objection(self, node: NodeView, target: Target) -> Reason | None:
        return left_to_the_other(node, self.layers) or super().objection(node, target)


@dataclass(frozen=True)
class SomeOnCpu(CpuEngine):
    layers: tuple[str, ...] = ("one", "three", "five")

    def objection(self, node: NodeView, target: Target) -> Reason | None:
        return left_to_the_other(node, self.layers) or super().objection(node, target)


def network() -> Graph:
    """Five layers of 3x3 convolution and requantisation. The last one's sum also reads the first one's result, which
    goes round both regions of the accelerator; the second one's goes from one to the other and to the CPU as well."""
    rng, nodes, constants, x = np.random.default_rng(5), list[Node](), {}, "x"
    for layer in LAYERS:
        if layer == "four":
            nodes.append(Node("four_in", Add(), ("three", "two")))
            x = "four_in"
        constants[f"{layer}_w"] = rng.integers(-7, 8, (8, 8, 3, 3))
        constants[f"{layer}_mul"] = rng.integers(20, 60, 8)
        constants[f"{layer}_add"] = rng.integers(-900, 900, 8)
        nodes.append(Node(f"{layer}_sums", Conv2d(padding=(1, 1, 1, 1)), (x, f"{layer}_w")))
        operands = (f"{layer}_sums", f"{layer}_mul", f"{layer}_add")
        nodes.append(Node(layer, MultiplyShift(10, 0, 7), operands))
        x = layer
    nodes.append(Node("five_sum", Add(), ("five", "one")))
    inputs = {"x": TensorType.of_dtype((8, 6, 7), DType("uint", 4))}
    return Graph("rounds", inputs, tuple(nodes), ("five_sum", "three"), constants).verify()


def test_alternating_regions_give_the_exact_integers(tmp_path: Path) -> None:
    graph, target = network(), load_board("zu3eg-rvv")
    plan, artifacts = settled(graph, (SomeOnDevice(), SomeOnCpu()), target, lambda what: None)
    assert [region.name for region in plan.regions] == ["cpu0", "fpga0", "cpu1", "fpga1", "cpu2"]
    steps = make_plan(manifest_for(graph, plan, artifacts, target)).steps
    left = [step.name for step in steps if step.kind in ("pack", "unpack")]
    assert sorted(left) == ["pack one", "pack three", "unpack four", "unpack two"]  # and no "pack two"
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


def test_both_regions_are_one_bitstream(tmp_path: Path) -> None:
    """The package's project names both; what it builds is recorded with both hashes and belongs to the package."""
    graph, target = network(), load_board("ultra96-v2")
    plan, artifacts = settled(graph, (SomeOnDevice(), SomeOnCpu()), target, lambda what: None)
    built = system(plan, artifacts, target)
    assert "synthesis of fpga0, fpga1: reports" in built["hardware/Makefile"]
    files = {path: text for artifact in artifacts.values() for path, text in artifact.files.items()}
    package = write_package(tmp_path / "package", manifest_for(graph, plan, artifacts, target), {**files, **built})
    assert sorted(package.seal.accelerators) == ["fpga0", "fpga1"]
    hardware = read_hardware(package.root / "hardware/hardware.json")
    windows = {window.name for window in hardware.registers}
    for region in package.manifest.regions:
        reads, writes = len(region.inputs) + len(region.weights), len(region.outputs)
        engines = {f"{region.name}_read{i}" for i in range(reads)} | {f"{region.name}_write{i}" for i in range(writes)}
        assert ({region.name, *engines} <= windows) == (region.side == "device")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / hardware.bitstream).write_bytes(b"bits")
    recorded = write_bitstream(tmp_path / "bits", graph.name, package, hardware, "vivado v2024.1", tmp_path / "out")
    check_bitstream(recorded, package)
    assert recorded.manifest.accelerators == package.seal.accelerators
    assert system(replace(plan, regions=plan.regions[::2]), artifacts, target) == {}  # the CPU's alone
