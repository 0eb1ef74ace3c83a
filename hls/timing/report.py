"""The time of a whole accelerator: first frame, steady state, and what each stage and stream does meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from hls.timing.depths import check, stopped
from hls.timing.network import Network
from hls.timing.run import LATENCY, Outcome, Runner

FRAMES = 16
"""Frames in a row at most until all are alike."""


@dataclass(frozen=True)
class StageTiming:
    """A stage; times in cycles from the moment when the first frame begins.

    ``start`` and ``end`` are the first frame's. In a frame of the steady state the stage works for ``cycles``, waits
    ``starved`` for words and ``blocked`` for room; together that is its interval.
    """

    name: str
    cycles: int
    start: int
    end: int
    starved: int
    blocked: int

    @property
    def stall(self) -> float:
        """Share of the steady state in which the stage waits."""
        return 1 - self.cycles / max(self.cycles + self.starved + self.blocked, 1)


@dataclass(frozen=True)
class StreamTiming:
    """A stream: the most words that it held, of those it has room for."""

    name: str
    depth: int
    peak: int


@dataclass(frozen=True)
class Timing:
    """An accelerator fed without pause. ``latency``: cycles of the first frame, from its first word read to its last
    one written; ``interval``: cycles from a frame to the next in the steady state."""

    latency: int
    interval: int
    stages: tuple[StageTiming, ...]
    streams: tuple[StreamTiming, ...]

    @property
    def fill(self) -> int:
        """What the first frame takes more than the others: n frames take ``fill + n * interval`` cycles."""
        return self.latency - self.interval

    @property
    def bottleneck(self) -> StageTiming:
        """The stage with the most work."""
        return max(self.stages, key=lambda stage: stage.cycles)

    @property
    def lost(self) -> int:
        """Cycles per frame that shallow streams cost: the interval beyond the slowest stage's own."""
        return self.interval - self.bottleneck.cycles

    def frames_per_second(self, clock_mhz: float) -> float:
        return clock_mhz * 1e6 / self.interval

    def rows(self) -> Iterator[dict[str, int | float | str]]:
        """One row a stage for a table, in dataflow order; shares in per cent of the interval."""
        for s in self.stages:
            yield {
                "name": s.name,
                "cycles": s.cycles,
                "start": s.start,
                "end": s.end,
                "starved": 100 * s.starved / self.interval,
                "blocked": 100 * s.blocked / self.interval,
            }


def measure(network: Network, latency: int = LATENCY) -> Timing:
    """Run frames in a row until the pace is steady.

    Raises:
        DeadlockError: the network stops at its depths.
    """
    check(network)
    return timing_of(Runner(network, latency), network.depths)


def timing_of(runner: Runner, depths: Mapping[str, int]) -> Timing:
    """The time of a network with other depths, at which it does not stop in order.

    Raises:
        DeadlockError: it stops in time.
    """
    network = runner.network
    outcome = steady(runner, depths, count=True)
    if not outcome.finished:
        raise stopped(network.with_depths(depths), outcome)
    stages = tuple(
        StageTiming(p.name, p.period, *(int(times) for times in row))
        for p, *row in zip(
            network.processes,
            outcome.start[:, 0],
            outcome.end[:, 0],
            outcome.starved[:, -1],
            outcome.blocked[:, -1],
            strict=True,
        )
    )
    streams = tuple(StreamTiming(name, depths[name], outcome.peaks[name]) for name in network.streams)
    return Timing(int(outcome.end[:, 0].max() - outcome.start[:, 0].min()), interval_of(outcome), stages, streams)


def interval_of(outcome: Outcome) -> int:
    """Cycles between the last two frames of a run, at the stage where they are most."""
    return int((outcome.end[:, -1] - outcome.end[:, -2]).max())


def steady(
    runner: Runner,
    depths: Mapping[str, int] | None = None,
    count: bool = False,
    steps: Literal["entered", "left", None] = None,
) -> Outcome:
    """Run frames in a row until all that follow are alike, because streams have filled up as far as they will; or they
    stop; or no more frames are tried."""
    return runner.run(FRAMES, depths, count=count, steps=steps, steady=True)
