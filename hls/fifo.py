"""How deep streams have to be: a simulation of tokens alone, exact in the order of every stage's reads and writes.

A lowered accelerator is a network of processes that block on empty and on full streams, so whether it deadlocks depends
on the depths only, not on the speeds of its stages. The order in which a stage touches its streams follows from its
loops and guards; values do not matter, which makes a frame of a megaword a matter of a second.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import CallOp, FuncOp
from xdsl.ir import Operation, SSAValue

from hls.heterocl import dialect as ir
from hls.heterocl.accesses import position, reach, visits
from hls.heterocl.passes.common import functions, top

Order = npt.NDArray[np.int64]


class DeadlockError(RuntimeError):
    """The accelerator stops for good with these depths; names the stream that is full and who waits for what."""


@dataclass(frozen=True)
class Process:
    """A stage: which streams it touches in order; entry ``+i`` writes and ``-i`` reads stream i (from 1 on)."""

    name: str
    events: tuple[int, ...]


@dataclass(frozen=True)
class Network:
    """An accelerator's stages and inner streams; ports to memory never block and are left out."""

    streams: tuple[str, ...]
    processes: tuple[Process, ...]
    depths: Mapping[str, int]


def network_of(module: ModuleOp) -> Network:
    """The token network of a lowered module in dataflow form."""
    function = top(module)
    made = [op for op in function.walk() if isinstance(op, ir.StreamOp)]
    numbers: dict[SSAValue, int] = {op.stream: i for i, op in enumerate(made, 1)}
    by_name = {f.sym_name.data: f for f in functions(module)}
    processes = []
    for call in function.walk():
        if isinstance(call, CallOp):
            stage = by_name[call.callee.root_reference.data]
            streams: dict[SSAValue, int] = {
                a: numbers[o] for a, o in zip(stage.args, call.operands, strict=True) if o in numbers
            }
            processes.append(Process(stage.sym_name.data, _events(stage, streams)))
    labels = tuple(op.label.data for op in made)
    return Network(labels, tuple(processes), {op.label.data: op.depth.data for op in made})


def _events(stage: FuncOp, streams: Mapping[SSAValue, int]) -> tuple[int, ...]:
    """Reads and writes of a stage in the order of execution: sorted by the path of positions and iterations."""
    keys, tokens = [], []
    for op in stage.walk():
        if isinstance(op, ir.ReadOp | ir.WriteOp) and op.stream in streams:
            key = _order(op)
            keys.append(key)
            sign = 1 if isinstance(op, ir.WriteOp) else -1
            tokens.append(np.full(key.shape[1], sign * streams[op.stream], np.int64))
    depth = max(key.shape[0] for key in keys)
    padded = [np.pad(key, ((0, depth - key.shape[0]), (0, 0))) for key in keys]
    order = np.lexsort(np.concatenate(padded, axis=1)[::-1])
    return tuple(np.concatenate(tokens)[order].tolist())


def _order(op: Operation) -> Order:
    """(levels, executions): block position and iteration at each level of nesting, outermost first."""
    loops: list[ir.ForOp] = []
    parent = op.parent_op()
    while parent is not None:
        if isinstance(parent, ir.ForOp):
            loops.insert(0, parent)
        parent = parent.parent_op()
    found = visits(reach(op, [loop.variable for loop in loops]))
    rows = []
    for loop in loops:
        rows += [_inside(loop, found.count), found.point[loop.variable]]
    return np.array([*rows, _inside(op, found.count)])


def _inside(op: Operation, count: int) -> Order:
    """The place of an operation in the body of the loop around it, guards flattened, repeated ``count`` times."""
    path = position(op)
    outer = op.parent_op()
    while outer is not None and not isinstance(outer, ir.ForOp):
        outer = outer.parent_op()
    relative = path[len(position(outer)) :] if outer is not None else path
    place = 0
    for step in relative:
        place = place * 4096 + step
    return np.full(count, place, np.int64)


def run(network: Network, depths: Mapping[str, int]) -> dict[str, int]:
    """Let every stage run as far as its streams allow, until all are done; the most that each stream held.

    Raises DeadlockError where no stage can go on.
    """
    room = [0, *(depths[name] for name in network.streams)]
    fill = [0] * len(room)
    peak = [0] * len(room)
    places = [0] * len(network.processes)
    moved = True
    while moved:
        moved = False
        for number, process in enumerate(network.processes):
            events, place = process.events, places[number]
            start, end = place, len(events)
            while place < end:
                event = events[place]
                if event < 0:
                    if not fill[-event]:
                        break
                    fill[-event] -= 1
                else:
                    if fill[event] == room[event]:
                        break
                    fill[event] += 1
                    if fill[event] > peak[event]:
                        peak[event] = fill[event]
                place += 1
            places[number] = place
            moved = moved or place > start
    waiting = [(p, at) for p, at in zip(network.processes, places, strict=True) if at < len(p.events)]
    if waiting:
        raise DeadlockError(_blocked(network, room, waiting))
    return {name: peak[i] for i, name in enumerate(network.streams, 1)}


def _blocked(network: Network, room: list[int], waiting: list[tuple[Process, int]]) -> str:
    """The streams that are too shallow: full, while their reader waits for something else to arrive."""
    wants = {process.name: process.events[at] for process, at in waiting}
    readers = {-event: p.name for p in network.processes for event in set(p.events) if event < 0}
    texts = []
    for writer, event in wants.items():
        reader = readers.get(event, "")
        wanted = wants.get(reader, 0)
        if event > 0 and wanted < 0 and wanted != -event:
            full, empty = network.streams[event - 1], network.streams[-wanted - 1]
            texts.append(f"'{writer}' waits to write '{full}', full at depth {room[event]}, whose reader '{reader}' "
                         f"waits for '{empty}'")  # fmt: skip
    return "deadlock: " + ("; ".join(texts) or "every stage waits for a stream that nobody writes")


def runs(network: Network, depths: Mapping[str, int]) -> bool:
    """Whether the network runs to the end, with other depths for some streams."""
    try:
        run(network, {**network.depths, **depths})
    except DeadlockError:
        return False
    return True


def least_depth(network: Network, stream: str, floor: int = 1) -> int:
    """The least depth, ``floor`` or more, of one stream at which the network does not deadlock, the others as declared.

    Raises DeadlockError where no depth of this stream helps.
    """
    if runs(network, {stream: floor}):
        return floor
    tokens = sum(p.events.count(network.streams.index(stream) + 1) for p in network.processes)
    run(network, {**network.depths, stream: tokens})
    low, high = floor + 1, tokens
    while low < high:
        middle = (low + high) // 2
        if runs(network, {stream: middle}):
            high = middle
        else:
            low = middle + 1
    return low
