"""Streams that constants say when to write to: where a constant memory is read by loop variables, all is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hls.heterocl import alloc, dataflow_regions, hcl
from hls.heterocl.errors import StageError
from hls.heterocl.lower import lower
from hls.heterocl.schedule import Schedule
from hls.heterocl.simulate import simulate

ROWS, KEPT, COLUMNS = 6, 4, 3
WORD = hcl.UInt(8)


def _chosen(rows: list[int], cast: int = 8) -> Schedule:
    """Row y of A goes to row ``rows[y]`` of M, a stream, unless that lies outside; R is M."""
    a = hcl.placeholder((ROWS, COLUMNS), "A", WORD)
    made: dict[str, Any] = {}

    def top(a: Any) -> Any:
        m = made["M"] = alloc((KEPT, COLUMNS), "M", WORD)
        place = hcl.const_tensor(rows, "place", hcl.Int(8))
        with hcl.for_(0, ROWS, tag="write", name="y") as y, hcl.for_(0, COLUMNS, name="c") as c:
            v = hcl.scalar(a[y, c], "v", WORD)
            with hcl.if_(hcl.and_(hcl.cast(hcl.Int(cast), place[y]) >= 0, place[y] < KEPT)):
                m[place[y], c] = v.v
        r = alloc((KEPT, COLUMNS), "R", WORD)
        with hcl.for_(0, KEPT, tag="read", name="y") as y, hcl.for_(0, COLUMNS, name="c") as c:
            r[y, c] = m[y, c]
        return r

    s = hcl.create_schedule([a], top)
    dataflow_regions(s, [(made["M"], s[top.read], 2)], [[s[top.write]], [s[top.read]]])  # type: ignore[attr-defined]
    return s


@pytest.mark.parametrize(
    ("rows", "taken"),
    [
        ([0, 4, 1, 2, 4, 3], [0, 2, 3, 5]),
        ([-1, 0, 1, 2, 3, 100], [1, 2, 3, 4]),
        ([0, 1, -4, 2, 3, 9], [0, 1, 3, 4]),
    ],
)
def test_written_where_constants_say(rows: list[int], taken: list[int]) -> None:
    a = np.arange(ROWS * COLUMNS).reshape(ROWS, COLUMNS)
    got = simulate(lower(_chosen(rows)), a, np.zeros((KEPT, COLUMNS), np.int64)).arrays[1]
    assert np.array_equal(got, a[taken])


@pytest.mark.parametrize(
    ("rows", "cast", "message"),
    [
        ([0, 2, 1, 3, 4, 4], 8, r"out of raster order: access number 3 is to \(2, 0\), not to \(1, 0\)"),
        ([0, 1, 2, 4, 4, 4], 8, "9 times a frame; it has 12 elements"),
        ([0, 1, 2, 3, 3, 4], 8, "15 times a frame; it has 12 elements"),
        ([0, 1, 2, 3, 4, 4], 2, "6 times a frame; it has 12 elements"),  # in two bits 2 and 3 are negative
    ],
)
def test_not_in_order(rows: list[int], cast: int, message: str) -> None:
    with pytest.raises(StageError, match=message):
        lower(_chosen(rows, cast=cast))
