"""The kernel of bits against `Op.evaluate`: portable, and with Zvbb at three vector lengths from one binary."""

from __future__ import annotations

from pathlib import Path

import cpu_bits
import cpu_cases
import pytest

from cpu_backend import toolchain

HERE = Path(__file__).parent
SOURCES = [HERE / "driver.c", *sorted(toolchain.KERNELS.glob("*.c"))]
SEED = 20240915
MACHINES = {"x86-asan": None, "no-v": 0, "v-only": 256, "zvbb128": 128, "zvbb256": 256, "zvbb512": 512}


def build(machine: str, folder: Path) -> Path:
    """driver.c for a machine; skips where no emulator executes it."""
    if machine == "x86-asan":
        return toolchain.build_native(SOURCES, folder / machine, [toolchain.KERNELS], toolchain.SANITIZE)
    feature = {"no-v": toolchain.SCALAR, "v-only": toolchain.VECTOR}.get(machine, toolchain.BITS)
    if feature is toolchain.BITS:
        try:
            toolchain.zvbb_emulator()
        except toolchain.ToolError as error:
            pytest.skip(str(error))
    return toolchain.build_riscv(SOURCES, folder / feature.name, feature, [toolchain.KERNELS])


@pytest.fixture(scope="module")
def folder(riscv_tools: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bits")


@pytest.fixture(scope="module")
def programs(folder: Path) -> dict[str, Path]:
    """What was built already, by the kind of machine: one binary serves every vector length."""
    return {}


def run_cases(machine: str, cases: list[cpu_cases.Case], programs: dict[str, Path], folder: Path) -> None:
    kind, vlen = machine.rstrip("0123456789") if machine.startswith("zvbb") else machine, MACHINES[machine]
    program = programs[kind] = programs.get(kind) or build(machine, folder)
    (folder / "cases").write_bytes(cpu_cases.encode(cases))
    files = [folder / "cases", folder / "results"]
    if vlen is None:
        toolchain.run([program, *files])
    else:
        command = toolchain.emulated_bits if kind == "zvbb" else toolchain.emulated
        toolchain.run(command(program, files, vlen))
    cpu_cases.check(cases, (folder / "results").read_bytes())


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("types", cpu_bits.TYPES)
def test_equals_the_reference(types: str, machine: str, programs: dict[str, Path], folder: Path) -> None:
    run_cases(machine, cpu_bits.cases(types, 100, SEED), programs, folder)


@pytest.mark.full
@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("types", cpu_bits.TYPES)
def test_equals_the_reference_on_many(types: str, machine: str, programs: dict[str, Path], folder: Path) -> None:
    run_cases(machine, cpu_bits.cases(types, 1000, SEED + 1), programs, folder)


@pytest.mark.parametrize("machine", MACHINES)
def test_sums_at_the_ends_of_16_bits(machine: str, programs: dict[str, Path], folder: Path) -> None:
    run_cases(machine, cpu_bits.fullest_sums(), programs, folder)
