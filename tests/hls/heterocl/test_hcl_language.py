"""Meaning of programs beyond the tables: order of evaluation, widening, loops, memories, and all executors alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hcl_programs import elementwise, run, run_ap

from hls.heterocl import alloc, hcl, note
from hls.heterocl.lower import lower
from hls.heterocl.simulate import simulate
from hls.heterocl.types import DType

INT8 = np.arange(-128, 128)


def _both(schedule: Any, *inputs: Any) -> np.ndarray:
    """The native result, after a check that the simulator gives the same whatever uninitialised memory holds."""
    (native,) = run(schedule, *inputs)
    for garbage in (0, -1, 0x123456789ABCDEF):
        zeros = [np.zeros(t.shape, np.int64) for t in schedule.outputs]
        simulated = simulate(lower(schedule), *inputs, *zeros, garbage=garbage).arrays[-1]
        assert np.array_equal(native.astype(object), simulated.astype(object))
    return native


def _wrap(values: Any, dtype: DType) -> list[int]:
    return [dtype.wrap(int(v)) for v in values]


def test_an_expression_is_computed_where_a_statement_uses_it() -> None:
    a = hcl.placeholder((4,), "A", hcl.Int(8))

    def top(a: Any) -> Any:
        r = alloc((4,), "R", hcl.Int(8))
        with hcl.for_(0, 1, tag="t"):
            late = a[0]
            a[0] = 5
            r[0] = late  # computed here, after the store
            r[1] = a[1]
            a[1] = 7
            r[2] = a[1]
        return r

    s = hcl.create_schedule([a], top)
    assert _both(s, np.array([1, 2, 3, 4]))[:3].tolist() == [5, 2, 7]


def test_a_condition_is_computed_afresh() -> None:
    a = hcl.placeholder((2,), "A", hcl.Int(8))

    def top(a: Any) -> Any:
        r = alloc((2,), "R", hcl.Int(8))
        with hcl.for_(0, 1, tag="t"):
            positive = a[0] > 0
            r[0] = positive
            r[1] = 0
            a[0] = 1
            with hcl.if_(positive):
                r[1] = 1
        return r

    s = hcl.create_schedule([a], top)
    assert _both(s, np.array([0, 0])).tolist() == [0, 1]


def test_scalars_stores_and_casts_wrap() -> None:
    def body(a: Any) -> Any:
        held = hcl.scalar(a, "held", hcl.Int(8))
        v = hcl.scalar(held.v + 100, "v", hcl.Int(8))
        v.v += hcl.cast(hcl.UInt(4), held.v)
        return v.v - 1

    expected = [hcl.Int(6).wrap(hcl.Int(8).wrap(hcl.Int(8).wrap(v + 100) + v % 16) - 1) for v in INT8]
    assert _both(elementwise([hcl.Int(8)], hcl.Int(6), body, 256), INT8).tolist() == expected


def test_left_shift_of_a_signed_value_extends_with_zeros() -> None:
    """As v0.5's LLVM does (values.json): the cast that widens a left shift is a zero extension."""
    s = elementwise([hcl.Int(8)], hcl.Int(16), lambda a: (a << 1) + 0, 256)
    assert _both(s, INT8).tolist() == [(int(v) << 1) & 255 for v in INT8]
    s = elementwise([hcl.Int(8)], hcl.Int(16), lambda a: hcl.cast(hcl.Int(16), a) << 1, 256)
    assert _both(s, INT8).tolist() == [2 * int(v) for v in INT8]


def test_unsigned_difference_stays_unsigned() -> None:
    s = elementwise([hcl.UInt(4), hcl.UInt(4)], hcl.Int(16), lambda a, b: a - b, 256)
    a, b = np.divmod(np.arange(256), 16)
    assert _both(s, a, b).tolist() == ((a - b) % 32).tolist()


def test_select_reserves_the_sign_bit_of_its_second_alternative() -> None:
    values = np.arange(256)
    s = elementwise([hcl.UInt(8)], hcl.Int(16), lambda a: hcl.select(a > 0, a, hcl.cast(hcl.Int(4), a)), 256)
    assert _both(s, values).tolist() == _wrap(values, hcl.Int(8))
    s = elementwise([hcl.UInt(8)], hcl.Int(16), lambda a: hcl.select(a == 0, hcl.cast(hcl.Int(4), a), a), 256)
    assert _both(s, values).tolist() == values.tolist()


@pytest.mark.parametrize(
    ("dtype", "amounts"), [(hcl.Int(8), range(8)), (hcl.UInt(5), range(5)), (hcl.Int(33), range(33))]
)
def test_shifts_by_a_variable(dtype: DType, amounts: range) -> None:
    values = [v for v in (dtype.lo, dtype.hi, 1, dtype.hi // 3) for _ in amounts]
    shifts = list(amounts) * 4
    kind = hcl.UInt(6)
    right = elementwise([dtype, kind], hcl.Int(64), lambda a, k: a >> k, len(values))
    assert _both(right, np.array(values), np.array(shifts)).tolist() == [
        v >> k for v, k in zip(values, shifts, strict=True)
    ]
    left = elementwise([dtype, kind], dtype, lambda a, k: a << k, len(values))
    expected = [dtype.wrap(v << k) for v, k in zip(values, shifts, strict=True)]
    assert _both(left, np.array(values), np.array(shifts)).tolist() == expected


def test_words_of_64_bits() -> None:
    """Lanes into a 64-bit word by cast, shift and or; out again by shift and mask."""
    lanes = np.random.default_rng(1).integers(0, 256, (16, 8))
    a = hcl.placeholder((16, 8), "A", hcl.UInt(8))

    def top(a: Any) -> Any:
        def pack(i: Any) -> Any:
            w = hcl.scalar(0, "w", hcl.UInt(64))
            with hcl.for_(0, 8, name="k") as k:
                w.v = w.v | (hcl.cast(hcl.UInt(64), a[i, k]) << (8 * k))
            return w.v

        packed = hcl.compute((16,), pack, "packed", dtype=hcl.UInt(64))
        return hcl.compute((16, 8), lambda i, k: (packed[i] >> (56 - 8 * k)) & 255, "out", dtype=hcl.UInt(8))

    s = hcl.create_schedule([a], top)
    assert np.array_equal(_both(s, lanes), lanes[:, ::-1])


def test_packed_multiply() -> None:
    """Two products in one: `lo` and `hi` of `(w1 << L) + w0` times `a`, for all operands of 4 bits."""
    low, width = 11, hcl.Int(11)
    w0, w1, x = (m.reshape(-1) for m in np.meshgrid(range(-8, 8), range(-8, 8), range(16), indexing="ij"))

    def program(high: bool) -> Any:
        def body(weight: Any, a: Any) -> Any:
            p = hcl.scalar(weight * hcl.cast(hcl.Int(18), a), "p", hcl.Int(45))
            lo = hcl.scalar(hcl.cast(width, p.v), "lo", width)
            hi = hcl.cast(width, p.v >> low) + hcl.select(lo.v < 0, 1, 0)
            return hi if high else lo.v

        return elementwise([hcl.Int(27), hcl.UInt(4)], hcl.Int(16), body, x.size)

    packed = (w1 << low) + w0
    assert np.array_equal(_both(program(False), packed, x), w0 * x)
    assert np.array_equal(_both(program(True), packed, x), w1 * x)


def test_sum_over_two_axes() -> None:
    a = hcl.placeholder((6, 6), "A", hcl.Int(8))
    kernel = np.arange(9).reshape(3, 3) - 4

    def top(a: Any) -> Any:
        k = hcl.const_tensor(kernel, "K", hcl.Int(4))
        r, c = hcl.reduce_axis(0, 3, "r"), hcl.reduce_axis(0, 3, "c")
        term = lambda y, x: hcl.sum(a[y + r, x + c] * k[r, c], axis=[r, c], dtype=hcl.Int(16))  # noqa: E731
        return hcl.compute((4, 4), term, "B", dtype=hcl.Int(16))

    s = hcl.create_schedule([a], top)
    assert [loop.name for loop in top.B.axis] == ["y", "x", "r", "c"]  # type: ignore[attr-defined]
    frame = np.random.default_rng(2).integers(-128, 128, (6, 6))
    windows = np.lib.stride_tricks.sliding_window_view(frame, (3, 3))
    assert np.array_equal(_both(s, frame), (windows * kernel).sum((2, 3)))


def test_table_indexed_by_data() -> None:
    table = np.random.default_rng(3).integers(-100, 100, 16)
    a = hcl.placeholder((32,), "A", hcl.UInt(4))

    def top(a: Any) -> Any:
        t = hcl.const_tensor(table, "table", hcl.Int(8))
        return hcl.compute((32,), lambda i: t[hcl.cast(hcl.Int(5), a[i])], "C", dtype=hcl.Int(8))

    values = np.random.default_rng(4).integers(0, 16, 32)
    assert np.array_equal(_both(hcl.create_schedule([a], top), values), table[values])


def test_loops_with_a_step_and_an_offset() -> None:
    a = hcl.placeholder((20,), "A", hcl.Int(16))

    def top(a: Any) -> Any:
        r = alloc((20,), "R", hcl.Int(16))
        with hcl.for_(0, 20, tag="clear", name="i") as i:
            r[i] = -1
        with hcl.for_(3, 18, 4, tag="some", name="i") as i:
            r[i] = a[i + 1] + i - 2 * i + 3
        return r

    values = np.arange(20) * 10
    expected = np.full(20, -1)
    for i in range(3, 18, 4):
        expected[i] = values[i + 1] - i + 3
    assert np.array_equal(_both(hcl.create_schedule([a], top), values), expected)


def test_window_and_line_buffer() -> None:
    """3x3 windows of a padded frame by explicit line buffer and window: the pattern of every convolution stage."""
    height, width = 5, 7
    a = hcl.placeholder((height, width), "A", hcl.UInt(4))

    def top(a: Any) -> Any:
        line, window = alloc((2, width + 2), "line", hcl.UInt(4)), alloc((3, 3), "window", hcl.UInt(4))
        out = alloc((height, width), "out", hcl.UInt(8))
        with hcl.for_(0, height + 2, tag="conv", name="y") as y, hcl.for_(0, width + 2, name="x") as x:
            pixel = hcl.scalar(0, "pixel", hcl.UInt(4))
            with hcl.if_(hcl.and_(y >= 1, y < height + 1, x >= 1, x < width + 1)):
                pixel.v = a[y - 1, x - 1]
            with hcl.for_(0, 3, name="r") as r, hcl.for_(0, 2, name="c") as c:
                window[r, c] = window[r, c + 1]
            window[0, 2] = line[0, x]
            window[1, 2] = line[1, x]
            window[2, 2] = pixel.v
            line[0, x] = line[1, x]
            line[1, x] = pixel.v
            total = hcl.scalar(0, "total", hcl.UInt(8))
            with hcl.for_(0, 3, name="r") as r, hcl.for_(0, 3, name="c") as c:
                total.v += window[r, c]
            with hcl.if_(hcl.and_(y >= 2, x >= 2)):
                out[y - 2, x - 2] = total.v
        return out

    frame = np.random.default_rng(5).integers(0, 16, (height, width))
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(frame, 1), (3, 3))
    s = hcl.create_schedule([a], top)
    assert np.array_equal(_both(s, frame), windows.sum((2, 3)))


def test_inputs_that_are_stored_into_are_outputs() -> None:
    a, b = (hcl.placeholder((4,), name, hcl.Int(8)) for name in "AB")

    def top(a: Any, b: Any) -> None:
        with hcl.for_(0, 4, tag="t") as i:
            b[i] = a[i] + 1

    given = [hcl.asarray(np.arange(4), hcl.Int(8)), hcl.asarray(np.zeros(4), hcl.Int(8))]
    hcl.build(hcl.create_schedule([a, b], top))(*given)
    assert given[1].asnumpy().tolist() == [1, 2, 3, 4]


def test_arrays_wrap_into_their_type() -> None:
    assert hcl.asarray(np.array([8, -9, 15]), hcl.Int(4)).asnumpy().tolist() == [-8, 7, -1]
    large = [2**64 - 1, 2**63]
    assert hcl.asarray(np.array(large, np.uint64), hcl.UInt(64)).asnumpy().tolist() == large
    assert hcl.asarray(np.array([*large, -1], object), hcl.UInt(64)).asnumpy().tolist() == [*large, 2**64 - 1]
    assert hcl.asarray(np.array([-1]), hcl.UInt(12)).asnumpy().dtype == np.uint16


def test_wide_products_up_to_128_bits() -> None:
    rng = np.random.default_rng(6)
    a, b = (rng.integers(-(2**62), 2**62, 50) for _ in range(2))
    body = lambda x, y: (x * y) >> 64  # noqa: E731
    s = elementwise([hcl.Int(64), hcl.Int(64)], hcl.Int(64), body, 50)
    assert _both(s, a, b).tolist() == [(int(x) * int(y)) >> 64 for x, y in zip(a, b, strict=True)]


def test_names_are_made_unique() -> None:
    a = hcl.placeholder((4,), "x", hcl.Int(8))

    def top(a: Any) -> Any:
        def body(i: Any) -> Any:
            first = hcl.scalar(a[i], "x", hcl.Int(8))
            second = hcl.scalar(first.v + 1, "x", hcl.Int(8))
            return first.v + second.v

        return hcl.compute((4,), body, "y", dtype=hcl.Int(8))

    assert _both(hcl.create_schedule([a], top), np.arange(4)).tolist() == [1, 3, 5, 7]


def test_comments_reach_the_printed_code() -> None:
    a = hcl.placeholder((4,), "A", hcl.Int(8))

    def top(a: Any) -> Any:
        hold = alloc((2,), "hold", hcl.Int(8), doc="the previous element")
        r = alloc((4,), "R", hcl.Int(8))
        note("a stage of its own")
        with hcl.for_(0, 4, tag="t", name="i") as i:
            r[i] = hold[0]
            note("remember it")
            hold[0] = a[i]
        return r

    s = hcl.create_schedule([a], top)
    for text in (hcl.build(s, target="vhls"), hcl.build(s).source):
        for comment in ("// the previous element", "// a stage of its own", "// remember it"):
            assert comment in text


def test_vitis_compares_signed_with_unsigned_exactly(tmp_path: Path) -> None:
    """`ap_int` itself compares a negative number with an unsigned one of its width as C does."""
    body = lambda a, b: (a < b) + 2 * (a == b)  # noqa: E731
    s = elementwise([hcl.Int(45), hcl.UInt(45)], hcl.Int(4), body, 4)
    a, b = [-1, -1, 5, 2**44 - 1], [1, 2**45 - 1, 5, 2**44 - 1]
    main = f"""int main() {{
    ap_int<45> a[] = {{{", ".join(f"{v}LL" for v in a)}}}; ap_uint<45> b[] = {{{", ".join(f"{v}LL" for v in b)}}};
    ap_int<4> c[4]; top(a, b, c); for (auto &v : c) printf("%d\\n", (int)v); }}"""
    expected = [int(x < y) + 2 * int(x == y) for x, y in zip(a, b, strict=True)]
    assert run_ap(tmp_path, hcl.build(s, target="vhls"), main) == expected
    assert _both(s, np.array(a), np.array(b)).tolist() == expected


def test_long_chains_are_broken_into_named_values() -> None:
    def body(a: Any) -> Any:
        total = a
        for _ in range(150):
            total = hcl.cast(hcl.Int(16), total) + a
        return total

    values = np.arange(-128, 128)
    s = elementwise([hcl.Int(8)], hcl.Int(16), body, values.size)
    assert _both(s, values).tolist() == _wrap(151 * values, hcl.Int(16))
    assert max(map(len, hcl.build(s).source.splitlines())) < 1000
