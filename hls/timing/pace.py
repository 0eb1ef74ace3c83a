"""Depths at which streams do not slow an accelerator down: the slowest stage alone sets its pace.

1. Give every stream room for a frame, and let the memory ports deliver at the pace of the slowest stage. What the
   streams hold then is enough: with so many places the same schedule is possible, and ports that deliver sooner only
   make things happen sooner.
2. Take places away, where they cost most first, as long as the pace is kept: from many streams at once, halved where
   one of them needs its places. Streams that join the same two stages are as deep as each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hls.timing.depths import check
from hls.timing.network import Network, Process
from hls.timing.report import interval_of, peak_words
from hls.timing.run import LATENCY, Runner

SEARCH_FRAMES, PROOF_FRAMES = 3, 12
"""Frames in a row after which an interval is believed: while searching, and of what was found."""

Depths = dict[str, int]


def paced_depths(
    network: Network,
    rounded: Callable[[int], int],
    cost: Mapping[str, int],
    latency: int = LATENCY,
    slack: float = 0.0,
    ceiling: int | None = None,
) -> Depths:
    """Depths, the network's own or more, at which the interval is that of streams with room for a frame, or for
    ``ceiling`` words; longer by at most ``slack`` of it.

    ``rounded``: the words that a memory for so many holds anyway; depths above the network's own are among its values.
    ``cost``: of a word of each stream, to take places away where they cost most.

    Raises:
        DeadlockError: that room is not enough.
    """
    runner = Runner(network, latency)
    most = {name: words if ceiling is None else min(words, ceiling) for name, words in network.tokens.items()}
    roomy = {name: max(depth, most[name]) for name, depth in network.depths.items()}
    check(network.with_depths(roomy))
    best = interval_of(runner.run(PROOF_FRAMES, roomy))
    held = _held(network.with_depths(roomy), best, latency)
    enough = {name: min(roomy[name], rounded(max(depth, held[name]))) for name, depth in network.depths.items()}
    proof = _Search(runner, Runner(network), rounded, PROOF_FRAMES, int(best * (1 + slack)))
    if not proof.keeps(enough):
        enough = roomy
    bundles: dict[tuple[str, str], list[str]] = {}
    for name, depth in network.depths.items():
        if enough[name] > depth:
            bundles.setdefault(network.ends[name], []).append(name)
    deep = sorted(bundles.values(), key=lambda bundle: -sum(cost[name] * enough[name] for name in bundle))
    found = replace(proof, frames=SEARCH_FRAMES).shrunk(enough, deep)
    return found if proof.keeps(found) else proof.shrunk(enough, deep)


def _held(network: Network, pace: int, latency: int) -> Mapping[str, int]:
    """The most words that streams hold when the memory ports deliver one frame in ``pace``."""
    slow = replace(network, processes=tuple(_slowed(process, pace) for process in network.processes))
    return peak_words(Runner(slow, latency).run(PROOF_FRAMES // 2, trace=True))


def _slowed(process: Process, period: int) -> Process:
    """A stage that reads no stream, its frame spread over ``period`` cycles."""
    if np.any(np.asarray(process.events) < 0) or not 0 < process.period < period:
        return process
    return replace(process, cycles=np.asarray(process.cycles, np.int64) * period // process.period, period=period)


@dataclass(frozen=True)
class _Search:
    """``runner``: in time; ``order``: without."""

    runner: Runner
    order: Runner
    rounded: Callable[[int], int]
    frames: int
    pace: int

    def keeps(self, depths: Mapping[str, int]) -> bool:
        """Whether the network is not slower than ``pace``, and stops neither in time nor in order."""
        outcome = self.runner.run(self.frames, depths)
        on_time = outcome.finished and interval_of(outcome) <= self.pace
        return on_time and self.order.run(depths=depths).finished

    def shrunk(self, depths: Depths, bundles: Sequence[Sequence[str]]) -> Depths:
        """The depths, which keep the pace, with those of the bundles as small as it allows."""
        least = self.runner.network.depths
        if not bundles or self.keeps(trial := {**depths, **{name: least[name] for b in bundles for name in b}}):
            return trial if bundles else depths
        if len(bundles) > 1:
            half = len(bundles) // 2
            return self.shrunk(self.shrunk(depths, bundles[:half]), bundles[half:])
        (bundle,) = bundles
        steps = self.steps(min(least[name] for name in bundle), max(depths[name] for name in bundle))
        low, high = 0, len(steps) - 1  # the least step that keeps the pace is in this range; the last one does
        while low < high:
            middle = (low + high) // 2
            if self.keeps(self.limited(depths, bundle, steps[middle])):
                high = middle
            else:
                low = middle + 1
        return self.limited(depths, bundle, steps[low])

    def limited(self, depths: Depths, bundle: Sequence[str], words: int) -> Depths:
        least = self.runner.network.depths
        return {**depths, **{name: min(depths[name], max(least[name], words)) for name in bundle}}

    def steps(self, least: int, most: int) -> list[int]:
        """What a memory of more than the least depth may hold, up to ``most`` words."""
        found = [min(most, self.rounded(least + 1))]
        while found[-1] < most:
            found.append(min(most, self.rounded(found[-1] + 1)))
        return found
