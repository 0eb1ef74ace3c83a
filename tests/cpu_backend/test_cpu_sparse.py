"""The kernel for column-pruned weights: integers equal the reference executor, float32 equals numpy within 1e-5."""

from __future__ import annotations

from pathlib import Path

import cpu_programs
import cpu_sparse
import numpy as np
import pytest
from cpu_programs import Programs

SEED = 20261128
SAMPLE, MATRIX = 15, 120
MACHINES = {**cpu_programs.MACHINES, "vlen1024": 1024}


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
def test_integers_equal_the_reference(machine: str, driver_programs: Programs, tmp_path: Path) -> None:
    cases = [case for types in cpu_sparse.INTEGERS for case in cpu_sparse.integer_cases(types, SAMPLE, SEED)]
    driver_programs.check(cases, MACHINES[machine], tmp_path)


@pytest.mark.parametrize("machine", MACHINES)
def test_floats_equal_numpy(machine: str, driver_programs: Programs, tmp_path: Path) -> None:
    cases = cpu_sparse.float_cases(SAMPLE, SEED)
    check_floats(cases, driver_programs.results([c.case for c in cases], MACHINES[machine], tmp_path))


@pytest.mark.full
@pytest.mark.parametrize("types", cpu_sparse.INTEGERS)
def test_integers_equal_the_reference_on_many(types: str, driver_programs: Programs, tmp_path: Path) -> None:
    cases = cpu_sparse.integer_cases(types, MATRIX, SEED + 1)
    for vlen in MACHINES.values():
        driver_programs.check(cases, vlen, tmp_path)


@pytest.mark.full
def test_floats_equal_numpy_on_many(driver_programs: Programs, tmp_path: Path) -> None:
    cases = cpu_sparse.float_cases(MATRIX, SEED + 1)
    for vlen in MACHINES.values():
        check_floats(cases, driver_programs.results([c.case for c in cases], vlen, tmp_path))


def test_sample_covers_every_sum_layout_and_block() -> None:
    cases = [case for types in cpu_sparse.INTEGERS for case in cpu_sparse.integer_cases(types, SAMPLE, SEED)]
    parts = (*cpu_sparse.SUMS[:5], "HCK_CHW HCK_HWC", "HCK_HWC HCK_CHW", "MaxPool2d", " 1 rows", "Thresholds")
    for part in (*parts, "GROUPS_SUM16 1 rows", "in 16 bits above 0", "in 16 bits above 1"):
        assert any(part in case.label for case in cases), part
