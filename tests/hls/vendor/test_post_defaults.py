"""The plan that stages imply."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from post_texts import TEXTS

from hls.layers.stage import Banks, Hints, Stage, Tensor, Wire
from hls.packing import GEOMETRIES
from hls.program import Design, Port
from hls.vendor import Axis, Control, Interval, MemoryMaster, Multiplications, Partition, Storage, VendorError
from hls.vendor.defaults import default_plan, vendor_text
from hls.vendor.lookup import Text
from hls.vendor.roms import roms


@dataclass(frozen=True)
class Given(Stage):
    """A stage of the sample texts: the post-pass asks only for names, loops and hints."""

    loops: tuple[str, ...]
    asks: Hints = field(default_factory=Hints)

    def trace(self, sources: Sequence[Tensor], targets: Sequence[Tensor]) -> Sequence[Banks]:
        raise AssertionError("is printed already")

    @property
    def pipelined(self) -> tuple[str, ...]:
        return self.loops

    @property
    def cycles(self) -> int:
        return 1

    @property
    def hints(self) -> Hints:
        return self.asks


def _design(hints: Hints) -> Design:
    x, a = Wire("x", 6, 4, 1, 1, 64, True), Wire("a", 6, 4, 1, 1, 18, True)
    b, y = Wire("b", 6, 2, 1, 1, 64, True), Wire("y", 6, 2, 1, 1, 64, True)
    stages = (
        Given("load", (x,), (a,), ("col",)),
        Given("conv", (a,), (b,), ("c", "og"), hints),
        Given("store", (b,), (y,), ("col",)),
    )
    return Design("net", stages, (Port(x, 64),), (Port(y, 64),))


DSP = GEOMETRIES["dsp48e2"]


@pytest.mark.parametrize("name", TEXTS)
def test_a_whole_plan(name: str) -> None:
    plan = default_plan(Text.of(TEXTS[name]), _design(Hints("dsp", {"conv_w": "bram"})), DSP)
    ports = (Axis("x"), Axis("y")) if name == "ours" else (MemoryMaster("x", "gmem0"), MemoryMaster("y", "gmem1"))
    assert plan.ports == ("x", "y")
    assert plan.interfaces == (*ports, Control())
    assert plan.multiplications == (Multiplications("conv", "dsp", (27, 18), "conv_w"),)
    assert plan.partitions == (
        Partition("conv", "conv_w", dimension=2, reshape=True),
        Partition("conv", "conv_table", dimension=2, reshape=True),
    )
    assert plan.storage == (
        Storage("conv", "conv_w", "rom_1p", "bram"),
        Storage("conv", "conv_mul", "rom_1p", "lutram"),
        Storage("conv", "conv_table", "rom_1p", "lutram"),
    )
    assert plan.intervals == tuple(
        Interval(*p, style="flp") for p in (("load", "col"), ("conv", "c"), ("conv", "og"), ("store", "col"))
    )


@pytest.mark.parametrize("name", TEXTS)
def test_hints_reach_the_text(name: str) -> None:
    design = _design(Hints("fabric"))
    assert vendor_text(TEXTS[name], design, DSP).count("op=mul impl=fabric") == 1
    assert "bind_op" not in vendor_text(TEXTS[name], _design(Hints()), DSP)
    assert "II=2" not in vendor_text(TEXTS[name], design, DSP)


def test_ports_are_the_devices() -> None:
    with pytest.raises(VendorError, match="27 by 18 signed bits, the multiplier's ports have 25 by 18"):
        vendor_text(TEXTS["ours"], _design(Hints("dsp")), GEOMETRIES["dsp48e1"])


def test_ultra_ram_has_no_initial_content() -> None:
    with pytest.raises(VendorError, match=r"conv_w: a rom_1p of uram .allowed: auto, lutram, bram"):
        vendor_text(TEXTS["ours"], _design(Hints("dsp", {"conv_w": "uram"})), DSP)


def test_an_unknown_memory_in_the_hints_is_named() -> None:
    with pytest.raises(VendorError, match=r"stage conv has no array conv_weights \(its arrays: conv_a, conv_w, "):
        vendor_text(TEXTS["ours"], _design(Hints("dsp", {"conv_weights": "bram"})), DSP)


def test_a_memory_that_is_written() -> None:
    after = vendor_text(TEXTS["v05"], _design(Hints(None, {"conv_a": "uram"})), DSP)
    assert "  #pragma HLS bind_storage variable=conv_a type=ram_s2p impl=uram\n" in after
    after = vendor_text(TEXTS["ours"], _design(Hints(None, {"conv_a": "auto"})), DSP)
    assert "bind_storage variable=conv_a" not in after


def test_a_loop_that_is_gone_is_named() -> None:
    design = _design(Hints())
    stages = tuple(replace(s, loops=("g",)) if s.name == "load" else s for s in design.stages)
    with pytest.raises(VendorError, match="function load has no loop g"):
        vendor_text(TEXTS["ours"], replace(design, stages=stages), DSP)


READS = {
    "one word a cycle": ("rom[r][0][0]", (2, 3), 8, 1),
    "unrolled loops": ("rom[r][q][s]", (2, 3), 8, 1),
    "within a sum": ("rom[r][(q * 2) + 1][s]", (2, 3), 8, 1),
    "two constants, two parts": ("rom[r][q][0] + rom[r][q][1]", (2, 3), 8, 1),
    "two words of a part": ("rom[r][q][s] + rom[r][s][2]", (2, 3), 8, 2),
    "rows of a word": ("rom[r][0][r] + rom[0][1][r]", (2,), 32, 1),
    "two rows of a word": ("rom[r][0][r] + rom[0][0][r]", (2,), 32, 2),
    "two halves": ("rom[r][q / 4][s] + rom[r][q / 4][s + 4]", (2, 3), 8, 1),
    "even and odd": ("rom[r][2 * q][s] + rom[r][(q * 2) + 1][s]", (2, 3), 8, 1),
    "stepped loops": ("rom[r][q][5 * u] + rom[r][q][5 * u + 1]", (2, 3), 8, 1),
    "thirds and halves": ("rom[r][2 * q][s] + rom[r][(q * 3) + 1][s]", (2, 3), 8, 2),
    "a wired constant": ("rom[7][3][1]", (1, 2, 3), 1, 1),
    "the same word twice": ("rom[r][q][s] * 3 + rom[r][q][s]", (2, 3), 8, 1),
    "addressed by data": ("rom[r][q][at[s]]", (2,), 32, 12),
    "addressed by data, taken to differ in every iteration": ("rom[r][q][fixed]", (2,), 32, 12),
    "copied counter": ("rom[r][copy][s]", (2, 3), 8, 1),
}


ROM_READER = """
const ap_int<8> rom[8][4][4] = {1};
void f(ap_int<3> at[4], ap_int<9> out[4]) {
    for (int r = 0; r < 8; ++r) {
        #pragma HLS pipeline II=1
        int fixed;
        fixed = at[r];
        for (int q = 0; q < 4; ++q) {
            for (int s = 0; s < 4; ++s) {
                int copy = q;
                for (int u = 2; u < 7; u += 2) {
                    out[s] = EXPRESSION;
                }
            }
        }
    }
}
"""


@pytest.mark.parametrize("case", READS)
def test_how_a_rom_is_read(case: str) -> None:
    """8 x 4 x 4 words; r is a pipelined loop, q (4), s (4) and u (3) are inside it. Data may differ in each of them."""
    expression, apart, depth, reads = READS[case]
    known = Text.of(ROM_READER.replace("EXPRESSION", expression))
    (rom,) = roms(known, known.unit.functions[0])
    assert (rom.apart, rom.depth, rom.reads) == (apart, depth, reads)


ALIGNED = {
    "one word a cycle": True,
    "unrolled loops": True,
    "within a sum": True,
    "two constants, two parts": True,
    "two words of a part": False,
    "rows of a word": False,  # part 0 at r, part 1 at 0
    "two halves": True,
    "even and odd": True,
    "addressed by data": False,
    "copied counter": True,
}


@pytest.mark.parametrize("case", ALIGNED)
def test_parts_share_a_wide_word_where_they_are_read_at_one_place(case: str) -> None:
    known = Text.of(ROM_READER.replace("EXPRESSION", READS[case][0]))
    (rom,) = roms(known, known.unit.functions[0])
    assert rom.aligned == ALIGNED[case]


@pytest.mark.parametrize(("words", "wide"), [(4, (True, True)), (200, (False, True)), (5000, (False, False))])
def test_no_word_is_wider_than_allowed(words: int, wide: tuple[bool, bool]) -> None:
    """Parts of 8 bits: 4 x 4 make 128 bits, 4 x 200 more than 4096 of which a row has 1600, and 5000 are too many."""
    text = f"""
static const ap_int<8> conv_w[8][4][{words}] = {{1}};
static void conv(ap_int<9> out[4]) {{
    conv_r: for (int r = 0; r < 8; ++r) {{
        #pragma HLS pipeline II=1
        conv_q: for (int q = 0; q < 4; ++q) {{
            conv_s: for (int s = 0; s < {words}; ++s) {{
                out[q] = conv_w[r][q][s];
            }}
        }}
    }}
}}
void top(ap_int<9> out[4]) {{
    conv(out);
}}
"""
    y = Wire("out", 1, 4, 1, 1, 9, True)
    design = Design("top", (Given("conv", (), (y,), ("r",)),), (), (Port(y, 16),))
    plan = default_plan(Text.of(text), design, DSP)
    assert plan.partitions == tuple(
        Partition("conv", "conv_w", dimension=d, reshape=reshape) for d, reshape in zip((2, 3), wide, strict=True)
    )
