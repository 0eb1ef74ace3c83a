"""Beats of vector instructions at three vector lengths; expected values worked out by hand from the specification."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from meter_programs import END, Build, begin, source

from cpu_backend.meter.counts import Counts
from cpu_backend.meter.meter import Meter

VLENS = (128, 256, 512)
DLEN = 128


@dataclass(frozen=True)
class Case:
    """One instruction under a vtype, its class, and its beats of 128 bits at VLEN 128, 256 and 512."""

    vtype: str
    instruction: str
    class_: str
    beats: tuple[int, int, int]


CASES = [
    # VLEN * LMUL / 128; fractions of a datapath cost a whole beat
    Case("e8,m2", "vadd.vv v2, v4, v6", "vadd", (2, 4, 8)),
    Case("e8,m8", "vmaxu.vx v8, v16, t3", "vadd", (8, 16, 32)),
    Case("e8,mf2", "vadd.vi v2, v4, 1", "vadd", (1, 1, 2)),
    Case("e8,mf8", "vsaddu.vv v2, v4, v6", "vadd", (1, 1, 1)),
    Case("e64,m1", "vrsub.vi v2, v4, 0", "vadd", (1, 2, 4)),
    Case("e16,m2", "vaadd.vv v2, v4, v6", "vadd", (2, 4, 8)),
    Case("e32,m4", "vmacc.vv v4, v8, v12", "vmul", (4, 8, 16)),
    Case("e8,m1", "vmulhsu.vv v4, v8, v12", "vmul", (1, 2, 4)),
    Case("e8,m1", "vsmul.vv v4, v8, v12", "vmul", (1, 2, 4)),
    Case("e32,m1", "vremu.vv v4, v8, v12", "vdiv", (1, 2, 4)),
    Case("e8,m2", "vand.vi v2, v4, 3", "vlogic", (2, 4, 8)),
    Case("e8,m2", "vsrl.vi v2, v4, 3", "vlogic", (2, 4, 8)),
    Case("e8,m2", "vssra.vi v2, v4, 3", "vlogic", (2, 4, 8)),
    # widening: the destination has 2 * LMUL
    Case("e8,m1", "vwadd.vv v2, v4, v5", "vadd", (2, 4, 8)),
    Case("e8,m1", "vwaddu.wv v2, v4, v6", "vadd", (2, 4, 8)),
    Case("e8,m4", "vwmacc.vx v8, t3, v16", "vmul", (8, 16, 32)),
    Case("e16,mf2", "vwmaccsu.vv v2, v4, v5", "vmul", (1, 2, 4)),
    Case("e8,m2", "vwmulu.vv v4, v8, v10", "vmul", (4, 8, 16)),
    # narrowing: the source has 2 * LMUL
    Case("e8,m1", "vnsrl.wi v2, v4, 4", "vlogic", (2, 4, 8)),
    Case("e8,m2", "vnclipu.wi v2, v4, 4", "vlogic", (4, 8, 16)),
    # comparisons and carries write masks but read whole groups
    Case("e8,m4", "vmseq.vv v1, v8, v12", "vcompare", (4, 8, 16)),
    Case("e8,m4", "vmsltu.vx v1, v8, t3", "vcompare", (4, 8, 16)),
    Case("e8,m2", "vmadc.vv v1, v8, v12", "vcompare", (2, 4, 8)),
    # masks are one register whatever LMUL; numberings write groups
    Case("e8,m8", "vmand.mm v1, v2, v3", "vmask", (1, 2, 4)),
    Case("e8,m8", "vcpop.m t3, v1", "vmask", (1, 2, 4)),
    Case("e8,m8", "vmsbf.m v1, v2", "vmask", (1, 2, 4)),
    Case("e8,m4", "vid.v v4", "vmask", (4, 8, 16)),
    Case("e8,m4", "viota.m v4, v1", "vmask", (4, 8, 16)),
    # moves, merges, extensions: the destination is the largest
    Case("e8,m2", "vmv.v.i v2, 0", "vmove", (2, 4, 8)),
    Case("e8,m2", "vmerge.vvm v2, v4, v6, v0", "vmove", (2, 4, 8)),
    Case("e32,m4", "vzext.vf4 v4, v1", "vmove", (4, 8, 16)),
    Case("e8,m1", "vmv4r.v v4, v8", "vmove", (4, 8, 16)),
    Case("e8,m8", "vmv.x.s t3, v8", "vperm", (1, 1, 1)),
    Case("e8,m8", "vmv.s.x v8, x0", "vperm", (1, 1, 1)),
    # permutations; a 16-bit index of 8-bit elements is twice the group
    Case("e8,m2", "vslidedown.vi v2, v4, 1", "vperm", (2, 4, 8)),
    Case("e8,m2", "vslide1up.vx v2, v4, t3", "vperm", (2, 4, 8)),
    Case("e8,m2", "vrgather.vv v2, v4, v6", "vperm", (2, 4, 8)),
    Case("e8,m1", "vrgatherei16.vv v2, v4, v6", "vperm", (2, 4, 8)),
    Case("e32,m2", "vrgatherei16.vv v2, v4, v6", "vperm", (2, 4, 8)),
    Case("e8,m2", "vcompress.vm v2, v4, v0", "vperm", (2, 4, 8)),
    # reductions: the vector operand; the scalar ones are one element, widened or not
    Case("e8,m4", "vredsum.vs v1, v8, v2", "vred", (4, 8, 16)),
    Case("e8,m4", "vwredsumu.vs v1, v8, v2", "vred", (4, 8, 16)),
    # floating point
    Case("e32,m2", "vfadd.vv v2, v4, v6", "vadd", (2, 4, 8)),
    Case("e32,m2", "vfmacc.vf v2, ft0, v6", "vmul", (2, 4, 8)),
    Case("e32,m1", "vfwmul.vv v2, v4, v5", "vmul", (2, 4, 8)),
    Case("e32,m1", "vfsqrt.v v2, v4", "vdiv", (1, 2, 4)),
    Case("e32,m2", "vmflt.vv v1, v4, v6", "vcompare", (2, 4, 8)),
    Case("e32,m2", "vfcvt.x.f.v v2, v4", "vmove", (2, 4, 8)),
    Case("e16,m1", "vfwcvt.f.x.v v2, v4", "vmove", (2, 4, 8)),
    Case("e16,m1", "vfncvt.x.f.w v2, v4", "vmove", (2, 4, 8)),
    Case("e32,m2", "vfsgnjn.vv v2, v4, v6", "vlogic", (2, 4, 8)),
    # unit stride: EEW / SEW * LMUL
    Case("e8,m2", "vle8.v v2, (a0)", "vload", (2, 4, 8)),
    Case("e8,m2", "vse8.v v2, (a0)", "vstore", (2, 4, 8)),
    Case("e8,m1", "vle32.v v4, (a0)", "vload", (4, 8, 16)),
    Case("e32,m4", "vle8.v v2, (a0)", "vload", (1, 2, 4)),
    Case("e8,m1", "vse16.v v4, (a0)", "vstore", (2, 4, 8)),
    Case("e8,m2", "vle8ff.v v2, (a0)", "vload", (2, 4, 8)),
    Case("e8,m8", "vlm.v v2, (a0)", "vload", (1, 2, 4)),
    Case("e8,m1", "vl4re8.v v4, (a0)", "vload", (4, 8, 16)),
    Case("e8,m1", "vs2r.v v4, (a0)", "vstore", (2, 4, 8)),
    # strided, indexed, segments: one beat per element, VLMAX = VLEN / SEW * LMUL of them in each group
    Case("e8,m1", "vlse8.v v2, (a0), t2", "vload", (16, 32, 64)),
    Case("e32,m2", "vsse32.v v2, (a0), t2", "vstore", (8, 16, 32)),
    Case("e8,m1", "vluxei8.v v2, (a0), v31", "vload", (16, 32, 64)),
    Case("e16,m1", "vsoxei8.v v2, (a0), v31", "vstore", (8, 16, 32)),
    Case("e8,m1", "vlseg3e8.v v2, (a0)", "vload", (48, 96, 192)),
    Case("e32,mf2", "vsseg2e32.v v2, (a0)", "vstore", (4, 8, 16)),
    Case("e16,m1", "vlsseg2e16.v v2, (a0), t2", "vload", (16, 32, 64)),
]


@pytest.fixture(scope="module")
def program(vector_program: Build) -> Path:
    """Every case in a region of its own."""
    lines = ["li t2, 4", "li t3, 1", "vsetvli t0, x0, e8, m8, ta, ma"]
    lines += [f"vmv.v.i v{group}, 0" for group in (0, 8, 16, 24)]
    for i, case in enumerate(CASES):
        vtype = f"vsetvli t0, x0, {case.vtype.replace(',', ', ')}, ta, ma"
        lines += [vtype, begin(i), case.instruction, END]
    return vector_program(source(lines), "beats")


@pytest.fixture(scope="module")
def results(meter: Meter, program: Path) -> dict[int, dict[int, Counts]]:
    """Per VLEN, per case."""
    return {vlen: meter.run(program, vlen=vlen) for vlen in VLENS}


@pytest.mark.parametrize("index", range(len(CASES)), ids=lambda i: f"{CASES[i].instruction} {CASES[i].vtype}")
def test_beats(index: int, results: dict[int, dict[int, Counts]]) -> None:
    case = CASES[index]
    for at, vlen in enumerate(VLENS):
        counts = results[vlen][index]
        assert {name: n for name, n in counts.instructions.items() if n} == {case.class_: 1}
        beats = {name: n for name, n in counts.beats(vlen, DLEN).items() if n}
        assert beats == {case.class_: case.beats[at]}, vlen


def test_debians_emulator_counts_the_same(debian: Meter, program: Path, results: dict[int, dict[int, Counts]]) -> None:
    assert debian.run(program, vlen=512) == results[512]


def test_beats_are_summed_and_split_by_kind(results: dict[int, dict[int, Counts]]) -> None:
    load, add = (next(i for i, c in enumerate(CASES) if c.class_ == name) for name in ("vload", "vadd"))
    assert (results[256][load].memory_beats(256, 128), results[256][load].arithmetic_beats(256, 128)) == (4, 0)
    assert (results[256][add].memory_beats(256, 128), results[256][add].arithmetic_beats(256, 128)) == (0, 4)
    assert results[256][add].arithmetic_beats(256, 512) == 1
    assert results[256][add].arithmetic_beats(256, 64) == 8


def test_a_loop_of_vector_additions(meter: Meter, vector_program: Build) -> None:
    """n vadd.vv at e8,m2: at VLEN 256 and DLEN 128 four beats each; vtype is that of the run, not of the text."""
    lines = [
        *("vsetvli t1, x0, e8, m2, ta, ma", begin(5), "li t0, 100", "1: vadd.vv v2, v4, v6"),
        *("addi t0, t0, -1", "bnez t0, 1b", END),
        *("li t1, 2", "2: li t2, 1", begin(6), "vadd.vv v4, v8, v12", END, "addi t1, t1, -1", "beqz t1, 3f"),
        *("vsetvli t0, x0, e8, m4, ta, ma", "j 2b", "3:"),
    ]
    counts = meter.run(vector_program(source(lines), "loop"), vlen=256)
    assert {name: n for name, n in counts[5].instructions.items() if n} == {"vadd": 100, "alu": 101, "branch": 100}
    assert counts[5].total == 301
    assert counts[5].arithmetic_beats(256, 128) == 400
    assert (counts[6].entries, counts[6].arithmetic_beats(256, 128)) == (2, 4 + 8)


def test_a_partial_vector_counts_like_a_whole_one(meter: Meter, vector_program: Build) -> None:
    lines = ["vsetivli t0, 3, e8, m4, ta, ma", begin(0), "vadd.vv v4, v8, v12", END]
    assert meter.run(vector_program(source(lines), "partial"), vlen=256)[0].arithmetic_beats(256, 128) == 8
