"""Instruction classes, regions, misses and repeatability, on programs whose counts follow from their text."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from meter_programs import END, FORGET, Build, begin, source

from cpu_backend import toolchain
from cpu_backend.meter.counts import Counts, MeterError
from cpu_backend.meter.meter import PLUGIN, Cache, Emulator, Meter

L1 = Cache(32, 8, 64)
L2 = Cache(512, 8, 64)


def seen(counts: Counts) -> dict[str, int]:
    return {name: n for name, n in counts.instructions.items() if n}


SCALARS = {
    "alu": ("add t0, t1, t2", "lui t0, 5", "sraiw t0, t1, 3", "sltiu t0, x0, 7", "slti x0, x0, 0x122", "auipc t0, 0"),
    "mul": ("mul t0, t1, t2", "mulhu t0, t1, t2", "mulw t0, t1, t2"),
    "div": ("div t0, t1, t2", "remuw t0, t1, t2"),
    "load": ("ld t0, 8(a0)", "lbu t0, 1(a0)", "flw ft0, 4(a0)", "fld ft0, 8(a0)"),
    "store": ("sd t0, 8(a0)", "sb t0, 1(a0)", "fsw ft0, 4(a0)"),
    "branch": ("beq x0, x0, 8", "nop", "bne x0, x0, 8", "bltu t0, t0, 8"),
    "jump": ("jal x0, 4",),
    "float": ("fadd.s ft0, ft0, ft1", "fmadd.d ft0, ft0, ft1, ft2", "fcvt.s.w ft0, t0"),
    "system": ("csrr t0, fcsr", "fence", "amoadd.w t0, x0, (a0)", "lr.d t0, (a0)"),
    "vset": ("vsetvli t0, x0, e8, m1, ta, ma", "vsetivli t0, 4, e8, m1, ta, ma"),
}
COMPRESSED = {
    "alu": (
        *("c.addi t0, 1", "c.li t0, 1", "c.lui t0, 1", "c.mv t0, t1", "c.add t0, t1", "c.slli t0, 2", "c.and a1, a2"),
        *("c.addiw t0, 1", "c.addi4spn a1, sp, 8", "c.nop", "c.srai a1, 1", "c.subw a1, a2"),
    ),
    "load": ("c.ld a1, 8(a0)", "c.lw a1, 4(a0)", "c.ldsp t0, 8(sp)", "c.lwsp t0, 4(sp)", "c.fld fa0, 8(a0)"),
    "store": ("c.sd a1, 8(a0)", "c.sw a1, 4(a0)", "c.fsd fa0, 8(a0)"),
    "branch": ("c.li a1, 1", "c.beqz a1, 4"),
    "jump": ("c.j 2",),
}


def test_classes_of_scalar_instructions(meter: Meter, vector_program: Build) -> None:
    """32-bit encodings, then compressed ones; branches here jump over one `nop`, or need one `alu` before."""
    lines = [".option push", ".option norvc"]
    for i, instructions in enumerate(SCALARS.values()):
        lines += [begin(i), *instructions, END]
    lines += [".option pop"]
    for i, instructions in enumerate(COMPRESSED.values(), len(SCALARS)):
        lines += [begin(i), *instructions, END]
    counts = meter.run(vector_program(source(lines), "scalar"), vlen=128)
    for i, (name, instructions) in enumerate([*SCALARS.items(), *COMPRESSED.items()]):
        expected = {name: len(instructions)}
        if name == "branch":
            expected = {"branch": 3} if i < len(SCALARS) else {"branch": 1, "alu": 1}
        assert seen(counts[i]) == expected, name


def test_regions_are_kept_apart(meter: Meter, vector_program: Build) -> None:
    """Each entry adds to its own region; what is between regions, and the marks, count nowhere."""
    lines = ["li t0, 3", "1:", begin(2047), "nop", "nop", END, "mul t1, t0, t0", begin(1), "mul t1, t0, t0", END]
    lines += ["addi t0, t0, -1", "bnez t0, 1b", "slti x0, x0, 0x123", "lb t1, 0(a0)", END]
    counts = meter.run(vector_program(source(lines), "apart"))
    assert {region: (c.entries, seen(c)) for region, c in counts.items()} == {
        0: (1, {"load": 1}),  # the plain mark begins region 0
        1: (3, {"mul": 3}),
        2047: (3, {"alu": 6}),
    }


def test_what_came_before_is_forgotten(meter: Meter, vector_program: Build) -> None:
    """Counts start again; the caches stay warm."""
    read = [begin(3), "ld t0, 0(a0)", "ld t0, 64(a0)", END]
    lines = [*read, FORGET, *read]
    counts = meter.run(vector_program(source(lines), "forget"), caches=[L1])[3]
    assert (counts.entries, seen(counts), counts.loaded, counts.l1_misses) == (1, {"load": 2}, 16, 0)


def stream(region: int, bytes_: int) -> list[str]:
    """Reads that many bytes from a0 on, 8 at a time."""
    loop = ["1: ld t2, 0(t1)", "addi t1, t1, 8", "addi t0, t0, -1", "bnez t0, 1b"]
    return [f"li t0, {bytes_ // 8}", "mv t1, a0", begin(region), *loop, END]


def misses(counts: Counts) -> tuple[int, int]:
    return counts.l1_misses, counts.l2_misses


def test_misses_of_streams(meter: Meter, vector_program: Build) -> None:
    """A read-once stream misses bytes / 64 times; again, if it fits (32 KiB, least recently used: all or nothing)."""
    passes = [(0, 16 << 10), (1, 16 << 10), (2, 64 << 10), (3, 64 << 10), (4, 128 << 10)]
    program = vector_program(source([line for region, size in passes for line in stream(region, size)]), "stream")
    counts = meter.run(program, caches=[L1, L2])
    assert misses(counts[0]) == (256, 256)
    assert misses(counts[1]) == (0, 0)
    assert misses(counts[2]) == (768, 768)  # 16 of the 64 KiB are there
    assert misses(counts[3]) == (1024, 0)  # twice the first level, within the second
    assert misses(counts[4]) == (2048, 1024)  # 64 of the 128 KiB are in the second
    assert counts[4].loaded == 128 << 10 and counts[4].stored == 0
    assert misses(meter.run(program, caches=[L1])[4]) == (2048, 0)
    assert misses(meter.run(program, caches=[Cache(32, 8, 128)])[0]) == (128, 0)
    assert misses(meter.run(program)[0]) == (0, 0)


def test_misses_of_vectors(meter: Meter, vector_program: Build) -> None:
    """Loads touch the lines of their bytes, strided ones those of their elements; stores allocate like loads."""
    lines = [
        *("vsetvli t0, x0, e8, m8, ta, ma", begin(0), "vle8.v v8, (a0)", END),  # 256 bytes
        *("li t1, 4096", "add a1, a0, t1", "vsetvli t0, x0, e8, m1, ta, ma"),  # 32 elements
        *("li t2, 64", begin(1), "vlse8.v v2, (a1), t2", END),
        *("add a1, a1, t1", begin(2), "vse8.v v2, (a1)", "vle8.v v2, (a1)", END),
    ]
    counts = meter.run(vector_program(source(lines), "vectors"), vlen=256, caches=[L1])
    assert [(c.l1_misses, c.loaded, c.stored) for c in counts.values()] == [(4, 256, 0), (32, 32, 0), (1, 32, 32)]


def test_conflicts_and_lines_that_are_crossed(meter: Meter, vector_program: Build) -> None:
    pair = ["li t0, 10", "li t1, 4096", "add a1, a0, t1", begin(0)]
    pair += ["1: lb t2, 0(a0)", "lb t2, 0(a1)", "addi t0, t0, -1", "bnez t0, 1b", END]
    program = vector_program(source([*pair, begin(1), "ld t0, 60(a0)", END]), "conflict")
    direct, two = (meter.run(program, caches=[Cache(4, ways, 64)]) for ways in (1, 2))
    assert (direct[0].l1_misses, two[0].l1_misses) == (20, 2)
    assert (direct[1].l1_misses, two[1].l1_misses) == (2, 1)  # bytes 0..63 were replaced, or not; 64..127 are new


def test_the_least_recently_used_line_goes(meter: Meter, vector_program: Build) -> None:
    """Lines a, b, a, c, a of one set of two ways: c replaces b, so the last access hits."""
    lines = ["li t1, 4096", "add a1, a0, t1", "add a2, a1, t1", begin(0)]
    lines += [*(f"lb t0, 0({line})" for line in ("a0", "a1", "a0", "a2", "a0")), END]
    assert meter.run(vector_program(source(lines), "recent"), caches=[Cache(4, 2, 64)])[0].l1_misses == 3


def test_stores_around_the_cache(meter: Meter, vector_program: Build) -> None:
    """Without allocation stores are no misses, and leave nothing behind for loads; what is there stays there."""
    lines = [begin(0), "sd x0, 0(a0)", "sd x0, 64(a0)", "ld t0, 64(a0)", "sd x0, 64(a0)", "ld t0, 64(a0)", END]
    lines += [begin(1), "ld t0, 0(a0)", END]
    program = vector_program(source(lines), "around")
    allocating, around = (meter.run(program, caches=[Cache(4, 1, 64, write)]) for write in (True, False))
    assert [c.l1_misses for c in allocating.values()] == [2, 0]
    assert [c.l1_misses for c in around.values()] == [1, 1]
    assert around[0].stored == allocating[0].stored == 24


def test_counts_repeat_to_the_digit(meter: Meter, vector_program: Build, tmp_path: Path) -> None:
    """Twice, and from paths of other lengths, which move the stack: a program with stack, heap and output.

    After it went through 400,000 bytes, 48 bytes of its stack are one line or two, as the stack lies.
    """
    text = """
#include <stdio.h>
#include <stdlib.h>
int main(void) {
    volatile char low[48] __attribute__((aligned(16)));
    __asm__ volatile("sltiu x0, x0, 1" ::: "memory");
    unsigned *numbers = malloc(400000), seed = 1;
    for (int i = 0; i < 100000; i++) numbers[i] = seed = seed * 1664525u + 1013904223u;
    for (int i = 0; i < 100000; i++) numbers[numbers[i] % 100000] ^= seed;
    printf("%u %p\\n", numbers[7], (void *)&seed);
    for (int i = 0; i < 100000; i++) numbers[i] ^= seed;
    for (int i = 0; i < 48; i++) low[i] = (char)i;
    __asm__ volatile("slti x0, x0, 0x124" ::: "memory");
    return 0;
}
"""
    program = vector_program(text, "digits")
    first = meter.run(program, vlen=256, caches=[L1, L2])
    assert first[1].l1_misses > 6250  # 400,000 bytes are 6,250 lines
    assert first == meter.run(program, vlen=256, caches=[L1, L2])
    for more in (16, 32, 48):
        elsewhere = tmp_path / ("x" * more)
        shutil.copy(program, elsewhere)
        assert first == meter.run(elsewhere, vlen=256, caches=[L1, L2]), more


ERRORS = {
    "a region begins inside another one: regions do not nest": (begin(1), begin(2), END),
    "a region ends that was not begun": (begin(1), END, END),
    "the program ended inside a region": (begin(1),),
    "counts are forgotten inside a region": (begin(1), FORGET, END),
    r"vtype is unknown: it was set from a register \(vsetvl\)": (
        *("vsetvli t0, x0, e8, m1, ta, ma", "csrr t1, vtype", begin(1), "vsetvl t0, x0, t1", "vadd.vv v1, v2, v3", END),
    ),
    "region 1 executed 1 instructions that the meter does not know": (begin(1), ".4byte 0x0000128b", END),
    "the program marked no region": ("nop",),
}


@pytest.mark.parametrize("message", ERRORS)
def test_worthless_counts_are_refused(message: str, meter: Meter, vector_program: Build) -> None:
    program = vector_program(source(ERRORS[message]), "wrong")
    with pytest.raises(MeterError, match=rf"wrong under the meter \(VLEN 256\): {message}"):
        meter.run(program, vlen=256)


def test_a_register_vtype_is_harmless_where_no_size_follows_from_it(meter: Meter, vector_program: Build) -> None:
    lines = ["li t1, 0", "vsetvl t0, x0, t1", begin(1), "vmv2r.v v2, v4", END, "vsetvli t0, x0, e8, m2, ta, ma"]
    lines += [begin(2), "vadd.vv v2, v4, v6", END]
    counts = meter.run(vector_program(source(lines), "register"), vlen=256)
    assert [c.arithmetic_beats(256, 128) for c in counts.values()] == [4, 4]


def test_a_failing_program_is_a_tool_error(meter: Meter, vector_program: Build) -> None:
    program = vector_program("int main(void) { return 3; }", "failing")
    with pytest.raises(toolchain.ToolError, match=r"failing under the meter \(VLEN 0\) failed with status 3"):
        meter.run(program)


def test_cache_shapes_that_cannot_be(meter: Meter, tmp_path: Path) -> None:
    with pytest.raises(MeterError, match="a cache of 1 KiB has no whole sets of 3 lines of 64 B"):
        meter.run(tmp_path, caches=[Cache(1, 3, 64)])
    with pytest.raises(MeterError, match="at most two cache levels, with lines of one size"):
        meter.run(tmp_path, caches=[Cache(4, 1, 32), Cache(64, 1, 64)])
    with pytest.raises(MeterError, match="stores that go around a cache with one level only"):
        meter.run(tmp_path, caches=[Cache(4, 1, 64, write_allocate=False), Cache(64, 1, 64)])


def test_an_emulator_that_ignores_plugins(meter: Meter, tmp_path: Path) -> None:
    deaf = tmp_path / "deaf"
    deaf.write_text("#!/bin/sh\nexit 0\n")
    deaf.chmod(0o755)
    with pytest.raises(MeterError, match="deaf ran it without the plugin"):
        Meter(meter.plugin, Emulator(deaf, "any", None)).run(tmp_path / "p")


def test_debians_emulator_counts_the_same(meter: Meter, debian: Meter, vector_program: Build) -> None:
    lines = ["vsetvli t1, x0, e8, m2, ta, ma", begin(0), "vle8.v v2, (a0)", "vwadd.vv v4, v2, v8", "ld t0, 0(a0)", END]
    program = vector_program(source([*lines, *stream(1, 4096)]), "both")
    assert debian.run(program, vlen=256, caches=[L1]) == meter.run(program, vlen=256, caches=[L1])


def test_the_plugin_is_strict_c99(tmp_path: Path) -> None:
    for text in sorted(PLUGIN.glob("*.c")):
        command = [toolchain.native_compiler(), "-std=c99", "-pedantic", "-Wall", "-Wextra", "-Wshadow", "-Werror"]
        toolchain.run([*command, "-c", text, "-o", tmp_path / "o"])
