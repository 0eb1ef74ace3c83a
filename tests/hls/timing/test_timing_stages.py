"""Cycles from the IR: hand-written loop nests by the rules of the HLS tool, and every generator against its formula."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from xdsl.dialects.func import FuncOp

sys.path.insert(0, str(Path(__file__).parents[1] / "layers"))

from design_runs import assert_cycles, folded
from layer_graphs import Sketch, activations, random_layer

from hls.heterocl import alloc, hcl
from hls.heterocl import dialect as ir
from hls.heterocl.errors import StageError
from hls.heterocl.lower import lower
from hls.heterocl.passes.common import functions
from hls.program import schedule
from hls.timing import network_of, stage_cycles
from ir.graph import Graph

WORD = hcl.UInt(8)


def lowered(write: Callable[[Any, Any], None], annotate: Callable[[Any, Any], None] | None = None) -> FuncOp:
    """The stage ``s``, which reads a (4, 6) from a stage before it and writes b (4, 6) to one behind it."""
    hcl.init(hcl.Int(32))
    a = hcl.placeholder((4, 6), "A", hcl.Int(8))
    made: dict[str, Any] = {}

    def top(a: Any) -> Any:
        made["x"], made["y"] = alloc((4, 6), "x", WORD), alloc((4, 6), "y", WORD)
        hcl.mutate((4, 6), lambda i, j: _put(made["x"], (i, j), a[i, j]), "before")
        write(made["x"], made["y"])
        return hcl.compute((4, 6), lambda i, j: made["y"][i, j], "after", dtype=hcl.Int(8))

    s = hcl.create_schedule([a], top)
    if annotate is not None:
        annotate(s[top.s], top.s)  # type: ignore[attr-defined]
    stages = [s[getattr(top, name)] for name in ("before", "s", "after")]
    s.dataflow_regions([(made["x"], stages[1], 2), (made["y"], stages[2], 2)], [[stage] for stage in stages])
    module = lower(s)
    return next(f for f in functions(module) if f.sym_name.data == "s")


def _put(tensor: Any, index: tuple[Any, ...], value: Any) -> None:
    tensor[index] = value


def perfect(x: Any, y: Any) -> None:
    with hcl.for_(0, 4, tag="s", name="i") as i, hcl.for_(0, 6, name="j") as j:
        y[i, j] = x[i, j]


def two_nests(x: Any, y: Any) -> None:
    row = alloc((6,), "row", WORD)
    with hcl.for_(0, 4, tag="s", name="i") as i:
        with hcl.for_(0, 6, name="j") as j:
            row[j] = x[i, j]
        with hcl.for_(0, 6, name="k") as k:
            y[i, k] = row[k]


def inner_sum(x: Any, y: Any) -> None:
    with hcl.for_(0, 4, tag="s", name="i") as i, hcl.for_(0, 6, name="j") as j:
        total = hcl.scalar(x[i, j], "total", dtype=WORD)
        with hcl.for_(0, 5, name="n"):
            total.v = total.v + 1
        y[i, j] = total.v


def nothing(stage: Any, handle: Any) -> None:
    pass


@pytest.mark.parametrize(
    ("write", "annotate", "cycles", "with_gaps"),
    [
        (perfect, nothing, 24, 34),  # innermost loops are pipelined without being told to
        (perfect, lambda s, h: s.pipeline(h.j), 24, 34),
        (perfect, lambda s, h: s.pipeline(h.j, 3), 72, 82),
        (perfect, lambda s, h: s.unroll(h.j, 2), 12, 22),
        (two_nests, nothing, 48, 48 + 4 * 20 + 10),  # a row in, then a row out; a gap behind each
        (two_nests, lambda s, h: s.pipeline(h.j, 2), 72, 72 + 4 * 20 + 10),
        (inner_sum, lambda s, h: s.pipeline(h.j), 24, 34),  # what a pipelined loop holds is unrolled
        (inner_sum, lambda s, h: s.unroll(h.n), 24, 34),
        (inner_sum, nothing, 24 * (5 + 2), 24 * (5 + 2 + 10) + 10),  # a word in, five additions, a word out
    ],
)
def test_cycles_of_loop_nests(
    write: Callable[[Any, Any], None], annotate: Callable[[Any, Any], None], cycles: int, with_gaps: int
) -> None:
    function = lowered(write, annotate)
    assert stage_cycles(function) == cycles
    assert stage_cycles(function, gap=10) == with_gaps


def events(write: Callable[[Any, Any], None], annotate: Callable[[Any, Any], None]) -> tuple[list[int], list[int]]:
    """The cycles in which stage ``s`` reads and in which it writes."""
    module = lowered(write, annotate).parent_op()
    process = next(p for p in network_of(module).processes if p.name == "s")  # type: ignore[arg-type]
    due, touched = np.asarray(process.cycles), np.asarray(process.events)
    assert np.all(np.diff(due) >= 0)
    return due[touched < 0].tolist(), due[touched > 0].tolist()


def test_the_cycle_of_each_event() -> None:
    assert events(perfect, lambda s, h: s.pipeline(h.j, 2)) == (list(range(0, 48, 2)), list(range(0, 48, 2)))
    reads, writes = events(two_nests, nothing)
    assert reads == [12 * i + j for i in range(4) for j in range(6)]
    assert writes == [12 * i + 6 + j for i in range(4) for j in range(6)]
    reads, writes = events(inner_sum, nothing)
    assert reads == list(range(0, 7 * 24, 7)) and writes == list(range(6, 7 * 24, 7))


def test_two_reads_in_an_iteration_are_refused() -> None:
    with pytest.raises(StageError, match=r"stage s reads stream x 6 times in one iteration"):
        events(perfect, lambda s, h: s.pipeline(h.i))


def test_data_must_not_decide_whether_a_stream_is_touched() -> None:
    def guarded(x: Any, y: Any) -> None:
        with hcl.for_(0, 5, tag="s", name="i") as i, hcl.for_(0, 6, name="j") as j:
            v = hcl.scalar(0, "v", dtype=WORD)
            with hcl.if_(i < 4):
                v.v = x[i, j]
            with hcl.if_(i > 0):
                y[i - 1, j] = v.v

    function = lowered(guarded)
    write = next(op for op in function.walk() if isinstance(op, ir.WriteOp))
    guard = write.parent_op()
    assert isinstance(guard, ir.IfOp)
    compare = guard.condition.owner
    assert isinstance(compare, ir.CompareOp)
    compare.operands[0] = next(op.result for op in function.walk() if isinstance(op, ir.ReadOp))
    with pytest.raises(StageError, match=r"stage s writes stream y under a condition on data.*loop variables"):
        network_of(function.parent_op())  # type: ignore[arg-type]


def _layers(seed: int) -> Sequence[Graph]:
    net = Sketch({"x": activations((4, 8, 12), 4)}, np.random.default_rng(seed))
    start = net.scale("a", net.conv("conv_a", "x", 8))
    long = net.scale("b", net.conv("conv_b", net.pool("pool", start), 8))
    joined = net.concat("joined", net.block("short", start), long)
    branched = net.graph("branched", net.conv("head", joined, 4, kernel=1)).verify()
    return [branched, *(random_layer(40 * seed + i) for i in range(2))]


@pytest.mark.parametrize("seed", range(2))
def test_every_generator_says_the_cycles_of_its_loops(seed: int) -> None:
    for graph in _layers(seed):
        design = folded(graph, np.random.default_rng(seed))
        assert_cycles(design, lower(schedule(design)))  # as the simulations of the generators' matrices do, too
