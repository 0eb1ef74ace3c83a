"""Streams: what is proved of them before they are made, and what the simulator finds when they run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hcl_programs import run

from hls.heterocl import alloc, dataflow_regions, hcl
from hls.heterocl.errors import StageError
from hls.heterocl.lower import lower
from hls.heterocl.schedule import Schedule
from hls.heterocl.simulate import simulate

H, W = 4, 6
WORD = hcl.UInt(8)


def _two_stages(write: Callable[[Any, Any], None], read: Callable[[Any], Any]) -> Schedule:
    """A -> `write` into M -> `read` M into R, joined by a stream."""
    a = hcl.placeholder((H, W), "A", WORD)
    made: dict[str, Any] = {}

    def top(a: Any) -> Any:
        m = made["M"] = alloc((H, W), "M", WORD)
        write(a, m)
        return read(m)

    s = hcl.create_schedule([a], top)
    dataflow_regions(s, [(made["M"], s[top.read], 2)], [[s[top.write]], [s[top.read]]])  # type: ignore[attr-defined]
    return s


def _copy(a: Any, m: Any) -> None:
    def body(y: Any, x: Any) -> None:
        m[y, x] = a[y, x]

    hcl.mutate((H, W), body, "write")


def _take(m: Any) -> Any:
    return hcl.compute((H, W), lambda y, x: m[y, x] + 1, "read", dtype=WORD)


def _read_transposed(m: Any) -> Any:
    return hcl.compute((W, H), lambda x, y: m[y, x], "read", dtype=WORD)


def _read_twice(m: Any) -> Any:
    return hcl.compute((H, W), lambda y, x: m[y, x] + m[y, x], "read", dtype=WORD)


def _read_in_inner_loop(m: Any) -> Any:
    r = alloc((H, W), "R", WORD)
    with hcl.for_(0, H, tag="read", name="y") as y, hcl.for_(0, W, name="x") as x, hcl.for_(0, 3, name="k"):
        v = hcl.scalar(m[y, x], "v", WORD)
        r[y, x] = v.v
    return r


def _read_once_in_inner_loop(m: Any) -> Any:
    r, hold = alloc((H, W), "R", WORD), alloc((2,), "hold", WORD)
    with hcl.for_(0, H, tag="read", name="y") as y, hcl.for_(0, W, name="x") as x, hcl.for_(0, 3, name="k") as k:
        with hcl.if_(k == 0):
            hold[0] = m[y, x]
        with hcl.if_(k == 2):
            r[y, x] = hold[0] + k
    return r


def _read_on_data(m: Any) -> Any:
    def body(y: Any, x: Any) -> Any:
        v = hcl.scalar(0, "v", WORD)
        with hcl.if_(v.v == 0):
            v.v = m[y, x]
        return v.v

    return hcl.compute((H, W), body, "read", dtype=WORD)


def _read_half(m: Any) -> Any:
    return hcl.compute((H // 2, W), lambda y, x: m[y, x], "read", dtype=WORD)


def _read_in_two_branches(m: Any) -> Any:
    def body(y: Any, x: Any) -> Any:
        v = hcl.scalar(0, "v", WORD)
        with hcl.if_(x < 2):
            v.v = m[y, x]
        with hcl.else_():
            v.v = m[y, x] + 1
        return v.v

    return hcl.compute((H, W), body, "read", dtype=WORD)


def _select_around_the_read(m: Any) -> Any:
    def body(y: Any, x: Any) -> Any:
        return hcl.select(hcl.and_(x >= 2, m[y, x] >= 0), 7, 9)

    return hcl.compute((H, W), body, "read", dtype=WORD)


def _select_of_the_read(m: Any) -> Any:
    return hcl.compute((H, W), lambda y, x: hcl.select(x < 3, m[y, x], 1), "read", dtype=WORD)


def _drop(m: Any) -> Any:
    def body(y: Any, x: Any) -> Any:
        return (m[y, x] & 0) + y + x

    return hcl.compute((H, W), body, "read", dtype=WORD)


def _write_rows_backwards(a: Any, m: Any) -> None:
    def body(y: Any, x: Any) -> None:
        m[H - 1 - y, x] = a[y, x]

    hcl.mutate((H, W), body, "write")


REFUSED = {
    "transposed": (_copy, _read_transposed, r"out of raster order: access number 1 is to \(1, 0\), not to \(0, 1\)"),
    "twice": (_copy, _read_twice, "48 times a frame; it has 24 elements"),
    "inner loop": (_copy, _read_in_inner_loop, "again in each iteration of k"),
    "on data": (_copy, _read_on_data, "under a condition on data"),
    "half": (_copy, _read_half, "12 times a frame; it has 24"),
    "backwards": (_write_rows_backwards, _take, "stage write writes stream M out of raster order"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    write, read, message = REFUSED[name]
    with pytest.raises(StageError, match=message):
        lower(_two_stages(write, read))


@pytest.mark.parametrize(
    ("read", "expected"),
    [
        (_take, lambda a: a + 1),
        (_read_once_in_inner_loop, lambda a: a + 2),
        (_read_in_two_branches, lambda a: a + (np.arange(W) >= 2)),
        (_select_around_the_read, lambda a: np.where(np.arange(W) >= 2, 7, 9) + 0 * a),
        (_select_of_the_read, lambda a: np.where(np.arange(W) < 3, a, 1)),
        (_drop, lambda a: np.add.outer(np.arange(H), np.arange(W))),
    ],
    ids=["once", "guarded inner loop", "two branches", "and", "select", "not needed"],
)
def test_accepted(read: Callable[[Any], Any], expected: Callable[[Any], Any]) -> None:
    s = _two_stages(_copy, read)
    frame = np.arange(H * W).reshape(H, W)
    assert np.array_equal(run(s, frame)[0], expected(frame))
    assert np.array_equal(simulate(lower(s), frame, np.zeros((H, W))).arrays[1], expected(frame))
    # C++ may skip neither operand of a read: it stands in a statement of its own where ?: or && could
    taken = [line for line in hcl.build(s).source.splitlines() if "M.read()" in line]
    assert taken
    assert not any("?" in line or "&&" in line for line in taken)


def test_argument_read_by_two_stages() -> None:
    a = hcl.placeholder((H, W), "A", hcl.Int(8))

    def top(a: Any) -> Any:
        m = hcl.compute((H, W), lambda y, x: a[y, x], "m", dtype=hcl.Int(8))
        return hcl.compute((H, W), lambda y, x: m[y, x] + a[y, x], "r", dtype=hcl.Int(8))

    s = hcl.create_schedule([a], top)
    s.dataflow_regions([(top.m, s[top.r], 2)], [[s[top.m]], [s[top.r]]])  # type: ignore[attr-defined]
    with pytest.raises(StageError, match="argument A is used by m, r"):
        lower(s)


def _residual(depth: int) -> Schedule:
    """x + (x delayed by a row): the short branch must hold W elements while the long one fills its line buffer."""
    a = hcl.placeholder((H, W), "A", WORD)
    made: dict[str, Any] = {}

    def top(a: Any) -> Any:
        short, long, late = (alloc((H, W), name, WORD) for name in ("near", "far", "late"))
        made.update(near=short, far=long, late=late)

        def fork(y: Any, x: Any) -> None:
            v = hcl.scalar(a[y, x], "v", WORD)
            short[y, x] = v.v
            long[y, x] = v.v

        hcl.mutate((H, W), fork, "fork")
        line = alloc((W,), "line", WORD)
        with hcl.for_(0, H + 1, tag="delay", name="y") as y, hcl.for_(0, W, name="x") as x:
            with hcl.if_(y >= 1):
                late[y - 1, x] = line[x]
            with hcl.if_(y < H):
                line[x] = long[y, x]
        return hcl.compute((H, W), lambda y, x: short[y, x] + late[y, x], "add", dtype=hcl.Int(9))

    s = hcl.create_schedule([a], top)
    stage = {name: s[getattr(top, name)] for name in ("fork", "delay", "add")}
    links = [(made["near"], stage["add"], depth), (made["far"], stage["delay"], 1), (made["late"], stage["add"], 1)]
    s.dataflow_regions(links, [[st] for st in stage.values()])
    return s


def test_shallow_stream_deadlocks() -> None:
    frame = np.arange(H * W).reshape(H, W)
    with pytest.raises(StageError, match=f"deadlock: .*'near' needs depth {W - 1}, has 3"):
        simulate(lower(_residual(3)), frame, np.zeros((H, W)))
    result = simulate(lower(_residual(3)), frame, np.zeros((H, W)), bounded=False)
    needed = result.peaks["near"]
    bounded = simulate(lower(_residual(W + 2)), frame, np.zeros((H, W)))
    assert np.array_equal(bounded.arrays[1], 2 * frame)
    assert np.array_equal(run(_residual(3), frame)[0], 2 * frame)  # natively each stream holds a frame
    assert needed >= W


def test_streams_without_outlining() -> None:
    a = hcl.placeholder((H, W), "A", hcl.Int(8))

    def top(a: Any) -> Any:
        m = hcl.compute((H, W), lambda y, x: a[y, x] + 1, "m", dtype=hcl.Int(8))
        return hcl.compute((H, W), lambda y, x: m[y, x] * 2, "r", dtype=hcl.Int(8))

    s = hcl.create_schedule([a], top)
    s.to(top.m, s[top.r], fifo_depth=4)  # type: ignore[attr-defined]
    frame = np.arange(H * W).reshape(H, W)
    assert np.array_equal(run(s, frame)[0], (frame + 1) * 2)
    text = hcl.build(s, target="vhls")
    assert "#pragma HLS stream variable=m depth=4" in text
    assert "m.write(A.read() + 1);" in text


def test_arrays_between_functions_without_dataflow() -> None:
    a = hcl.placeholder((H, W), "A", hcl.Int(8))

    def top(a: Any) -> Any:
        m = hcl.compute((H, W), lambda y, x: a[y, x] + 1, "m", dtype=hcl.Int(8))
        return hcl.compute((W, H), lambda x, y: m[y, x], "r", dtype=hcl.Int(8))

    s = hcl.create_schedule([a], top)
    s.outline(s[top.m], s[top.r])  # type: ignore[attr-defined]
    frame = np.arange(H * W).reshape(H, W)
    assert np.array_equal(run(s, frame)[0], (frame + 1).T)
    assert "static void r(const ap_int<8> m_data[4][6], ap_int<8> r_data[6][4]) {" in hcl.build(s, target="vhls")
