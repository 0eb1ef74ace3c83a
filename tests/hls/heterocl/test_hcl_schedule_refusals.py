"""Schedules that HeteroCL v0.5 rejects or gets wrong are refused, with a message that names what to write instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hls.heterocl import alloc, hcl
from hls.heterocl.errors import ScheduleError, StageError
from hls.heterocl.lower import lower
from hls.heterocl.schedule import Schedule

N = 8


def _statements(make: Callable[[Any], Any]) -> Schedule:
    a = hcl.placeholder((N,), "A", hcl.Int(8))
    return hcl.create_schedule([a], make)


def _pipeline_program(
    shape: tuple[int, ...] = (N,), dtype: Any = None, fork: bool = False
) -> tuple[Schedule, Any, Any]:
    """A -> first -> M -> second (-> and third, if `fork`) -> R."""
    a = hcl.placeholder(shape, "A", hcl.Int(8))
    made: dict[str, Any] = {}

    def top(a: Any) -> Any:
        made["W"] = hcl.const_tensor(np.arange(4), "W", hcl.Int(8))
        m = made["M"] = alloc(shape, "M", dtype or hcl.Int(8))

        def store(i: Any) -> None:
            m[i] = a[i]

        hcl.mutate(shape, store, "first")
        results = [hcl.compute(shape, lambda i: m[i] + 1, "second", dtype=hcl.Int(8))]
        if fork:
            results.append(hcl.compute(shape, lambda i: m[i] + 2, "third", dtype=hcl.Int(8)))
        return tuple(results)

    s = hcl.create_schedule([a], top)
    return s, top, made


def test_partition_of_a_constant() -> None:
    s, _, made = _pipeline_program()
    with pytest.raises(ScheduleError, match="pack the weights into wider words"):
        s.partition(made["W"], dim=1)


def test_partition_of_an_argument_or_a_missing_dimension() -> None:
    s, _, made = _pipeline_program()
    with pytest.raises(ScheduleError, match="only memories"):
        s.partition(s.inputs[0])
    with pytest.raises(ScheduleError, match="dim is 1-based"):
        s.partition(made["M"], dim=2)
    with pytest.raises(ScheduleError, match="factor of 2"):
        s.partition(made["M"], hcl.Partition.Cyclic, dim=1)


def test_second_stream_of_a_tensor() -> None:
    s, top, made = _pipeline_program(fork=True)
    s.to(made["M"], s[top.second])
    with pytest.raises(ScheduleError, match="one reader; write a fork stage"):
        s.to(made["M"], s[top.third])


def test_stream_fan_out() -> None:
    s, top, made = _pipeline_program(fork=True)
    s.to(made["M"], s[top.second])
    with pytest.raises(StageError, match="second and third; write a fork stage"):
        lower(s)


def test_stream_to_an_outlined_stage() -> None:
    s, top, made = _pipeline_program()
    s.outline(s[top.first], s[top.second])
    with pytest.raises(ScheduleError, match="dataflow_regions"):
        s.to(made["M"], s[top.second])


def test_stream_to_the_wrong_stage() -> None:
    s, top, made = _pipeline_program()
    s.to(made["M"], s[top.first])
    with pytest.raises(StageError, match="declared to stage first, but second reads it"):
        lower(s)


def test_unsigned_array_between_outlined_stages() -> None:
    s, top, _ = _pipeline_program(dtype=hcl.UInt(8))
    s.outline(s[top.first], s[top.second])
    with pytest.raises(StageError, match="use Int at array boundaries, or make it a stream"):
        lower(s)
    s, top, _ = _pipeline_program(dtype=hcl.Int(8))
    s.outline(s[top.first], s[top.second])
    lower(s)


def test_one_element_array_between_outlined_stages() -> None:
    s, top, _ = _pipeline_program(shape=(1,))
    s.outline(s[top.first], s[top.second])
    with pytest.raises(StageError, match=r"shape \(2,\)"):
        lower(s)


def test_outlined_twice() -> None:
    s, top, _ = _pipeline_program()
    s.outline(s[top.first])
    with pytest.raises(ScheduleError, match="outlined twice"):
        s.outline(s[top.first])


def test_reuse_at() -> None:
    s, top, made = _pipeline_program()
    with pytest.raises(ScheduleError, match="line buffer"):
        s.reuse_at(made["M"], s[top.second], 0)


def test_loops_under_if_are_not_scheduled() -> None:
    def program(a: Any) -> None:
        with hcl.for_(0, N, tag="t", name="i") as i:
            with hcl.if_(i > 0), hcl.for_(0, 2, name="k") as k:
                a[k] = 0
            with hcl.for_(0, 2, name="twice") as k:
                a[k] = 1
            with hcl.for_(0, 2, name="twice") as k:
                a[k] = 1

    s = _statements(program)
    loops: Any = program.t  # type: ignore[attr-defined]
    stage = s[loops]
    with pytest.raises(ScheduleError, match="compute always and guard only the store"):
        stage.unroll(loops.k)
    stage.unroll(loops.twice_0)
    assert [loop.name for loop in loops.axis] == ["i", "twice", "twice_0"]
    with pytest.raises(AttributeError, match="its loops are i, k, twice, twice_0"):
        _ = loops.w
    with pytest.raises(ScheduleError, match=r"pass an element of \.axis"):
        stage.pipeline("i")
    with pytest.raises(ScheduleError, match=r"pass an element of \.axis"):
        stage.pipeline(0)
    with pytest.raises(ScheduleError, match="at least 1"):
        stage.pipeline(loops.i, initiation_interval=0)


def test_a_loop_name_is_taken_once_in_a_program() -> None:
    def program(a: Any) -> None:
        for tag in ("t", "u", "w"):
            with hcl.for_(0, N, tag=tag, name="i") as i:
                a[i] = 0

    s = _statements(program)
    stages: list[Any] = [program.t, program.u, program.w]  # type: ignore[attr-defined]
    assert [stage.axis[0].name for stage in stages] == ["i", "i_0", "i_1"]
    with pytest.raises(AttributeError, match="the name was taken, it is called i_0"):
        _ = stages[1].i
    s[stages[2]].pipeline(stages[2].i_1)
    assert [stage.root.ii is not None for stage in stages] == [False, False, True]


def test_loops_of_a_compute_have_positions_only() -> None:
    def program(a: Any) -> Any:
        def body(i: Any) -> Any:
            v = hcl.scalar(0, "v", hcl.Int(8))
            with hcl.for_(0, 2, name="k") as k:
                v.v = v.v + k
            return v.v

        return hcl.compute((N,), body, "C", dtype=hcl.Int(8))

    s = _statements(program)
    stage: Any = program.C  # type: ignore[attr-defined]
    assert [loop.name for loop in stage.axis] == ["i"]
    s[stage].pipeline(0)
    with pytest.raises(AttributeError, match=r"loops of a compute or mutate are \.axis\[i\]"):
        s[stage].pipeline(stage.i)
    with pytest.raises(ScheduleError, match="no handle: write the stage as a tagged for_"):
        s[stage].unroll(stage.loops[1])


def test_a_loop_called_as_the_loops_that_scalars_are() -> None:
    def program(a: Any) -> None:
        for tag in ("t", "u"):
            with hcl.for_(0, N, tag=tag, name="x") as i:
                v = hcl.scalar(0, "v", hcl.Int(8))
                a[i] = v.v

    s = _statements(program)
    for stage in (program.t, program.u):  # type: ignore[attr-defined]
        with pytest.raises(ScheduleError, match="name it otherwise"):
            s[stage].pipeline(stage.axis[0])
