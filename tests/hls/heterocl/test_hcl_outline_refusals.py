"""What HeteroCL v0.5 loses or breaks when it outlines a stage, and where its C++ takes a sign wrong, is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hls.heterocl import alloc, dataflow_regions, hcl, loop_of
from hls.heterocl.errors import ScheduleError, StageError
from hls.heterocl.lower import lower
from hls.heterocl.schedule import Schedule
from hls.heterocl.simulate import simulate

N = 8
WORD = hcl.UInt(8)
Write = Callable[[Any, Any, Any], None]


def _program(write: Write, out: Any = WORD) -> Schedule:
    """A -> stage `t`, which runs `write(A, M, i)` for each i -> M -> stage `u` -> R; M is a stream."""
    a = hcl.placeholder((N,), "A", hcl.Int(16))
    made: dict[str, Any] = {}

    def top(a: Any) -> Any:
        m = made["M"] = alloc((N,), "M", out)
        r = alloc((N,), "R", hcl.Int(32))
        with hcl.for_(0, N, tag="t", name="i") as i:
            write(a, m, i)
        with hcl.for_(0, N, tag="u", name="i") as i:
            r[i] = hcl.cast(hcl.Int(32), m[i])
        return r

    s = hcl.create_schedule([a], top)
    stages = [s[getattr(top, tag)] for tag in ("t", "u")]
    dataflow_regions(s, [(made["M"], stages[1], 2)], [[stage] for stage in stages])
    return s


def _in_two_places(a: Any, m: Any, i: Any) -> None:
    v = hcl.scalar(a[i], "v", WORD)
    with hcl.if_(i < 4):
        m[i] = v.v
    with hcl.else_():
        m[i] = 0


def _never_read(a: Any, m: Any, i: Any) -> None:
    hcl.scalar(i, "unused", WORD)
    m[i] = a[i]


def _index_on_data(a: Any, m: Any, i: Any) -> None:
    line = alloc((N,), "line", WORD)
    v = hcl.scalar(a[i] & 7, "v", hcl.Int(8))
    line[i] = v.v
    m[i] = line[v.v]


REFUSED: dict[str, tuple[Write, str]] = {
    "two stores": (_in_two_places, "stage t stores to M in two places: .* decide the value first and store it once"),
    "unused scalar": (_never_read, "scalar unused of outlined stage t is never read"),
    "index on data": (_index_on_data, "stage t reads line at an index that depends on data"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_outlined_stages(name: str) -> None:
    write, message = REFUSED[name]
    with pytest.raises(StageError, match=message):
        lower(_program(write))


def test_a_target_is_not_read() -> None:
    a = hcl.placeholder((N,), "A", hcl.Int(16))

    def top(a: Any) -> Any:
        r = alloc((N,), "R", hcl.Int(16))
        with hcl.for_(0, N, tag="t", name="i") as i:
            r[i] = a[i]
            v = hcl.scalar(r[i], "v", hcl.Int(16))
            a[i] = v.v
        return r

    s = hcl.create_schedule([a], top)
    s.outline(s[top.t])  # type: ignore[attr-defined]
    with pytest.raises(StageError, match="stage t stores to A and reads it"):
        lower(s)


def test_a_memory_of_one_element_beside_an_outlined_stage() -> None:
    a = hcl.placeholder((N,), "A", hcl.Int(16))

    def top(a: Any) -> Any:
        r, last = alloc((N,), "R", hcl.Int(16)), alloc((1,), "last", hcl.Int(16))
        with hcl.for_(0, N, tag="t", name="i") as i:
            r[i] = last[0]
            last[0] = a[i]
        return r

    s = hcl.create_schedule([a], top)
    s.outline(s[top.t])  # type: ignore[attr-defined]
    with pytest.raises(StageError, match=r"last of shape \(1,\) is lost .* shape \(2,\)"):
        lower(s)


def test_a_constant_of_two_outlined_stages() -> None:
    a = hcl.placeholder((N,), "A", hcl.Int(16))

    def top(a: Any) -> Any:
        rom = hcl.const_tensor(np.arange(N), "rom", hcl.Int(8))
        m, r = (alloc((N,), name, hcl.Int(16)) for name in ("m", "r"))
        with hcl.for_(0, N, tag="t", name="i") as i:
            m[i] = a[i] + rom[i]
        with hcl.for_(0, N, tag="u", name="i") as i:
            r[i] = m[i] + rom[i]
        return r

    s = hcl.create_schedule([a], top)
    s.outline(s[top.t], s[top.u])  # type: ignore[attr-defined]
    with pytest.raises(StageError, match="constant rom is read by two outlined stages"):
        lower(s)


def test_a_constant_may_be_indexed_by_data() -> None:
    a = hcl.placeholder((N,), "A", hcl.Int(16))

    def top(a: Any) -> Any:
        squares = hcl.const_tensor(np.arange(N) ** 2, "squares", hcl.Int(8))
        r = alloc((N,), "R", hcl.Int(16))
        with hcl.for_(0, N, tag="t", name="i") as i:
            v = hcl.scalar(a[i] & 7, "v", hcl.Int(8))
            r[i] = squares[v.v]
        return r

    s = hcl.create_schedule([a], top)
    s.outline(s[top.t])  # type: ignore[attr-defined]
    frame = np.arange(N) + 3
    assert simulate(lower(s), frame, np.zeros(N)).arrays[1].tolist() == [(v & 7) ** 2 for v in frame]


# -- signs ----------------------------------------------------------------------------------------------------------

U4, I16 = hcl.UInt(4), hcl.Int(16)


def _store(expression: Callable[[Any], Any]) -> Write:
    def write(a: Any, m: Any, i: Any) -> None:
        v = hcl.scalar(a[i], "v", I16)
        m[i] = expression(v)

    return write


def _held(v: Any) -> Any:
    return hcl.scalar(v.v, "held", U4).v


WRONG_SIGNS: dict[str, Callable[[Any], Any]] = {
    "widened": lambda v: hcl.cast(U4, v.v) + 0,
    "stored wider": lambda v: hcl.cast(U4, v.v),
    "compared": lambda v: hcl.cast(U4, v.v) > hcl.cast(U4, v.v >> 4),
    "shifted right": lambda v: hcl.cast(U4, v.v) >> 1,
    "select": lambda v: hcl.select(v.v > 0, hcl.cast(U4, v.v), hcl.cast(U4, v.v >> 4)) + 0,
    "same width": lambda v: hcl.cast(hcl.Int(4), _held(v) >> 0) + 0,
    "left shift": lambda v: (v.v << 1) + 0,
}
RIGHT_SIGNS: dict[str, Callable[[Any], Any]] = {
    "scalar": lambda v: _held(v) + 0,
    "spare bit": lambda v: hcl.cast(hcl.UInt(5), v.v & 15) + 0,
    "scalar of a known range": lambda v: hcl.cast(hcl.UInt(5), hcl.scalar(v.v & 15, "w", hcl.UInt(5)).v) + 0,
    "truncated": lambda v: hcl.cast(hcl.Int(4), v.v) + 0,
    "added in the width": lambda v: hcl.cast(WORD, v.v) | hcl.cast(WORD, v.v >> 2),
}


@pytest.mark.parametrize("name", WRONG_SIGNS)
def test_signs_that_are_wrong_in_the_real_text(name: str) -> None:
    with pytest.raises(StageError, match=r"stage t widens, compares or shifts a U?Int\(\d+\) made by a cast or select"):
        lower(_program(_store(WRONG_SIGNS[name])))


@pytest.mark.parametrize("name", RIGHT_SIGNS)
def test_signs_that_are_right(name: str) -> None:
    lower(_program(_store(RIGHT_SIGNS[name])))


# -- the loop that a pragma goes to ---------------------------------------------------------------------------------


def test_loop_of() -> None:
    a = hcl.placeholder((N,), "A", hcl.Int(16))

    def top(a: Any) -> None:
        for tag, groups in (("t", 1), ("u", 2), ("w", 1)):
            extents = (1, groups) if tag == "w" else (4, groups)
            with hcl.for_(0, extents[0], tag=tag, name="i") as i, hcl.for_(0, extents[1], name="g") as g:
                a[i + g] = 0

    hcl.create_schedule([a], top)
    names = [loop_of(getattr(top, tag), "g").name for tag in ("t", "u", "w")]
    assert names == ["i", "g_0", "i_1"]  # t: g runs once; w: so does i, which is the last resort
    with pytest.raises(ScheduleError, match="stage t has 0 loops that are called k"):
        loop_of(top.t, "k")  # type: ignore[attr-defined]
