"""benchmarks.riscv on a layer small enough for a test."""

from __future__ import annotations

import pytest

from benchmarks.riscv import MEASURED, SHAPES, VLENS, Shape, rows
from cpu_backend.meter.machine import load_machine


def test_macs() -> None:
    """The layers of the table, counted by hand."""
    macs = [56 * 56 * 64 * 64 * 9, 56 * 56 * 64 * 64, 56 * 56 * 64 * 9, 1024 * 256]
    assert [shape.macs for shape in SHAPES] == macs


def test_rows(riscv_tools: None) -> None:
    """Every type at every vector length, each against int8 at the same; int8 needs 32-bit sums, four to a beat."""
    found = rows(load_machine("generic"), [Shape("small", 16, 32, 4, 1)])
    assert [(row.types, row.vlen) for row in found] == [(types, vlen) for types in MEASURED for vlen in VLENS]
    base = {row.vlen: row for row in found if row.types == "w8a8"}
    for row in found:
        assert row.relative == pytest.approx(base[row.vlen].cycles / row.cycles)
        assert row.cycles == pytest.approx(max(row.instructions, row.arithmetic_beats, row.memory_beats))
        assert row.cycles_with_misses >= row.cycles
    assert all(row.arithmetic_beats >= 1 / 4 for row in base.values())
    assert len(rows(load_machine("sifive-x280"), [Shape("small", 16, 32, 4, 1)])) == len(MEASURED)  # VLEN 512 alone
