"""benchmarks.riscv on a layer small enough for a test."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.riscv import FEW_BITS, MEASURED, SHAPES, VLENS, ZVBB, Shape, measure, rows
from cpu_backend.meter.machine import load_machine
from cpu_backend.meter.meter import Meter


def test_macs() -> None:
    """The layers of the table, counted by hand."""
    macs = [56 * 56 * 64 * 64 * 9, 56 * 56 * 64 * 64, 56 * 56 * 64 * 9, 1024 * 256]
    assert [shape.macs for shape in SHAPES] == macs


def test_rows(riscv_tools: None) -> None:
    """Every type at every vector length, each against int8 at the same; int8 needs 32-bit sums, four to a beat."""
    found = rows(load_machine("generic"), [Shape("small", 16, 32, 4, 1)])
    names = [*MEASURED, *FEW_BITS, *(f"{types} zvbb" for types in ZVBB)]
    assert [(row.types, row.vlen) for row in found] == [(types, vlen) for types in names for vlen in VLENS]
    assert all(row.accumulator.startswith("bits") == ("zvbb" in row.types) for row in found)
    base = {row.vlen: row for row in found if row.types == "w8a8"}
    for row in found:
        assert row.relative == pytest.approx(base[row.vlen].cycles / row.cycles)
        assert row.cycles == pytest.approx(max(row.instructions, row.arithmetic_beats, row.memory_beats))
        assert row.cycles_with_misses >= row.cycles
    assert all(row.arithmetic_beats >= 1 / 4 for row in base.values())


def test_a_machine_has_its_own_lengths(meter: Meter, tmp_path: Path) -> None:
    (row,) = measure(meter, load_machine("sifive-x280"), Shape("small", 16, 32, 4, 1), "w4a4", tmp_path)
    assert row.vlen == 512
