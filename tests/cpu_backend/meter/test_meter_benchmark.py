"""benchmarks.riscv on a layer small enough for a test."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.peers import network
from benchmarks.riscv import DIRECT, FEW_BITS, MEASURED, SHAPES, VLENS, ZVBB, Row, Shape, measure, ours, rows
from benchmarks.shapes import RESNET20
from benchmarks.streamed import pairs
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


def test_the_network_is_of_types_that_every_layer_has() -> None:
    """Only some layers have a row by every product, the yardstick."""
    kinds = {shape.name: (*MEASURED, *([DIRECT] if shape.stride == 1 else [])) for shape, _ in RESNET20}
    found = [Row(name, types, 256, "", *[0.5] * 5, 1.0) for name, each in kinds.items() for types in each]
    frames = network.resnet20(ours(found), [], (256,))
    assert [frame.type for frame in frames] == list(MEASURED)


def test_the_yardstick_computes_every_product(riscv_tools: None) -> None:
    """3x3: int8 by every product has four 32-bit sums to a beat, which minimal filtering undercuts."""
    found = {(row.types, row.vlen): row for row in rows(load_machine("generic"), [Shape("s", 16, 32, 8, 3)], (256,))}
    direct, chosen = found[DIRECT, 256], found["w8a8", 256]
    assert direct.arithmetic_beats >= 1 / 4 and direct.relative == 1 and "minimal filtering" not in direct.accumulator
    assert chosen.accumulator.startswith("minimal filtering") and chosen.relative > 1


def test_streamed_weights_take_fewer_lines_of_memory(meter: Meter, tmp_path: Path) -> None:
    """1400 x 500 bytes leave a cache of 512 KiB, their nibbles and rows of two bits do not."""
    for types in ("w4a4", "w2a2"):
        for pair in pairs(meter, load_machine("generic"), Shape("full", 1400, 500, 1, 1), types, tmp_path):
            assert pair.faster > 2
