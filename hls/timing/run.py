"""Runs a network, natively: in the order of its events alone, or with the time of each event.

In order, a stage does one thing after another, as a program does: that decides whether streams are deep enough. In
time, it is a pipeline: in the cycle in which an iteration enters it reads, `latency` cycles later it writes. The
pipeline is flushable (Vitis `style=flp`): an iteration under way goes on when the next one waits for its words. A word
can be read one cycle after it was written, and its place be written again one cycle after it was read.
"""

from __future__ import annotations

import ctypes
import tempfile
from collections.abc import Mapping, Set
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from hls.heterocl.build import FLAGS, compile_library
from hls.timing.network import Network, Numbers

LATENCY = 10
"""Cycles from an iteration's reads to its writes: an assumption, the same for every stage. Packed convolutions with
their cascades take some more, stages that only move words fewer."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a run leaves: times are cycles from the start of the first frame; arrays are (processes, frames)."""

    finished: bool
    depths: Mapping[str, int]
    start: Numbers
    end: Numbers
    starved: Numbers
    blocked: Numbers
    to_write: tuple[str | None, ...]
    """Per process the full stream that it waits for at the end."""
    to_read: tuple[str | None, ...]
    written: Mapping[str, Numbers]
    """Of each stream the times at which its words are written and read; empty unless traced."""
    read: Mapping[str, Numbers]


@dataclass(frozen=True)
class Runner:
    """A network ready to run. ``latency`` None: in order, without time."""

    network: Network
    latency: int | None = None

    def run(
        self,
        frames: int = 1,
        depths: Mapping[str, int] | None = None,
        growable: Set[str] = frozenset(),
        trace: bool = False,
    ) -> Outcome:
        """Run some frames in a row, each stage beginning the next one when it is done with one.

        ``depths``: other ones than the network's, for some streams. Streams in ``growable`` get another place whenever
        nothing goes on because they are full: the depths that they have in the end are needed (in order only).

        Raises:
            BuildError: no C++ compiler.
        """
        network, steps = self.network, self._steps
        count, cells = len(network.streams), (len(network.processes), frames)
        words = np.array([network.tokens[name] * frames for name in network.streams], np.int64)
        chosen = {**network.depths, **(depths or {})}
        depth = np.array([chosen[name] for name in network.streams], np.int64)
        free = np.array([name in growable for name in network.streams], np.int64)
        kept = np.where((free > 0) | trace, words, np.minimum(depth, words))
        room = np.array([1 << (int(n) - 1).bit_length() if n > 1 else 1 for n in kept], np.int64)
        base = np.cumsum(room) - room
        arrays = {
            **steps,
            "growable": free, "base": base, "mask": room - 1, "depth": depth,
            "readable": np.zeros(room.sum(), np.int64), "writable": np.zeros(room.sum(), np.int64),
            "written": np.zeros(count, np.int64), "taken": np.zeros(count, np.int64),
            **{name: np.zeros(cells, np.int64) for name in ("start", "end", "starved", "blocked")},
            "waits": np.zeros((cells[0], 2), np.int64),
        }  # fmt: skip
        facts = _Run(cells[0], count, frames, self.latency or 0, **{n: a.ctypes.data for n, a in arrays.items()})
        stopped = _library().run_network(ctypes.byref(facts))
        waits = [[network.streams[s - 1] if s else None for s in column] for column in arrays["waits"].T.tolist()]

        def times(name: str) -> dict[str, Numbers]:
            ends = zip(network.streams, base, words, strict=True) if trace else ()
            return {stream: arrays[name][start : start + number] - 1 for stream, start, number in ends}

        return Outcome(
            finished=not stopped,
            depths=dict(zip(network.streams, depth.tolist(), strict=True)),
            start=arrays["start"],
            end=arrays["end"],
            starved=arrays["starved"],
            blocked=arrays["blocked"],
            to_write=tuple(waits[0]),
            to_read=tuple(waits[1]),
            written=times("readable"),
            read=times("writable"),
        )

    @cached_property
    def _steps(self) -> dict[str, Numbers]:
        """Events grouped into what happens at once: each by itself in order, those of a cycle in time."""
        cycles, counts, events, periods = [], [], [], []
        for process in self.network.processes:
            happens = np.asarray(process.events, np.int64)
            if self.latency is None:
                at, size = np.arange(len(happens)), np.ones(len(happens), np.int64)
                periods.append(len(happens))
            else:
                at, size = np.unique(np.asarray(process.cycles, np.int64), return_counts=True)
                periods.append(process.period)
            cycles.append(at)
            counts.append(size)
            events.append(happens)
        return {
            "first_step": _starts(np.array([len(c) for c in cycles], np.int64)),
            "cycle": np.concatenate(cycles),
            "first_event": _starts(np.concatenate(counts)),
            "events": np.concatenate(events),
            "period": np.array(periods, np.int64),
        }


def _starts(counts: Numbers) -> Numbers:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


class _Run(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int64) for name in ("processes", "streams", "frames", "latency")),
        *(
            (name, ctypes.c_void_p)
            for name in ("first_step", "cycle", "first_event", "events", "period", "growable", "base", "mask", "depth",
                         "readable", "writable", "written", "taken", "start", "end", "starved", "blocked", "waits")
        ),
    )  # fmt: skip


@cache
def _library() -> Any:
    """The compiled kernel, built once a process."""
    text = (Path(__file__).parent / "network.cpp").read_text()
    with tempfile.TemporaryDirectory(prefix="hls_timing_") as folder:
        return ctypes.CDLL(str(compile_library([text], Path(folder), "network", FLAGS)))
