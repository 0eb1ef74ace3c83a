"""A lowered accelerator as a network of stages that touch streams: which ones, in which order, at which cycle.

Order and cycle follow from a stage's loops and guards alone. Values do not matter, which makes a frame of a million
words a matter of a second.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import CallOp, FuncOp
from xdsl.ir import Operation, SSAValue

from hls.heterocl import dialect as ir
from hls.heterocl.accesses import Visits, reach, visits
from hls.heterocl.errors import StageError
from hls.heterocl.passes.common import functions, name_of, top
from hls.timing.clock import Clock, loops_around

Numbers = npt.NDArray[np.int64]


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
            counts = np.bincount(np.asarray(process.events, np.int64) + last, minlength=2 * last + 1)
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
    places = {op: i for i, op in enumerate(stage.walk())}
    keys, tokens, cycles = [], [], []
    for op in stage.walk():
        if isinstance(op, ir.ReadOp | ir.WriteOp) and op.stream in streams:
            loops = loops_around(op)
            within = reach(op, [loop.variable for loop in loops])
            if not within.decided:
                verb = "writes" if isinstance(op, ir.WriteOp) else "reads"
                raise StageError(
                    f"stage {stage.sym_name.data} {verb} stream {name_of(op.stream)} under a condition on data: "
                    "when it does so is not known; guard it with loop variables"
                )
            found = visits(within)
            keys.append(_order(op, loops, places, found))
            tokens.append(np.full(found.count, streams[op.stream] * (1 if isinstance(op, ir.WriteOp) else -1)))
            cycles.append(clock.due(op, found.point, found.count))
    depth = max((len(key) for key in keys), default=0)
    padded = [np.pad(key, ((0, depth - len(key)), (0, 0))) for key in keys]
    order = np.lexsort(np.concatenate(padded, axis=1)[::-1]) if keys else np.zeros(0, np.int64)
    events = np.concatenate([*tokens, np.zeros(0, np.int64)])[order]
    due = np.concatenate([*cycles, np.zeros(0, np.int64)])[order]
    _check_ports(stage, events, due, streams)
    return Process(stage.sym_name.data, events, due, clock.cycles(stage))


def _order(op: Operation, loops: Sequence[ir.ForOp], places: Mapping[Operation, int], found: Visits) -> Numbers:
    """(levels, executions): the place in the program and the iteration at each level of nesting, outermost first."""
    rows: list[Numbers] = []
    for loop in loops:
        rows += [np.full(found.count, places[loop]), found.point[loop.variable]]
    return np.array([*rows, np.full(found.count, places[op])], np.int64)


def _check_ports(stage: FuncOp, events: Numbers, due: Numbers, streams: Mapping[SSAValue, int]) -> None:
    """A stream has one port a side: one access a cycle."""
    labels = {number: name_of(value) for value, number in streams.items()}
    for event in np.unique(events):
        _, counts = np.unique(due[events == event], return_counts=True)
        if counts.max() > 1:
            verb = "writes" if event > 0 else "reads"
            raise StageError(
                f"stage {stage.sym_name.data} {verb} stream {labels[abs(int(event))]} {counts.max()} times in one "
                "iteration of its pipelined loop; a stream takes one access a cycle: pipeline the loop over the words"
            )
