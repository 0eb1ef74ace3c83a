"""The kernel of bits against `Op.evaluate`: portable, and with Zvbb at three vector lengths from one binary."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cpu_bits
import cpu_cases
import numpy as np
import pytest
from cpu_objects import build_region
from cpu_programs import Programs

from cpu_backend import runner, toolchain
from cpu_backend.engine import CpuEngine
from ir.executor import execute
from ir.target import Target

SEED = 20240915
MACHINES = {"x86-asan": None, "no-v": 0, "v-only": 256, "zvbb128": 128, "zvbb256": 256, "zvbb512": 512}


def needs_zvbb() -> None:
    """Skips where no emulator executes Zvbb."""
    try:
        toolchain.zvbb_emulator()
    except toolchain.ToolError as error:
        pytest.skip(str(error))


def run_cases(machine: str, cases: list[cpu_cases.Case], programs: Programs, folder: Path) -> None:
    zvbb, vlen = machine.startswith("zvbb"), MACHINES[machine]
    if zvbb:
        needs_zvbb()
    programs.check(cases, vlen, folder, zvbb)


@pytest.fixture(scope="module", params=cpu_bits.TYPES)
def sample(request: pytest.FixtureRequest) -> list[cpu_cases.Case]:
    return cpu_bits.cases(request.param, 100, SEED)


@pytest.mark.parametrize("machine", MACHINES)
def test_equals_the_reference(
    machine: str, sample: list[cpu_cases.Case], driver_programs: Programs, tmp_path: Path
) -> None:
    run_cases(machine, sample, driver_programs, tmp_path)


@pytest.mark.full
@pytest.mark.parametrize("types", cpu_bits.TYPES)
def test_equals_the_reference_on_many(types: str, driver_programs: Programs, tmp_path: Path) -> None:
    cases = cpu_bits.cases(types, 1000, SEED + 1)
    for machine in MACHINES:
        run_cases(machine, cases, driver_programs, tmp_path)


@pytest.mark.slow
def test_a_network_compiled_for_zvbb(board: Target, tmp_path: Path, riscv_tools: None) -> None:
    """Bipolar, two-bit and gated convolutions: a whole region built and run with Zvbb."""
    needs_zvbb()
    graph, rng = cpu_bits.network(4), np.random.default_rng(1)
    frames = [{name: cpu_cases.values(rng, type_) for name, type_ in graph.inputs.items()} for _ in range(3)]
    target = replace(board, cpu=replace(board.cpu, extensions=("zvbb",)))
    artifact = CpuEngine().lower(graph, {}, target)
    assert [stage.note.startswith("bits") for stage in artifact.stages] == [True] * 4
    program = build_region(artifact, graph, tmp_path, toolchain.BITS)
    for frame, got in zip(frames, runner.run_region(program, artifact, graph, frames, 128, zvbb=True), strict=True):
        wanted = execute(graph, frame)
        assert all(np.array_equal(got[name], wanted[name]) for name in graph.outputs)


@pytest.fixture(scope="module")
def extremes() -> list[cpu_cases.Case]:
    return cpu_bits.fullest_sums()


@pytest.mark.parametrize("machine", MACHINES)
def test_sums_at_the_ends_of_16_bits(
    machine: str, extremes: list[cpu_cases.Case], driver_programs: Programs, tmp_path: Path
) -> None:
    run_cases(machine, extremes, driver_programs, tmp_path)
