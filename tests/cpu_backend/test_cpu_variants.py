"""Kernels that a tuner can choose: each against `Op.evaluate`, byte by byte; which a layer allows."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import cpu_blocks
import cpu_cases
import cpu_sketches
import cpu_variants
import pytest
from cpu_programs import Programs

from cpu_backend.ranges import WHOLE_SUM
from cpu_backend.variants import DEPTHWISE_PIXELS, SHAPES, Fields, Variant, legal

SEED = 20240608
SKETCHES = {"conv": 250, "low_bits": 120, "few": 150, "depthwise": 80}
GRAPHS = {**cpu_sketches.GRAPHS, **cpu_blocks.GRAPHS}
VLENS = (128, 256, 512)
EACH, EACH_FULL = 8, 150


def cases(times: int = 1) -> list[cpu_cases.Case]:
    return [
        case
        for kind, count in SKETCHES.items()
        for case in cpu_sketches.cases(kind, count * times, SEED, GRAPHS)
    ]  # fmt: skip


def everything() -> set[Variant]:
    """All there is but columns."""
    blocks = {Variant("blocks", sums, *shape) for sums, shapes in SHAPES.items() for shape in shapes}
    few = {Variant("few", sums, pixels=n) for sums in (16, 32) for n in (1, 2, 3, 4)}
    return blocks | few | {Variant("depthwise", pixels=n) for n in DEPTHWISE_PIXELS}


@pytest.mark.parametrize("vlen", VLENS)
def test_equals_the_reference(vlen: int, driver_programs: Programs, tmp_path: Path) -> None:
    """Every variant is reached at every VLEN, on extreme and random values."""
    pairs = cpu_variants.sampled(cases(), vlen, EACH, SEED)
    found = Counter(variant for variant, _ in pairs)
    assert set(found) == everything() and min(found.values()) >= 4, found
    driver_programs.check([case for _, case in pairs], vlen, tmp_path)


@pytest.mark.full
@pytest.mark.parametrize("vlen", VLENS)
def test_equals_the_reference_on_many(vlen: int, driver_programs: Programs, tmp_path: Path) -> None:
    pairs = cpu_variants.sampled(cases(10), vlen, EACH_FULL, SEED + 1)
    driver_programs.check([case for _, case in pairs], vlen, tmp_path)


def fields(**other: int | str) -> Fields:
    """3x3, 64 -> 64 channels on 20x10 pixels, whole sums in 16 bits."""
    return {
        **dict.fromkeys(cpu_blocks.FIELDS, 1),
        "x_type": "HCK_U8",
        "in_c": 64,
        "out_c": 64,
        "out_h": 10,
        "out_w": 20,
        "kernel_h": 3,
        "kernel_w": 3,
        "flush": WHOLE_SUM,
        "flush8": 0,
        "run16": 8,
        **other,
    }


def blocks(vlen: int, **other: int | str) -> set[tuple[int, int, int]]:
    found = legal(fields(**other), vlen)
    return {(v.sums, v.lmul, v.pixels) for v in found if v.family == "blocks"}


def test_only_proven_sums() -> None:
    """The width of sums is what `ranges` proved or more; elements of 16 bits have 32."""
    assert {sums for sums, *_ in blocks(256)} == {16, 32}
    assert {sums for sums, *_ in blocks(256, flush8=4)} == {8, 16, 32}
    assert {sums for sums, *_ in blocks(256, flush=0, run16=1)} == {32}
    assert {sums for sums, *_ in blocks(256, x_type="HCK_I16", flush8=4)} == {32}
    few = {v.sums for v in legal(fields(flush=0, run16=1), 256) if v.family == "few"}
    assert few == {32}


def test_registers() -> None:
    """mr * EMUL(sums) + EMUL(weights) + temporaries <= 32: seven pixels of LMUL 4 leave no room for a flush."""
    assert Variant("blocks", 16, 16, 7).registers(flushed=False) == 7 * 4 + 2
    assert Variant("blocks", 16, 16, 7).registers(flushed=True) == 7 * 4 + 2 + 4
    assert Variant("blocks", 8, 16, 4).registers(flushed=True) == 4 * (2 + 4) + 2 + 4
    assert Variant("blocks", 32, 8, 7).registers(flushed=False) == 7 * 4 + 1 + 2
    assert (16, 16, 7) in blocks(256)
    assert (16, 16, 7) not in blocks(256, flush=200)
    assert (16, 16, 4) in blocks(256, flush=200)


def test_no_vector_longer_than_the_channels() -> None:
    """VLEN 256: 16, 32 and 64 channels in LMUL 1/2, 1 and 2."""
    assert {lmul for _, lmul, _ in blocks(256, out_c=16)} == {4}
    assert {lmul for _, lmul, _ in blocks(256, out_c=17)} == {4, 8}
    assert {lmul for _, lmul, _ in blocks(256, out_c=33)} == {4, 8, 16}
    assert {lmul for _, lmul, _ in blocks(256, in_c=128, out_c=128, groups=2)} == {4, 8, 16}
    assert {lmul for _, lmul, _ in blocks(512, out_c=33)} == {4, 8}


def test_blocks_of_whole_windows() -> None:
    """A 2x2 max-pool needs four pixels together; a result of three pixels has no block of four."""
    assert {v.pixels % 4 for v in legal(fields(pool=2), 256)} == {0}
    assert {v.pixels for v in legal(fields(out_h=1, out_w=3), 256)} == {1, 2, 3}


def test_depthwise_and_columns() -> None:
    depthwise = {"groups": 64, "in_c": 64, "out_c": 64}
    assert legal(fields(**depthwise), 256) == (Variant("depthwise", pixels=8), Variant("depthwise", pixels=4))
    assert legal(fields(**depthwise, kernel_w=4), 256) == ()
    assert legal(fields(**depthwise, out_w=4), 256) == (Variant("depthwise", pixels=4),)
    assert Variant("columns") in legal(fields(), 256, columns=True)
    assert Variant("columns") not in legal(fields(), 256)
