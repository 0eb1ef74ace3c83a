"""The meter against VexRiscv's Verilog, cycle by cycle: the same instructions to the digit, estimates close by.

Skipped where verilator or the core's package is not installed.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_meter_layers import by_hand

from cpu_backend import runner, toolchain
from cpu_backend.emit import identifier
from cpu_backend.engine import CpuEngine
from cpu_backend.meter.counts import MeterError
from cpu_backend.meter.layers import RegionSources, build_program, measure_region
from cpu_backend.meter.machine import CacheModel, load_machine
from cpu_backend.meter.meter import Meter, debian_emulator
from cpu_backend.meter.verilated import Core, build_core
from ir.graph import Graph, Node
from ir.ops import Conv2d, MultiplyShift
from ir.target import Cpu, Target
from ir.types import DType, TensorType

pytestmark = pytest.mark.slow

REFILL = 11
"""Cycles of a line's refill by a memory that answers at once; the shipped table adds 20 for the board's memory."""
BOARD_LATENCY = 20


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Core:
    try:
        return build_core(tmp_path_factory.mktemp("core"))
    except toolchain.ToolError as error:
        if "missing" not in str(error):
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def narrow(meter: Meter) -> Meter:
    try:
        return Meter(meter.plugin, debian_emulator(32))
    except toolchain.ToolError as error:
        pytest.skip(str(error))


SHAPES = {
    # channels, filters, size, kernel, groups
    "conv3x3": (16, 16, 12, 3, 1),
    "conv1x1": (64, 64, 8, 1, 1),
    "depthwise": (32, 32, 12, 3, 32),
    "connected": (256, 64, 1, 1, 1),
    "thrashing": (64, 64, 4, 3, 1),  # 36 KiB of weights in a 4 KiB cache
}


def program(name: str, board: Target, folder: Path) -> Path:
    """An int8 convolution with its requantisation, for rv32im."""
    channels, filters, size, kernel, groups = SHAPES[name]
    rng = np.random.default_rng(11)
    constants = {
        "w": rng.integers(-127, 128, (filters, channels // groups, kernel, kernel)),
        "m": rng.integers(100, 200, filters),
        "a": rng.integers(-1000, 1000, filters),
    }
    pad = (kernel // 2,) * 4
    nodes = (
        Node("sums", Conv2d(padding=pad, groups=groups), ("x", "w")),
        Node("y", MultiplyShift(16, -128, 127), ("sums", "m", "a")),
    )
    x = TensorType.of_dtype((channels, size, size), DType("int", 8))
    graph = Graph(name, {"x": x}, nodes, ("y",), constants).verify()
    soft = replace(board, cpu=Cpu("rv32im", 0, 1, 100.0, "coprocessor"))
    artifact = CpuEngine().lower(graph, {}, soft)
    region = RegionSources(identifier(name), tuple(runner.write_files(artifact, folder)), toolchain.RUNTIME)
    frame = artifact.inputs[0].layout.pack(rng.integers(-128, 128, x.shape), x)
    return build_program(region, "rv32im", frame, folder)


@pytest.mark.parametrize("shape", SHAPES)
def test_instructions_agree_and_cycles_are_close(
    shape: str, core: Core, narrow: Meter, board: Target, tmp_path: Path
) -> None:
    built = program(shape, board, tmp_path)
    machine = load_machine("vexriscv")
    assert machine.l1 is not None and machine.l1.miss_cycles == REFILL + BOARD_LATENCY
    for latency in (0, BOARD_LATENCY):
        level = CacheModel(**{**machine.l1.model_dump(), "miss_cycles": REFILL + latency})
        model = machine.model_copy(update={"l1": level})
        (layer,) = measure_region(narrow, model, built, 0, [shape])
        true = core.run(built, latency)[0]
        assert (true.entries, true.instructions) == (1, layer.counts.total)
        assert layer.cycles.total == pytest.approx(true.cycles, rel=0.08), latency


def test_regions_by_hand(core: Core, tmp_path: Path) -> None:
    """Three products and sixteen reads: every cycle retires one instruction at most; two runs agree."""
    built = by_hand(tmp_path, "rv32im")
    counts = core.run(built)
    assert list(counts) == [0, 2] and counts == core.run(built)
    assert all(c.entries == 1 and c.cycles >= c.instructions for c in counts.values())
    assert counts[2].instructions >= 1 + 16 * 4 + 1  # li, the loop, ret


def test_failures_on_the_core(core: Core, tmp_path: Path) -> None:
    with pytest.raises(MeterError, match=r"hand\.metered on VexRiscv: the region failed with status 1"):
        core.run(by_hand(tmp_path, "rv32im", bytes(64)))
    with pytest.raises(toolchain.ToolError, match="the program did not end in time"):
        core.run(by_hand(tmp_path, "rv32im"), limit=500)
    (tmp_path / "no.elf").write_bytes(b"text")
    with pytest.raises(toolchain.ToolError, match="no 32-bit ELF file"):
        core.run(tmp_path / "no.elf")
