"""float32 kernels: within the worst-case rounding of a layer of the reference in float64, on every machine."""

from __future__ import annotations

from pathlib import Path

import cpu_cases
import cpu_floats
import pytest

from cpu_backend import toolchain

HERE = Path(__file__).parent
SOURCES = [HERE / "driver_f32.c", *sorted(toolchain.KERNELS.glob("hck_f32_*.c"))]
SEED = 20261129
SAMPLE, MATRIX = 25, 200
MACHINES = {"x86-asan": None, "no-v": 0, "vlen128": 128, "vlen256": 256, "vlen512": 512}


@pytest.fixture(scope="module")
def programs(riscv_tools: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One binary for this machine with sanitizers, one per RISC-V feature set (with pages that forbid access)."""
    folder = tmp_path_factory.mktemp("driver")
    include = [toolchain.KERNELS]
    scalar = toolchain.build_riscv(SOURCES, folder / "scalar", toolchain.SCALAR, include)
    vector = toolchain.build_riscv(SOURCES, folder / "vector", toolchain.VECTOR, include)
    native = toolchain.build_native(SOURCES, folder / "native", include, toolchain.SANITIZE)
    return {name: native if vlen is None else vector if vlen else scalar for name, vlen in MACHINES.items()}


def check(program: Path, cases: list[cpu_floats.FloatCase], vlen: int | None, folder: Path) -> None:
    (folder / "cases").write_bytes(cpu_cases.encode([case.case for case in cases]))
    files = [folder / "cases", folder / "results"]
    if vlen is None:
        toolchain.run([program, *files])
    else:
        toolchain.run_riscv(program, files, vlen)
    data, at = (folder / "results").read_bytes(), 0
    for case in cases:
        case.check(data[at : at + len(case.case.expected)])
        at += len(case.case.expected)
    assert at == len(data)


@pytest.mark.parametrize("machine", MACHINES)
def test_within_the_bound(machine: str, programs: dict[str, Path], tmp_path: Path) -> None:
    cases = [case for kind in cpu_floats.GRAPHS for case in cpu_floats.cases(kind, SAMPLE, SEED)]
    check(programs[machine], cases, MACHINES[machine], tmp_path)


@pytest.mark.full
@pytest.mark.parametrize("kind", cpu_floats.GRAPHS)
def test_within_the_bound_on_many(kind: str, programs: dict[str, Path], tmp_path: Path) -> None:
    cases = cpu_floats.cases(kind, MATRIX, SEED + 1)
    for machine, vlen in MACHINES.items():
        check(programs[machine], cases, vlen, tmp_path)


def test_the_sample_has_every_kind_of_layer() -> None:
    labels = [case.case.label for kind in cpu_floats.GRAPHS for case in cpu_floats.cases(kind, SAMPLE, SEED)]
    for part in ("Conv2d conv -> MaxPool2d", "Conv2d conv -> Clip end0 -> MaxPool2d", "MaxPool2d end0 -> PRelu",
                 "groups=17", "groups=2", "Affine map -> PRelu", "uint8", "AveragePool2d", "count_padding=False",
                 "Multiply pair -> Clip", "Add pair -> PRelu", "Pad", "Reshape", "Sigmoid", "Softmax"):  # fmt: skip
        assert any(part in label for label in labels), part
