"""Pruned columns save what they should: cycles against the same kernel and against the dense one, misses left out."""

from __future__ import annotations

import pytest

from benchmarks.pruned import FLOAT_TYPE, rows
from benchmarks.riscv import VLENS
from cpu_backend.meter.machine import load_machine

GOALS = [(FLOAT_TYPE, 1.9, 3.6), ("w8a8", 1.9, 3.6), ("w8a4", 1.7, 3.0), ("w4a4", 1.7, 3.0), ("w2a2", 1.7, 3.0)]
REPEATING = {"w4a4": (1.7, 2.6), "w2a2": (1.5, 2.6)}
"""Of few bits the kernel by columns multiplies equal weights once, on dense weights too: less is left to save."""


@pytest.mark.full
@pytest.mark.usefixtures("riscv_tools")
@pytest.mark.parametrize(("types", "half", "quarter"), GOALS)
def test_ratios_of_a_whole_layer(types: str, half: float, quarter: float) -> None:
    """Against the dense kernel that computes every product, and against the kernel by columns on dense weights."""
    found = {(row.kept, row.vlen): row for row in rows(load_machine("generic"), [types])}
    assert set(found) == {(kept, vlen) for kept in ("all", "1/2", "1/4") for vlen in VLENS}
    both = (half, quarter), REPEATING.get(types, (half, quarter))
    goals, repeating = ({"1/2": each[0], "1/4": each[1]} for each in both)
    for (kept, vlen), row in found.items():
        if kept != "all":
            assert row.same >= repeating[kept], (kept, vlen)
            assert types == FLOAT_TYPE or row.dense >= goals[kept], (kept, vlen)
