"""A lowered accelerator as a network of stages that touch streams: which ones, in which order, at which cycle.

Order and cycle follow from a stage's loops and guards alone. Values do not matter, which makes a frame of a million
words a matter of a second.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import CallOp, FuncOp
from xdsl.ir import Operation, SSAValue

from hls.heterocl import dialect as ir
from hls.heterocl.accesses import Visits, execution_order, reach, visits
from hls.heterocl.errors import StageError
from hls.heterocl.passes.common import functions, name_of, top
from hls.timing.clock import Clock, loops_around

Numbers = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True, eq=False)
class Process:
    """A stage: which streams it touches in order; entry ``+i`` writes and ``-i`` reads stream i (from 1 on).

    ``cycles``: the cycle of the frame in which each entry is due, in a stage that never waits; ascending.
    ``period``: cycles of a frame.
    """

    name: str
    events: Sequence[int] | Numbers
    cycles: Sequence[int] | Numbers = ()
    period: int = 0


@dataclass(frozen=True)
class Network:
    """An accelerator's stages and inner streams; ports to memory never block and are left out."""

    streams: tuple[str, ...]
    processes: tuple[Process, ...]
    depths: Mapping[str, int]
    ends: Mapping[str, tuple[str, str]] = field(init=False)
    """Writer and reader of each stream."""
    tokens: Mapping[str, int] = field(init=False)
    """Words of each stream per frame."""

    def __post_init__(self) -> None:
        ends: dict[str, list[str]] = {name: ["", ""] for name in self.streams}
        tokens = dict.fromkeys(self.streams, 0)
        last = len(self.streams)
        for process in self.processes:
            counts = np.bincount(np.asarray(process.events, np.int32) + last, minlength=2 * last + 1)
            for event in (np.flatnonzero(counts) - last).tolist():
                ends[self.streams[abs(event) - 1]][event < 0] = process.name
                if event > 0:
                    tokens[self.streams[event - 1]] = int(counts[event + last])
        object.__setattr__(self, "ends", {name: (writer, reader) for name, (writer, reader) in ends.items()})
        object.__setattr__(self, "tokens", tokens)

    def with_depths(self, depths: Mapping[str, int]) -> Network:
        """The network with other depths for some streams."""
        return replace(self, depths={**self.depths, **depths})


def network_of(module: ModuleOp, clock: Clock | None = None) -> Network:
    """The network of a lowered module in dataflow form.

    Raises:
        StageError: data decides whether a stage touches a stream, or two touch one stream in the same cycle.
    """
    clock = clock or Clock()
    function = top(module)
    made = [op for op in function.walk() if isinstance(op, ir.StreamOp)]
    numbers: dict[SSAValue, int] = {op.stream: i for i, op in enumerate(made, 1)}
    by_name = {f.sym_name.data: f for f in functions(module)}
    processes = []
    for call in function.walk():
        if isinstance(call, CallOp):
            stage = by_name[call.callee.root_reference.data]
            pairs = zip(stage.args, call.operands, strict=True)
            streams: dict[SSAValue, int] = {a: numbers[o] for a, o in pairs if o in numbers}
            processes.append(_process(stage, streams, clock))
    labels = tuple(op.label.data for op in made)
    return Network(labels, tuple(processes), {op.label.data: op.depth.data for op in made})


def stage_cycles(function: FuncOp, gap: int = 0) -> int:
    """Cycles per frame of a lowered stage that never waits."""
    return Clock(gap).cycles(function)


def _process(stage: FuncOp, streams: Mapping[SSAValue, int], clock: Clock) -> Process:
    found, tokens, cycles = list[tuple[Operation, Visits]](), list[Numbers](), list[Numbers]()
    for op in stage.walk():
        if isinstance(op, ir.ReadOp | ir.WriteOp) and op.stream in streams:
            within = reach(op, [loop.variable for loop in loops_around(op)])
            if not within.decided:
                verb = "writes" if isinstance(op, ir.WriteOp) else "reads"
                raise StageError(
                    f"stage {stage.sym_name.data} {verb} stream {name_of(op.stream)} under a condition on data: "
                    "when it does so is not known; guard it with loop variables"
                )
            met = visits(within)
            found.append((op, met))
            cycles.append(met.each(clock.due(op, met.point)).astype(np.int32))
            tokens.append(np.full(met.count, streams[op.stream] * (1 if isinstance(op, ir.WriteOp) else -1), np.int32))
    period = clock.cycles(stage)
    if period >= 1 << 30:  # cycles are numbers of 32 bits, also of a run that is a quarter slower
        raise StageError(f"stage {stage.sym_name.data} takes {period} cycles a frame; the limit is 2^30")
    order = execution_order(found)
    events = np.concatenate([*tokens, np.zeros(0, np.int32)])[order]
    due = np.concatenate([*cycles, np.zeros(0, np.int32)])[order]
    _check_ports(stage, events, due, streams)
    return Process(stage.sym_name.data, events, due, period)


def _check_ports(stage: FuncOp, events: Numbers, due: Numbers, streams: Mapping[SSAValue, int]) -> None:
    """A stream has one port a side: one access a cycle."""
    labels = {number: name_of(value) for value, number in streams.items()}
    for event in [side * number for number in labels for side in (1, -1)]:
        cycles = due[events == event]
        if np.any(cycles[1:] == cycles[:-1]):
            _, counts = np.unique(cycles, return_counts=True)
            verb = "writes" if event > 0 else "reads"
            raise StageError(
                f"stage {stage.sym_name.data} {verb} stream {labels[abs(event)]} {counts.max()} times in one "
                "iteration of its pipelined loop; a stream takes one access a cycle: pipeline the loop over the words"
            )
