"""float32 kernels: within the worst-case rounding of a layer of the reference in float64, on every machine."""

from __future__ import annotations

from pathlib import Path

import cpu_floats
import pytest
from cpu_programs import MACHINES, Programs

SEED = 20261129
SAMPLE, MATRIX = 25, 200


def check(programs: Programs, cases: list[cpu_floats.FloatCase], vlen: int | None, folder: Path) -> None:
    data, at = programs.results([case.case for case in cases], vlen, folder), 0
    for case in cases:
        case.check(data[at : at + len(case.case.expected)])
        at += len(case.case.expected)
    assert at == len(data)


@pytest.mark.parametrize("machine", MACHINES)
def test_within_the_bound(machine: str, float_programs: Programs, tmp_path: Path) -> None:
    cases = [case for kind in cpu_floats.GRAPHS for case in cpu_floats.cases(kind, SAMPLE, SEED)]
    check(float_programs, cases, MACHINES[machine], tmp_path)


@pytest.mark.full
@pytest.mark.parametrize("kind", cpu_floats.GRAPHS)
def test_within_the_bound_on_many(kind: str, float_programs: Programs, tmp_path: Path) -> None:
    cases = cpu_floats.cases(kind, MATRIX, SEED + 1)
    for vlen in MACHINES.values():
        check(float_programs, cases, vlen, tmp_path)


def test_the_sample_has_every_kind_of_layer() -> None:
    labels = [case.case.label for kind in cpu_floats.GRAPHS for case in cpu_floats.cases(kind, SAMPLE, SEED)]
    for part in ("Conv2d conv -> MaxPool2d", "Conv2d conv -> Clip end0 -> MaxPool2d", "MaxPool2d end0 -> PRelu",
                 "groups=17", "groups=2", "Affine map -> PRelu", "uint8", "AveragePool2d", "count_padding=False",
                 "Multiply pair -> Clip", "Add pair -> PRelu", "Pad", "Reshape", "Sigmoid", "Softmax"):  # fmt: skip
        assert any(part in label for label in labels), part
