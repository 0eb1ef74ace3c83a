"""The printed C++, word for word: it is written for people to read."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hcl_programs import elementwise, run

from hls.heterocl import alloc, hcl
from hls.heterocl.lower import lower
from hls.heterocl.printers import print_native, print_vitis
from hls.heterocl.printers.code import Code, folded, infix, ternary
from hls.heterocl.schedule import Schedule

NATIVE = """\
#include "hls_native.h"

static const int8_t weights[2][2] = {
    {3, -8}, {7, 0}
};

static void scale(Fifo<uint8_t> &A, Fifo<int16_t> &scaled) {
    // the element before, for the difference
    uint8_t hold[2] = {};
    for (int y = 0; y < 4; ++y) {
        for (int col = 0; col < 6; ++col) {
            const int32_t pixel = A.read();
            int32_t total = 0;
            #pragma GCC unroll 2
            for (int k = 0; k < 2; ++k) {
                total = sint<12>(total + weights[1][k] * pixel);
            }
            if (col > 0) {
                total = sint<12>(total - hold[0]);
            }
            hold[0] = pixel;
            scaled.write(total);
        }
    }
}

static void sign(Fifo<int16_t> &scaled, Fifo<uint8_t> &sign_stream) {
    for (int y = 0; y < 4; ++y) {
        for (int x = 0; x < 6; ++x) {
            sign_stream.write(scaled.read() < 0 ? 0 : 1);
        }
    }
}

extern "C" void top(const uint8_t *A, uint8_t *sign_data) {
    Fifo<uint8_t> A_stream(A);
    Fifo<uint8_t> sign_data_stream(sign_data);
    Fifo<int16_t> scaled(24);
    scale(A_stream, scaled);
    sign(scaled, sign_data_stream);
}
"""

VITIS = """\
#include <ap_int.h>
#include <hls_stream.h>

static const int weights[2][2] = {
    {3, -8}, {7, 0}
};

static void scale(hls::stream<ap_uint<8>> &A, hls::stream<ap_int<12>> &scaled) {
    // the element before, for the difference
    ap_uint<8> hold[2];
    scale_y: for (int y = 0; y < 4; ++y) {
        scale_col: for (int col = 0; col < 6; ++col) {
            #pragma HLS pipeline II=1
            const ap_uint<8> pixel = A.read();
            ap_int<12> total = 0;
            scale_k: for (int k = 0; k < 2; ++k) {
                #pragma HLS unroll
                total = total + ap_int<4>(weights[1][k]) * ap_int<9>(pixel);
            }
            if (col > 0) {
                total = total - hold[0];
            }
            hold[0] = pixel;
            scaled.write(total);
        }
    }
}

static void sign(hls::stream<ap_int<12>> &scaled, hls::stream<ap_uint<1>> &sign_stream) {
    sign_y: for (int y = 0; y < 4; ++y) {
        sign_x: for (int x = 0; x < 6; ++x) {
            sign_stream.write(scaled.read() < 0 ? 0 : 1);
        }
    }
}

void top(hls::stream<ap_uint<8>> &A, hls::stream<ap_uint<1>> &sign_stream) {
    #pragma HLS dataflow
    hls::stream<ap_int<12>> scaled("scaled");
    #pragma HLS stream variable=scaled depth=2
    scale(A, scaled);
    sign(scaled, sign_stream);
}
"""


def _program() -> Schedule:
    a = hcl.placeholder((4, 6), "A", hcl.UInt(8))
    made: dict[str, Any] = {}

    def top(a: Any) -> Any:
        weights = hcl.const_tensor(np.array([[3, -8], [7, 0]]), "weights", hcl.Int(4))
        scaled = made["scaled"] = alloc((4, 6), "scaled", hcl.Int(12))
        hold = alloc((2,), "hold", hcl.UInt(8), doc="the element before, for the difference")
        with hcl.for_(0, 4, tag="scale", name="y") as y, hcl.for_(0, 6, name="col") as x:
            pixel = hcl.scalar(a[y, x], "pixel", hcl.UInt(8))
            total = hcl.scalar(0, "total", hcl.Int(12))
            with hcl.for_(0, 2, name="k") as k:
                total.v += weights[1, k] * hcl.cast(hcl.Int(9), pixel.v)
            with hcl.if_(x > 0):
                total.v = total.v - hold[0]
            hold[0] = pixel.v
            scaled[y, x] = total.v
        return hcl.compute((4, 6), lambda y, x: hcl.select(scaled[y, x] < 0, 0, 1), "sign", dtype=hcl.UInt(1))

    s = hcl.create_schedule([a], top)
    s[top.scale].pipeline(top.scale.col)  # type: ignore[attr-defined]
    s[top.scale].unroll(top.scale.k)  # type: ignore[attr-defined]
    stages = [s[top.scale], s[top.sign]]  # type: ignore[attr-defined]
    s.dataflow_regions([(made["scaled"], stages[1], 2)], [[stage] for stage in stages])
    return s


def test_native_text() -> None:
    assert print_native(lower(_program())) == NATIVE


def test_vitis_text() -> None:
    assert print_vitis(lower(_program())) == VITIS


def test_what_the_text_computes() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (4, 6))
    before = np.pad(frame, ((0, 0), (1, 0)))[:, :-1]
    assert np.array_equal(run(_program(), frame)[0], (7 * frame - before >= 0).astype(int))


def test_parentheses() -> None:
    a, b, c = (Code(name, "int") for name in "abc")
    sums, products = infix("+", a, b, "int"), infix("*", a, b, "int")
    assert infix("*", sums, c, "int").text == "(a + b) * c"
    assert infix("+", products, c, "int").text == "a * b + c"
    assert infix("-", c, sums, "int").text == "c - (a + b)"
    assert infix("-", sums, c, "int").text == "a + b - c"
    assert infix("<<", sums, c, "int").text == "(a + b) << c"
    assert infix("|", infix("&", a, b, "int"), c, "int").text == "(a & b) | c"
    assert infix("&&", infix("<", a, sums, "int"), c, "int").text == "a < a + b && c"
    assert infix("+", ternary(a, b, c, "int"), c, "int").text == "(a ? b : c) + c"
    assert infix("-", a, Code("-1", "int", 1), "int").text == "a - -1"


def test_long_statements_break_at_their_outermost_operators() -> None:
    text = "word = word | " + " | ".join(f"(lane[{k}] << (8 * {k} + 4))" for k in range(8)) + ";"
    lines = folded(text, 60)
    assert len(lines) > 2
    assert all(len(line) <= 64 for line in lines)
    assert all(line.startswith("    | ") for line in lines[1:])
    assert re.sub(r"\s+", " ", " ".join(lines)) == text
    assert folded("call(a, b);", 5) == ["call(a, b);"]


def test_partitions_and_memories() -> None:
    a = hcl.placeholder((4,), "A", hcl.Int(8))
    made: dict[str, Any] = {}

    def top(a: Any) -> Any:
        bank = made["bank"] = alloc((8, 4), "bank", hcl.Int(8))
        large = alloc((64, 128), "large", hcl.Int(8))
        r = alloc((4,), "R", hcl.Int(8))
        with hcl.for_(0, 4, tag="t", name="i") as i:
            bank[1, i] = a[i]
            large[63, i] = bank[1, i]
            r[i] = large[63, i]
        return r

    s = hcl.create_schedule([a], top)
    s.partition(made["bank"], hcl.Partition.Cyclic, dim=1, factor=2)
    s.partition(made["bank"], dim=2)
    s[top.t].unroll(top.t.i, factor=2)  # type: ignore[attr-defined]
    text = hcl.build(s, target="vhls")
    assert "#pragma HLS array_partition variable=bank cyclic factor=2 dim=1\n" in text
    assert "#pragma HLS array_partition variable=bank complete dim=2\n" in text
    assert "#pragma HLS unroll factor=2\n" in text
    native = hcl.build(s).source
    assert "int8_t bank[8][4] = {};" in native
    assert "std::make_unique<int8_t[][128]>(64)" in native
    assert np.array_equal(run(s, np.arange(4))[0], np.arange(4))


@pytest.mark.parametrize(
    ("width", "storage"), [(7, "uint8_t"), (9, "uint16_t"), (17, "int32_t"), (32, "int64_t"), (64, "uint64_t")]
)
def test_storage_is_the_narrowest_machine_type(width: int, storage: str) -> None:
    text = print_native(lower(elementwise([hcl.UInt(width)], hcl.UInt(width), lambda a: a, 2)))
    assert f"void top(const {storage} A0[2], {storage} C[2])" in text
