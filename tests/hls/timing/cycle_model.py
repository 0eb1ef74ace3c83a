"""The timed model again, cycle by cycle in plain Python: what every stage does in every cycle, nothing clever."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from hls.timing import Network


@dataclass
class Pipeline:
    """A stage: `latency` registers that each hold one cycle of the stage's own clock."""

    reads: dict[int, list[int]]
    writes: dict[int, list[int]]
    period: int
    entered: int = 0
    left: int = 0
    under_way: deque[tuple[int, int]] = field(default_factory=deque)
    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)


def simulate_cycles(
    network: Network, latency: int, frames: int, peaks: dict[str, int] | None = None
) -> list[list[int]] | None:
    """Per stage the cycles in which its frames have ended; None where nothing ever happens again. ``peaks`` becomes the
    most places that each stream had in use in a cycle."""
    most = [0] * (len(network.streams) + 1)
    held = [0] * (len(network.streams) + 1)
    depth = [0, *(network.depths[name] for name in network.streams)]
    stages = []
    for process in network.processes:
        stage = Pipeline({}, {}, process.period)
        for event, cycle in zip(process.events, process.cycles, strict=True):
            (stage.writes if event > 0 else stage.reads).setdefault(int(cycle), []).append(abs(int(event)))
        stages.append(stage)
    now, quiet = 0, 0
    while any(len(stage.ends) < frames for stage in stages):
        before = list(held)  # a word written in this cycle can be read in the next, and so can its place be written
        moved = False
        for stage in stages:
            if stage.under_way and stage.under_way[0][1] + latency <= now:
                outputs = stage.writes.get(stage.under_way[0][0] % stage.period, [])
                if all(before[s] < depth[s] for s in outputs):
                    stage.under_way.popleft()
                    stage.left += 1
                    moved = True
                    _add(held, outputs, 1)
                    for s in outputs:
                        most[s] = max(most[s], before[s] + 1)
                    if stage.left % stage.period == 0:
                        stage.ends.append(now + 1)
            if len(stage.under_way) < latency and stage.entered < frames * stage.period:
                inputs = stage.reads.get(stage.entered % stage.period, [])
                if all(before[s] > 0 for s in inputs):
                    stage.under_way.append((stage.entered, now))
                    stage.entered += 1
                    moved = True
                    _add(held, inputs, -1)
        if peaks is not None:
            peaks.update(zip(network.streams, most[1:], strict=True))
        quiet = 0 if moved else quiet + 1
        if quiet > latency + 1:
            return None
        now += 1
    return [stage.ends for stage in stages]


def _add(held: list[int], streams: Sequence[int], change: int) -> None:
    for stream in streams:
        held[stream] += change
