"""Loops that only sum run in machine vectors: same results as the program's, and only where that is certain."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hcl_programs import elementwise, run
from xdsl.context import Context

from hls.heterocl import alloc, hcl
from hls.heterocl.lower import lower
from hls.heterocl.passes.lanes import LaneSums
from hls.heterocl.printers import print_native
from hls.heterocl.schedule import Schedule
from hls.heterocl.simulate import simulate
from hls.heterocl.types import DType

Body = Callable[..., None]


def program(lanes: int, bits: int, body: Body, store: DType, data: DType, weights: DType, seed: int = 0) -> Schedule:
    """For each of 5 positions and 6 outputs: `sums[bit]` is what `body` adds over the lanes; their total is kept."""
    shape, values = (6, lanes), np.random.default_rng(seed)
    table = values.integers(weights.lo, weights.hi + 1, shape)
    a = hcl.placeholder((5, lanes), "A", data)

    def top(a: Any) -> Any:
        rom = hcl.const_tensor(table, "rom", weights)
        sums, c = alloc((bits,), "sums", store), alloc((5, 6), "C", hcl.Int(34))
        with hcl.for_(0, 5, tag="stage", name="p") as p, hcl.for_(0, 6, name="q") as q:
            with hcl.for_(0, bits, name="bit") as bit:
                sums[bit] = bit + 1
            body(a, rom, sums, p, q)
            total = hcl.scalar(0, "total", hcl.Int(34))
            with hcl.for_(0, bits, name="bit") as bit:
                total.v = total.v + sums[bit]
            c[p, q] = total.v
        return c

    return hcl.create_schedule([a], top)


def check(schedule: Schedule, seed: int = 0) -> str:
    """The native program, which gives what the program gives, and the rewritten one too."""
    module, (a,) = lower(schedule), schedule.inputs
    frame = np.random.default_rng(seed).integers(a.dtype.lo, a.dtype.hi, a.shape, endpoint=True)
    outputs = [np.zeros(t.shape, np.int64) for t in schedule.outputs]
    expected = simulate(module, frame, *outputs).arrays[1:]
    rewritten = module.clone()
    LaneSums().apply(Context(), rewritten)
    rewritten.verify()
    text = print_native(module)
    for name, got in (("rewritten", simulate(rewritten, frame, *outputs).arrays[1:]), ("native", run(schedule, frame))):
        for have, want in zip(got, expected, strict=True):
            assert np.array_equal(have, want), f"{name}:\n{text}"
    return text


def planes(lanes: int, bits: int) -> Body:
    """Adds the value of each lane to the plane of each bit that the weight has."""

    def body(a: Any, rom: Any, sums: Any, p: Any, q: Any) -> None:
        with hcl.for_(0, lanes, name="d") as d:
            value = hcl.scalar(a[p, d], "value", a.dtype)
            with hcl.for_(0, bits, name="bit") as bit:
                sums[bit] = sums[bit] + hcl.select(((rom[q, d] >> bit) & 1) > 0, value.v, 0)

    return body


def test_the_text_of_a_loop_in_lanes() -> None:
    text = check(program(16, 2, planes(16, 2), hcl.Int(9), hcl.Int(4), hcl.Int(3)))
    start = text.index("            for (int bit = 0; bit < 2; ++bit) {\n                int32_t sums_part")
    assert text[start : text.index("            int64_t total")] == LOOP
    assert FILL in text


FILL = """\
    for (int q = 0; q < 6; ++q) {
        for (int bit = 0; bit < 2; ++bit) {
            for (int d = 0; d < 16; ++d) {
                term_mask[q][bit][d] = ((rom[q][d] >> bit) & 1) > 0 ? -1 : 0;
            }
        }
    }
"""
LOOP = """\
            for (int bit = 0; bit < 2; ++bit) {
                int32_t sums_part = 0;
                hls_native::lanes<int8_t, 16> sums_part_lanes = {};
                for (int d = 0; d < 16; d += 16) {
                    sums_part_lanes += hls_native::load<16>(&value[d]) & hls_native::load<16>(&term_mask[q][bit][d]);
                }
                sums_part += hls_native::sum(sums_part_lanes);
                sums[bit] = sint<9>(int64_t(sums[bit]) + sums_part);
            }
"""


@pytest.mark.parametrize("lanes", [4, 7, 8, 15, 16, 24, 33, 64])
@pytest.mark.parametrize(("store", "data", "element"), [(5, 3, "int8_t"), (12, 11, "int16_t"), (31, 24, "int32_t")])
def test_every_width_and_rest(lanes: int, store: int, data: int, element: str) -> None:
    text = check(program(lanes, 3, planes(lanes, 3), hcl.Int(store), hcl.Int(data), hcl.Int(4)), lanes)
    assert f"lanes<{element}," in text or "lanes<int16_t, 4>" in text or "lanes<int32_t," in text


def _tree(
    rng: random.Random, leaves: Sequence[Callable[[], Any]], tests: Sequence[Callable[[], Any]], depth: int
) -> Any:
    if not depth:
        return rng.choice(leaves)()
    a, b = (_tree(rng, leaves, tests, depth - 1) for _ in range(2))
    kinds: tuple[Callable[[], Any], ...] = (
        *([lambda: hcl.select(rng.choice(tests)(), a, b)] * 3),
        lambda: hcl.select(rng.choice(tests)(), a, 0),
        lambda: hcl.cast(hcl.Int(8), a + b),
        lambda: hcl.cast(hcl.Int(8), a - b),
        lambda: a ^ b,
        lambda: a & b,
        lambda: a | b,
    )
    return rng.choice(kinds)()


def test_random_sums() -> None:
    texts = [_random(seed) for seed in range(24)]
    assert 8 < sum("hls_native::lanes<" in text for text in texts) < 24, "both ways of printing a loop have to be met"


def _random(seed: int) -> str:
    rng = random.Random(seed)
    lanes, store = rng.choice((4, 8, 12, 16, 19, 32)), rng.choice((hcl.Int, hcl.UInt))(rng.randint(2, 16))
    data, weights = (rng.choice((hcl.Int, hcl.UInt))(rng.randint(1, 5)) for _ in range(2))

    def body(a: Any, rom: Any, sums: Any, p: Any, q: Any) -> None:
        def add(bit: Any, d: Any) -> None:
            leaves: list[Callable[[], Any]] = [
                lambda: hcl.cast(hcl.Int(6), a[p, d]),
                lambda: hcl.cast(hcl.Int(6), rom[q, d]),
                lambda: hcl.cast(hcl.Int(6), a[p, lanes - 1 - d]),
            ]
            tests: list[Callable[[], Any]] = [
                lambda: ((rom[q, d] >> bit) & 1) > 0,
                lambda: a[p, d] > 0,
                lambda: rom[q, lanes - 1 - d] >= a[p, d],
            ]
            for _ in range(rng.randint(1, 3)):
                term = _tree(rng, leaves, tests, rng.randint(0, 3))
                sums[bit] = sums[bit] - term if rng.random() < 0.3 else sums[bit] + term

        if rng.random() < 0.5:
            with hcl.for_(0, lanes, name="d") as d, hcl.for_(0, 3, name="bit") as bit:
                add(bit, d)
        else:
            with hcl.for_(0, 3, name="bit") as bit, hcl.for_(0, lanes, name="d") as d:
                add(bit, d)

    return check(program(lanes, 3, body, store, data, weights, seed), seed)


def plain(a: Any, rom: Any, sums: Any, p: Any, q: Any) -> None:
    with hcl.for_(0, 16, name="d") as d:
        sums[0] = sums[0] + hcl.select(rom[q, d] > 0, a[p, d], 0)


def ordered(a: Any, rom: Any, sums: Any, p: Any, q: Any) -> None:
    """The second sum sees how far the first one is."""
    with hcl.for_(0, 16, name="d") as d:
        sums[0] = sums[0] + hcl.select(rom[q, d] > 0, a[p, d], 0)
        sums[1] = sums[1] + hcl.select(sums[0] > 3, 1, 0)


def moving(a: Any, rom: Any, sums: Any, p: Any, q: Any) -> None:
    """What is summed is written in the loop."""
    seen = alloc((16,), "seen", a.dtype)
    with hcl.for_(0, 16, name="d") as d:
        seen[d] = a[p, d]
    with hcl.for_(0, 16, name="d") as d:
        sums[0] = sums[0] + hcl.select(rom[q, d] > 0, seen[d], 0)
        seen[d] = 1


def scattered(a: Any, rom: Any, sums: Any, p: Any, q: Any) -> None:
    """Another element in each iteration."""
    wide = alloc((16,), "wide", hcl.Int(8))
    with hcl.for_(0, 16, name="d") as d:
        wide[d] = 0
    with hcl.for_(0, 16, name="d") as d:
        wide[d] = wide[d] + hcl.select(rom[q, d] > 0, a[p, d], 0)
    sums[0] = wide[3]


def guarded(a: Any, rom: Any, sums: Any, p: Any, q: Any) -> None:
    """Not all iterations add, and those that do not would read outside of the memory."""
    with hcl.for_(0, 16, name="d") as d, hcl.if_(d < 15):
        sums[0] = sums[0] + hcl.select(rom[q, d + 1] > 0, a[p, d + 1], 0)


def nearly_guarded(a: Any, rom: Any, sums: Any, p: Any, q: Any) -> None:
    """The guard stands around the loop: a table filled before it would read outside of the memory."""
    with hcl.for_(0, 2, name="half") as half, hcl.if_(half < 1), hcl.for_(0, 16, name="d") as d:
        sums[0] = sums[0] + hcl.select(rom[q, half * 16 + d] > 0, a[p, half * 16 + d], 0)


def wrapped(a: Any, rom: Any, sums: Any, p: Any, q: Any) -> None:
    """A term that wraps before it is added, made of two that are used too seldom for tables."""
    with hcl.for_(0, 16, name="d") as d:
        sums[0] = sums[0] + hcl.cast(hcl.Int(2), rom[q, d] + a[p, d])


@pytest.mark.parametrize(
    ("body", "in_lanes"),
    [(plain, True), (ordered, False), (moving, False), (scattered, False), (guarded, False), (nearly_guarded, False),
     (wrapped, False)],
)  # fmt: skip
def test_only_where_it_is_certain(body: Body, in_lanes: bool) -> None:
    text = check(program(16, 2, body, hcl.Int(9), hcl.Int(4), hcl.Int(3)))
    assert ("hls_native::lanes<" in text) == in_lanes


def test_tables_follow_the_memories_they_read() -> None:
    """A memory that changes from position to position: its table is filled again, and only then."""
    a = hcl.placeholder((5, 16), "A", hcl.Int(4))

    def top(a: Any) -> Any:
        rom = hcl.const_tensor(np.arange(96).reshape(6, 16) % 7 - 3, "rom", hcl.Int(3))
        held, c = alloc((16,), "held", hcl.Int(5)), alloc((5, 6), "C", hcl.Int(12))
        with hcl.for_(0, 5, tag="stage", name="p") as p:
            with hcl.for_(0, 16, name="k") as k:
                with hcl.if_(p == 0):
                    held[k] = 0
                held[k] = a[p, k] - held[k]
            with hcl.for_(0, 6, name="q") as q:
                total = hcl.scalar(100, "total", hcl.Int(12))
                with hcl.for_(0, 16, name="d") as d:
                    total.v = total.v + hcl.select(rom[q, d] > 0, held[15 - d], 0)
                c[p, q] = total.v
        return c

    text = check(hcl.create_schedule([a], top))
    assert "hls_native::lanes<int8_t, 16>" in text
    assert text.index("term_mask[q][d] =") < text.index("for (int p =") < text.index("term[d] = held[-d + 15];")


def test_a_choice_of_nothing_has_no_branch() -> None:
    schedule = elementwise([hcl.Int(6)], hcl.Int(8), lambda a: hcl.select((a & 1) > 0, a + 1, 0), 8)
    assert "C[i] = hls_native::when((A0_value & 1) > 0, A0_value + 1);" in print_native(lower(schedule))
    values = np.arange(-4, 4)
    assert run(schedule, values)[0].tolist() == [value + 1 if value & 1 else 0 for value in values.tolist()]
