"""Pruned columns save what they should: cycles against the same kernel and against the dense one, misses left out."""

from __future__ import annotations

import pytest

from benchmarks.pruned import FLOAT_TYPE, rows
from benchmarks.riscv import VLENS
from cpu_backend.meter.machine import load_machine


@pytest.mark.full
@pytest.mark.usefixtures("riscv_tools")
@pytest.mark.parametrize(
    ("types", "half", "quarter"),
    [(FLOAT_TYPE, 1.9, 3.6), ("w8a8", 1.9, 3.6), ("w8a4", 1.7, 3.0), ("w4a4", 1.7, 3.0), ("w2a2", 1.7, 3.0)],
)
def test_ratios_of_a_whole_layer(types: str, half: float, quarter: float) -> None:
    found = {(row.kept, row.vlen): row for row in rows(load_machine("generic"), [types])}
    assert set(found) == {(kept, vlen) for kept in ("all", "1/2", "1/4") for vlen in VLENS}
    for (kept, vlen), row in found.items():
        if kept != "all":
            least = {"1/2": half, "1/4": quarter}[kept]
            assert row.same >= least, (kept, vlen)
            assert types == FLOAT_TYPE or row.dense >= least, (kept, vlen)
