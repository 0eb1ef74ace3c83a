"""Depths at which streams do not slow an accelerator down: the slowest stage alone sets its pace.

1. With room for a frame in every stream, run it forwards, for the pace and the earliest times of all steps, and
   backwards, for the latest ones that keep the pace.
2. Run it once more with shallow streams. A stage that is ahead may wait until its writes are due; where it would
   have to wait longer, the full stream gets a place. So streams hold what lies between stages, not what fast stages
   could make in advance.
3. Where a deep stream, the dearest first, can do with a memory less, take all its places away and give back what it
   needs now that the memories of the others are rounded up; then take single memories away for as long as the pace is
   kept. In a large network this ends early: the depths are enough then, if not the least.

Streams that join the same two stages are as deep as each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from hls.timing.latest import latest_times, paced_run
from hls.timing.network import Numbers
from hls.timing.report import interval_of
from hls.timing.run import Deadlines, Runner

GROWTH_FRAMES, TRIAL_FRAMES = 12, 3
"""Frames in a row in which streams grow at most, their last interval being believed where frames before do not prove
it; in which the pace of fewer places has to be proven."""

SEARCH_EVENTS = 72_000_000
"""Words written and read in a frame, all streams tried together, before the search for less ends: some ten seconds."""

Depths = dict[str, int]


def paced_depths(
    runner: Runner,
    least: Mapping[str, int],
    rounded: Callable[[int], int],
    cost: Mapping[str, int],
    slacks: Sequence[float] = (0.0,),
    ceiling: int | None = None,
) -> Iterator[Depths]:
    """Depths, the least ones or more, at which the interval is that of streams with room for a frame, or for
    ``ceiling`` words; for each slack those at which it is longer by at most that share of it.

    ``runner``: in time. ``least``: depths at which its network does not stop, in order. ``rounded``: the words that a
    memory for so many holds anyway; depths above the least are among its values. ``cost``: of a word of each stream, to
    take places away where they cost most.
    """
    network = runner.network
    most = {name: words if ceiling is None else min(words, ceiling) for name, words in network.tokens.items()}
    roomy = {name: max(depth, most[name]) for name, depth in least.items()}
    first = paced_run(runner, roomy, max(process.period for process in network.processes), "left")
    best = interval_of(first)
    earliest = first.steps
    earliest -= (first.end.shape[1] - 1) * best
    for slack in slacks:
        pace = int(best * (1 + slack))
        latest = latest_times(runner, roomy, pace)
        latest += (earliest - latest).max(initial=np.iinfo(np.int64).min)
        yield _Search(runner, least, rounded, cost, roomy, pace, latest).depths()


@dataclass(frozen=True)
class _Search:
    runner: Runner
    least: Mapping[str, int]
    rounded: Callable[[int], int]
    cost: Mapping[str, int]
    roomy: Depths
    pace: int
    latest: Numbers = field(repr=False)

    def depths(self) -> Depths:
        for settled in (2, 1):  # 1: bound by the frame before from the second frame on, which takes more places
            grown = self.grown(self.least, self.roomy, settled)
            if grown is not None:
                return self.less(grown)
        return self.roomy

    def keeps(self, depths: Depths) -> bool:
        outcome = self.runner.run(TRIAL_FRAMES, depths, pace=self.pace)
        return outcome.known and interval_of(outcome) <= self.pace

    def grown(self, depths: Mapping[str, int], most: Mapping[str, int], settled: int = 2) -> Depths | None:
        """The depths, those of streams in ``most`` raised until all steps are in time; None: that is not enough."""
        deadlines = Deadlines(self.latest, settled)
        outcome = self.runner.run(GROWTH_FRAMES, depths, most, deadlines, pace=self.pace)
        if not outcome.finished or interval_of(outcome) > self.pace:
            return None
        return {name: self.memory(name, outcome.depths[name]) if name in most else d for name, d in depths.items()}

    def memory(self, name: str, words: int) -> int:
        least = self.least[name]
        return least if words <= least else min(self.rounded(words), max(self.roomy[name], least))

    def less(self, depths: Depths) -> Depths:
        """The depths, which keep the pace, with fewer places, the dearest taken first."""
        network, bundles = self.runner.network, dict[tuple[str, str], list[str]]()
        for name, depth in depths.items():
            if depth > self.least[name]:
                bundles.setdefault(network.ends[name], []).append(name)
        frame = sum(len(process.events) for process in network.processes)
        trials = SEARCH_EVENTS // max(frame, 1)
        dearest = sorted(bundles.values(), key=lambda bundle: -sum(self.cost[name] * depths[name] for name in bundle))
        for bundle in dearest[:trials]:
            if not self.keeps(smaller := self.smaller(depths, bundle)):
                continue
            empty = {**depths, **{name: self.least[name] for name in bundle}}
            depths = self.grown(empty, {name: smaller[name] for name in bundle}) or smaller
            while (smaller := self.smaller(depths, bundle)) != depths and self.keeps(smaller):
                depths = smaller
        return depths

    def smaller(self, depths: Depths, bundle: Sequence[str]) -> Depths:
        """The depths, those of the bundle's deepest streams by one memory less."""
        deepest = max(depths[name] for name in bundle)
        below = max((w for w in range(1, deepest) if self.rounded(w) < deepest), default=0)
        return {**depths, **{name: max(self.least[name], min(depths[name], self.rounded(below))) for name in bundle}}
