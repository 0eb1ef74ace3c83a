"""The post-pass over sample texts of both implementations: exactly the planned lines, or one clear error."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import replace

import pytest
from post_texts import TEXTS, plan_for

from hls.vendor import (
    Axis,
    Control,
    Interval,
    MemoryMaster,
    Multiplications,
    Partition,
    Plan,
    Storage,
    VendorError,
    post_pass,
)

CHANGES = {
    "ours": """
+    #pragma HLS array_partition variable=conv_w type=complete dim=2
+    #pragma HLS array_partition variable=conv_table type=cyclic factor=2 dim=2
+    #pragma HLS bind_storage variable=conv_w type=rom_1p impl=lutram
+    #pragma HLS bind_storage variable=conv_a type=ram_s2p impl=lutram
-            #pragma HLS pipeline II=2
+            #pragma HLS pipeline II=1
-                total = total + ap_int<27>(conv_w[og][s]) * conv_a[s];
+                const ap_int<27> total_wide = ap_int<27>(conv_w[og][s]);
+                const ap_int<18> total_narrow = conv_a[s];
+                const ap_int<45> total_product = total_wide * total_narrow;
+                #pragma HLS bind_op variable=total_product op=mul impl=dsp latency=3
+                total = total + total_product;
-            const ap_int<64> scaled = (total * ap_int<16>(conv_mul[og])) >> 3;
+            const ap_int<64> scaled_product = total * ap_int<16>(conv_mul[og]);
+            #pragma HLS bind_op variable=scaled_product op=mul impl=fabric
+            const ap_int<64> scaled = (scaled_product) >> 3;
-            #pragma HLS pipeline II=1
+            #pragma HLS pipeline II=4
+    #pragma HLS interface mode=axis port=x
+    #pragma HLS interface mode=axis port=y
+    #pragma HLS interface mode=s_axilite port=return bundle=control
""",
    "v05": """
+  #pragma HLS array_partition variable=conv_w type=complete dim=2
+  #pragma HLS array_partition variable=conv_table type=cyclic factor=2 dim=2
+  #pragma HLS bind_storage variable=conv_w type=rom_1p impl=lutram
+  #pragma HLS bind_storage variable=conv_a type=ram_s2p impl=lutram
-    #pragma HLS pipeline II=2
+    #pragma HLS pipeline II=1
-        ap_int<45> v12 = v10 * v11;\t// L52
+        const ap_int<27> v12_wide = v10;
+        const ap_int<18> v12_narrow = v11;
+        const ap_int<45> v12_product = v12_wide * v12_narrow;
+        #pragma HLS bind_op variable=v12_product op=mul impl=dsp latency=3
+        ap_int<45> v12 = v12_product;\t// L52
-      ap_int<64> v31 = v29 * v30;\t// L56
+      const ap_int<48> v31_left = v29;
+      const ap_int<16> v31_right = v30;
+      const ap_int<64> v31_product = v31_left * v31_right;
+      #pragma HLS bind_op variable=v31_product op=mul impl=fabric
+      ap_int<64> v31 = v31_product;\t// L56
-    #pragma HLS pipeline II=1
+    #pragma HLS pipeline II=4
+  #pragma HLS interface mode=m_axi port=v44 bundle=gmem0 depth=24 offset=slave max_read_burst_length=64 \
num_read_outstanding=4 max_write_burst_length=64 num_write_outstanding=4
+  #pragma HLS interface mode=s_axilite port=v44 bundle=control
+  #pragma HLS interface mode=m_axi port=v45 bundle=gmem1 depth=48 offset=slave max_read_burst_length=16 \
num_read_outstanding=4 max_write_burst_length=16 num_write_outstanding=4
+  #pragma HLS interface mode=s_axilite port=v45 bundle=control
+  #pragma HLS interface mode=s_axilite port=return bundle=control
""",
}


@pytest.mark.parametrize("name", TEXTS)
def test_exactly_the_planned_lines_change(name: str) -> None:
    before, after = (text.splitlines(keepends=True) for text in (TEXTS[name], post_pass(TEXTS[name], plan_for(name))))
    changed = [line for line in difflib.unified_diff(before, after, n=0) if line[:2] not in ("--", "++", "@@")]
    assert "".join(changed) == CHANGES[name].lstrip("\n")


@pytest.mark.parametrize("name", TEXTS)
def test_an_empty_plan_changes_nothing(name: str) -> None:
    assert post_pass(TEXTS[name], Plan()) == TEXTS[name]


def test_an_interval_that_the_text_has_changes_nothing() -> None:
    plan = Plan(intervals=(Interval("load", "col", 1), Interval("conv", "og", 2)))
    assert all(post_pass(text, plan) == text for text in TEXTS.values())


def test_a_loop_or_function_without_pipeline_gets_one() -> None:
    after = post_pass(TEXTS["v05"], Plan(intervals=(Interval("conv", "s", 3), Interval("store", None, 9))))
    lines = after.splitlines()
    at = next(i for i, line in enumerate(lines) if "l_s: for" in line)
    assert lines[at + 1] == "        #pragma HLS pipeline II=3"
    start = next(i for i, line in enumerate(lines) if line.startswith("void Stage_store"))
    assert "  #pragma HLS pipeline II=9" in lines[start : start + 5]


@pytest.mark.parametrize("name", TEXTS)
def test_a_second_application_is_refused(name: str) -> None:
    after = post_pass(TEXTS[name], plan_for(name))
    with pytest.raises(VendorError, match=r"line \d+ has a \w+ pragma: the text has been through the post-pass"):
        post_pass(after, plan_for(name))


MISFITS: dict[str, tuple[str, Plan, str]] = {
    "function": ("ours", Plan(intervals=(Interval("pool"),)), "no function pool .there are: load, conv, store, net"),
    "loop": (
        "v05",
        Plan(intervals=(Interval("conv", "z"),)),
        "no loop z .its loops: l_conv_row_0, l_c, l_og, ",
    ),
    "array": ("ours", Plan(storage=(Storage("conv", "w", "rom_1p"),)), "no array w .its arrays: conv_a, conv_w"),
    "dimension": ("ours", Plan(partitions=(Partition("conv", "conv_w", dimension=3),)), "has 2 dimensions, not 3"),
    "partitioned": ("v05", Plan(partitions=(Partition("conv", "conv_a", dimension=1),)), "already partitioned along"),
    "rom of a ram": ("ours", Plan(storage=(Storage("conv", "conv_a", "rom_1p"),)), "written: it cannot be a rom_1p"),
    "ram of a rom": (
        "ours",
        Plan(storage=(Storage("conv", "conv_w", "ram_1p"),)),
        "array: it cannot be a ram",
    ),
    "argument": ("v05", Plan(storage=(Storage("load", "v0", "ram_1p"),)), "is an argument: bind it where"),
    "dataflow": ("ours", Plan(intervals=(Interval("net"),)), "net is a dataflow region"),
    "master of a stream": ("ours", Plan(interfaces=(MemoryMaster("x", "m"),)), "an hls::stream: .* needs an array"),
    "control of an array": ("v05", Plan(interfaces=(Control("v44"),)), "v44 is no scalar"),
    "port": ("ours", Plan(interfaces=(Axis("z"),)), "no argument z .its arguments: x, y"),
    "depth": ("v05", Plan(interfaces=(MemoryMaster("v44", "m", depth=3),)), "depth 3 of an array of 24 words"),
    "no product": ("ours", Plan(multiplications=(Multiplications("load", "dsp"),)), "load has no products to bind"),
    "no such product": (
        "v05",
        Plan(multiplications=(Multiplications("conv", "dsp", memory="conv_table"),)),
        "no products of elements of conv_table",
    ),
    "planned twice": (
        "ours",
        Plan(multiplications=(Multiplications("conv", "dsp", memory="conv_w"), Multiplications("conv", "fabric"))),
        "conv_a.s. in conv is planned twice",
    ),
    "too wide": (
        "v05",
        Plan(multiplications=(Multiplications("conv", "dsp", (25, 18), "conv_w"),)),
        r"line \d+: v10 \* v11 in Stage_conv has 27 by 18 signed bits, the multiplier's ports have 25 by 18",
    ),
    "too wide, all": (
        "ours",
        Plan(multiplications=(Multiplications("conv", "dsp"),)),
        r"total \* ap_int<16>\(conv_mul\[og\]\) in conv has 48 by 16 signed bits",
    ),
}


@pytest.mark.parametrize("case", MISFITS)
def test_a_plan_that_the_text_does_not_allow(case: str) -> None:
    name, plan, message = MISFITS[case]
    with pytest.raises(VendorError, match=message):
        post_pass(TEXTS[name], plan)


IMPOSSIBLE: dict[str, tuple[Callable[[], object], str]] = {
    "burst": (lambda: MemoryMaster("x", "m", burst=48), "burst of 48 words .allowed: powers of two from 2 to 256"),
    "kind": (lambda: Multiplications("f", "lut"), "multipliers of 'lut' .allowed: dsp, fabric"),  # type: ignore[arg-type]
    "latency": (lambda: Multiplications("f", "dsp", latency=5), "latency is 5 .allowed: 0 to 4"),
    "uram rom": (lambda: Storage("f", "w", "rom_1p", "uram"), "rom_1p of uram .allowed: auto, lutram, bram"),
    "memory": (lambda: Storage("f", "w", "fifo"), "memory 'fifo'"),  # type: ignore[arg-type]
    "factor": (lambda: Partition("f", "w", "cyclic"), "a factor belongs to cyclic and block"),
    "whole factor": (lambda: Partition("f", "w", factor=4), "a factor belongs to cyclic and block"),
    "interval": (lambda: Interval("f", "x", 0), "interval of 0 cycles"),
    "twice": (lambda: Plan(interfaces=(Axis("x"), Axis("x"))), "planned twice: port x"),
}


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_a_plan_that_no_tool_takes(case: str) -> None:
    make, message = IMPOSSIBLE[case]
    with pytest.raises(VendorError, match=message):
        make()


def test_a_burst_longer_than_a_page() -> None:
    text = TEXTS["v05"].replace("ap_int<64> v44", "ap_int<256> v44")
    plan = replace(plan_for("v05"), interfaces=(MemoryMaster("x", "m", burst=256),))
    with pytest.raises(VendorError, match="256 words of 256 bits exceed an AXI4 burst's 4096 bytes"):
        post_pass(text, plan)
