"""Runs a network, natively: in the order of its events alone, or with the time of each event.

In order, a stage does one thing after another, as a program does: that decides whether streams are deep enough. In
time, it is a pipeline: in the cycle in which an iteration enters it reads, `latency` cycles later it writes. The
pipeline is flushable (Vitis `style=flp`): an iteration under way goes on when the next one waits for its words. A word
can be read one cycle after it was written, and its place be written again one cycle after it was read.
"""

from __future__ import annotations

import ctypes
import platform
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, cached_property
from hashlib import sha256
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any, Literal

import numpy as np

from hls.heterocl.build import FLAGS, compile_library, compiler_version
from hls.timing.network import Network, Numbers

LATENCY = 10
"""Cycles from an iteration's reads to its writes: an assumption, the same for every stage. Packed convolutions with
their cascades take some more, stages that only move words fewer."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a run leaves: times are cycles from the start of the first frame; arrays are (processes, frames)."""

    finished: bool
    known: bool
    """Whether all later frames follow from those run."""
    depths: Mapping[str, int]
    start: Numbers
    end: Numbers
    starved: Numbers
    blocked: Numbers
    to_write: tuple[str | None, ...]
    """Per process the full stream that it waits for at the end."""
    to_read: tuple[str | None, ...]
    peaks: Mapping[str, int]
    """The most words that each stream held; a place is free again one cycle after it was read. Empty unless counted."""
    steps: Numbers
    """When each step, process by process, was entered, or left, in the last frame; empty unless asked for."""


@dataclass(frozen=True, eq=False)
class Deadlines:
    """When each step of a network, process by process, leaves in the first frame at the latest, and the pace later in
    each next one. From frame ``settled`` on it also leaves within the pace of the frame before."""

    steps: Numbers
    settled: int


@dataclass(frozen=True)
class Runner:
    """A network ready to run. ``latency`` None: in order, without time."""

    network: Network
    latency: int | None = None

    def run(
        self,
        frames: int = 1,
        depths: Mapping[str, int] | None = None,
        most: Mapping[str, int] | None = None,
        deadlines: Deadlines | None = None,
        count: bool = False,
        steps: Literal["entered", "left", None] = None,
        pace: int | None = None,
        steady: bool = False,
    ) -> Outcome:
        """Run some frames in a row, each stage beginning the next one when it is done with one.

        Fewer than ``frames`` where all later ones follow from those run (`network.cpp` says how that is known): with a
        ``pace``, where they are known to keep it, or to miss it; ``steady``, where they are as the last one.

        ``depths``: other ones than the network's, for some streams. Those in ``most`` get another place, up to so many,
        whenever nothing goes on because they are full, and where a step would miss its deadline because of that; the
        depths that they have in the end are needed. ``count``: the words that streams hold; ``steps``: which times of
        the last frame, with deadlines those when steps were left.

        Raises:
            BuildError: no C++ compiler.
        """
        network, prepared = self.network, self._prepared
        names, size = network.streams, len(network.processes)
        chosen = {**network.depths, **(depths or {})}
        depth = np.array([min(chosen[name], network.tokens[name] * frames) for name in names], np.int64)
        growth = np.array([(most or {}).get(name, 0) for name in names], np.int64)
        results = {name: np.zeros((size, frames), np.int64) for name in ("start", "end", "starved", "blocked")}
        waits, peak = np.zeros((size, 2), np.int64), np.zeros(len(names), np.int64)
        wanted = "left" if deadlines else steps
        times = np.zeros(len(prepared["cycle"]) if wanted else 0, np.int64)
        arrays = {**prepared, "most": growth, "depth": depth, "peak": peak, **results, "waits": waits}
        if wanted:
            arrays[wanted] = times
        if deadlines:
            arrays["deadline"] = deadlines.steps
        done = np.zeros(1, np.int64)
        arrays["done"] = done
        settled = deadlines.settled if deadlines else 0
        facts = _Run(
            size, len(names), frames, self.latency or 0, count, pace or 0, settled, steady,
            **{name: array.ctypes.data for name, array in arrays.items()},
        )  # fmt: skip
        ended = _library().run_network(ctypes.byref(facts))
        to_write, to_read = ([names[s - 1] if s else None for s in column] for column in waits.T.tolist())
        return Outcome(
            finished=ended != 1,
            known=ended == 2,
            depths=chosen | {name: d for name, d in zip(names, depth.tolist(), strict=True) if d > chosen[name]},
            **{name: of_frames[:, : done[0]] for name, of_frames in results.items()},
            to_write=tuple(to_write),
            to_read=tuple(to_read),
            peaks=dict(zip(names, peak.tolist(), strict=True)) if count else {},
            steps=times,
        )

    def processes(self, steps: Numbers) -> list[Numbers]:
        """What is known of each step, process by process."""
        return np.split(steps, self._prepared["first_step"][1:-1])

    @cached_property
    def _prepared(self) -> dict[str, Numbers]:
        """Events grouped into what happens at once: each by itself in order, those of a cycle in time."""
        cycles, counts, events, periods = [], [], [], []
        for process in self.network.processes:
            happens: Numbers = np.asarray(process.events, np.int32)
            at: Numbers
            size: Numbers
            if self.latency is None:
                at, size = np.arange(len(happens), dtype=np.int32), np.ones(len(happens), np.int32)
                periods.append(len(happens))
            else:
                due: Numbers = np.asarray(process.cycles, np.int32)
                first = np.flatnonzero(np.diff(due, prepend=np.int32(-1)))
                at, size = due[first], np.diff(first, append=len(due)).astype(np.int32)
                happens = _reads_first(happens, first)
                periods.append(process.period)
            cycles.append(at)
            counts.append(size)
            events.append(happens)
        return {
            "first_step": _starts([len(c) for c in cycles], np.int64),
            "cycle": np.concatenate(cycles).astype(np.int32, copy=False),
            "first_event": _starts(np.concatenate(counts)),
            "events": np.concatenate(events),
            "period": np.array(periods, np.int64),
        }


def _reads_first(events: Numbers, first: Numbers) -> Numbers:
    """The events of each step, which begins at ``first``, with its reads in front."""
    step = np.zeros(len(events), np.int8)
    step[first[1:]] = 1
    late = (events[1:] < 0) & (events[:-1] > 0) & (step[1:] == 0)
    if not late.any():
        return events
    return events[np.argsort(2 * np.cumsum(step, dtype=np.int64) + (events > 0), kind="stable")]


def _starts(counts: Sequence[int] | Numbers, dtype: type[np.integer[Any]] = np.int32) -> Numbers:
    starts = np.zeros(len(counts) + 1, dtype)
    np.cumsum(counts, out=starts[1:])
    return starts


class _Run(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int64) for name in ("processes", "streams", "frames", "latency", "count", "pace", "settled",
                                               "steady")),
        *(
            (name, ctypes.c_void_p)
            for name in ("first_step", "cycle", "first_event", "events", "period", "deadline", "most", "depth", "peak",
                         "start", "end", "starved", "blocked", "entered", "left", "waits", "done")
        ),
    )  # fmt: skip


@cache
def _library() -> Any:
    """The compiled kernel, kept where Python keeps this module's compiled form."""
    text, header = ((Path(__file__).parent / name).read_text() for name in ("network.cpp", "stream.h"))
    made_of = "\0".join((text, header, *FLAGS, platform.machine(), compiler_version()))
    kept = Path(cache_from_source(__file__)).parent / f"network-{sha256(made_of.encode()).hexdigest()[:16]}.so"
    if kept.exists():
        return ctypes.CDLL(str(kept))
    with tempfile.TemporaryDirectory(prefix="hls_timing_") as folder:
        Path(folder, "stream.h").write_text(header)
        library = compile_library([text], Path(folder), "network", FLAGS)
        loaded = ctypes.CDLL(str(library))
        with suppress(OSError):
            kept.parent.mkdir(exist_ok=True)
            with tempfile.TemporaryDirectory(dir=kept.parent) as beside:
                Path(shutil.copy(library, beside)).rename(kept)  # whole or not at all, whoever else is building
    return loaded
