"""The kernel of minimal filtering against `Op.evaluate`: portable, and at three vector lengths from one binary."""

from __future__ import annotations

from pathlib import Path

import cpu_filtering
import numpy as np
import pytest
from cpu_cases import Case
from cpu_programs import Programs

MACHINES = {"x86-asan": None, "no-v": 0, "rvv128": 128, "rvv256": 256, "rvv512": 512}
SEED = 20261130


@pytest.fixture(scope="module")
def sample() -> list[Case]:
    return cpu_filtering.cases(150, SEED)


@pytest.mark.parametrize("machine", MACHINES)
def test_equals_the_reference(machine: str, sample: list[Case], driver_programs: Programs, tmp_path: Path) -> None:
    driver_programs.check(sample, MACHINES[machine], tmp_path)


@pytest.fixture(scope="module")
def extremes() -> list[Case]:
    return cpu_filtering.extremes()


@pytest.mark.parametrize("machine", MACHINES)
def test_at_the_ends_of_every_range(
    machine: str, extremes: list[Case], driver_programs: Programs, tmp_path: Path
) -> None:
    driver_programs.check(extremes, MACHINES[machine], tmp_path)


@pytest.mark.full
def test_equals_the_reference_on_many(driver_programs: Programs, tmp_path: Path) -> None:
    cases = cpu_filtering.cases(2000, SEED + 1)
    for vlen in MACHINES.values():
        driver_programs.check(cases, vlen, tmp_path)
