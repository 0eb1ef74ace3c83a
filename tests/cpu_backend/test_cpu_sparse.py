"""The kernel for column-pruned weights: integers equal the reference executor, float32 equals numpy within 1e-5."""

from __future__ import annotations

from pathlib import Path

import cpu_cases
import cpu_sparse
import numpy as np
import pytest
from cpu_programs import Programs, results

SEED = 20261128
SAMPLE, MATRIX = 15, 120
MACHINES = {"x86-asan": None, "no-v": 0, "vlen128": 128, "vlen256": 256, "vlen512": 512, "vlen1024": 1024}


@pytest.fixture(scope="module")
def programs(driver_programs: Programs) -> dict[str, Path]:
    return {name: driver_programs.program(vlen) for name, vlen in MACHINES.items()}


def check_floats(cases: list[cpu_sparse.FloatCase], data: bytes) -> None:
    """Within 1e-5 of the largest value of each result."""
    got = np.frombuffer(data, np.float32)
    at = 0
    for case in cases:
        expected = case.expected.ravel()
        error = np.abs(got[at : at + expected.size] - expected).max()
        assert error <= 1e-5 * max(1.0, np.abs(expected).max()), case.case.label
        at += expected.size
    assert at == got.size


@pytest.mark.parametrize("machine", MACHINES)
def test_integers_equal_the_reference(machine: str, programs: dict[str, Path], tmp_path: Path) -> None:
    cases = [case for types in cpu_sparse.INTEGERS for case in cpu_sparse.integer_cases(types, SAMPLE, SEED)]
    cpu_cases.check(cases, results(programs[machine], cases, MACHINES[machine], tmp_path))


@pytest.mark.parametrize("machine", MACHINES)
def test_floats_equal_numpy(machine: str, programs: dict[str, Path], tmp_path: Path) -> None:
    cases = cpu_sparse.float_cases(SAMPLE, SEED)
    check_floats(cases, results(programs[machine], [c.case for c in cases], MACHINES[machine], tmp_path))


@pytest.mark.full
@pytest.mark.parametrize("types", cpu_sparse.INTEGERS)
def test_integers_equal_the_reference_on_many(types: str, programs: dict[str, Path], tmp_path: Path) -> None:
    cases = cpu_sparse.integer_cases(types, MATRIX, SEED + 1)
    for machine, vlen in MACHINES.items():
        cpu_cases.check(cases, results(programs[machine], cases, vlen, tmp_path))


@pytest.mark.full
def test_floats_equal_numpy_on_many(programs: dict[str, Path], tmp_path: Path) -> None:
    cases = cpu_sparse.float_cases(MATRIX, SEED + 1)
    for machine, vlen in MACHINES.items():
        check_floats(cases, results(programs[machine], [c.case for c in cases], vlen, tmp_path))


def test_sample_covers_every_sum_layout_and_block() -> None:
    cases = [case for types in cpu_sparse.INTEGERS for case in cpu_sparse.integer_cases(types, SAMPLE, SEED)]
    for part in (*cpu_sparse.SUMS[:4], "HCK_CHW HCK_HWC", "HCK_HWC HCK_CHW", "MaxPool2d", " 1 rows", "Thresholds"):
        assert any(part in case.label for case in cases), part
