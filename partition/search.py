"""The search over the model: the least time by bisection, then the least of the board that this time takes.

Whether some placement keeps a given time is far easier to decide than which one is fastest: candidates that are fast
enough differ in resources only. So the time is bisected between a bound and the best placement known, and the fastest
is asked for only when little is left between them. Every step is repeatable: one worker, deterministic time.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from math import sqrt

from partition.model import Answer, Goal, Request, solve
from partition.problem import Outcome, Placed, Problem

Regions = tuple[Placed, ...]

WINDOW = 1.03
"""Between bound and best placement when bisecting ends and the fastest of the rest is asked for."""

CLOSE = 1.0005
"""Times closer than this factor count as equal."""

BRIEF = 1.0
"""Deterministic seconds for a question that small problems alone are asked."""

QUESTION = 4.0
"""Deterministic seconds for one question at most."""


@dataclass
class Effort:
    """Deterministic seconds of search, all questions together."""

    left: float
    spent: float = 0.0

    def take(self, seconds: float) -> None:
        self.left -= seconds
        self.spent += seconds


@dataclass(frozen=True)
class Found:
    """A placement, and the time in ticks that the model's placements cannot beat; ``wide``: nor others, with however
    many accelerator regions."""

    regions: Regions
    outcome: Outcome
    bound: int
    wide: bool = False


@dataclass(frozen=True)
class Search:
    """Questions about one problem. ``latency``: time is along the chain; ``fixed``: engines by name for nodes whose
    side is settled; ``floor``: the ticks below which nothing is gained."""

    problem: Problem
    latency: bool
    effort: Effort
    fixed: Mapping[str, str] = field(default_factory=dict)
    floor: int = 0

    def fastest(self, seeds: Sequence[Regions] = (), rounds: int = 1, bound: int = 0) -> Found | None:
        """The placement of least time, no slower than any of ``seeds``; None where there is none (or none was found
        with the effort that is left). ``bound``: ticks known to be too few."""
        known = [(self.ticks(seed), seed) for seed in seeds]
        best = min(known, key=lambda pair: pair[0])[1] if known else self._ask("any", self._most, None, rounds)[0]
        if best is None:
            return None
        high = self.ticks(best)
        bound = tried = min(max(self.floor, bound), high)
        while high > max(tried * WINDOW, tried + 1) and self.effort.left > 0:
            middle = min(max(int(sqrt(max(tried, 1) * high)), tried + 1), high - 1)
            found, _, proven = self._ask("any", middle, best, rounds)
            if found is not None:
                best, high = found, min(self.ticks(found), middle)
                continue
            tried = middle + 1
            bound = tried if proven else bound
            if rounds > 1 and not proven:  # each such question is dear, and the next one no easier
                break
        if high > bound and self.effort.left > 0:
            found, least, _ = self._ask("fast", high, best, rounds, bound)
            if found is not None and self.ticks(found) < self.ticks(best):
                best = found
            bound = max(bound, min(least, self.ticks(best)))
        return Found(best, self.problem.outcome(best), bound)

    def least(self, best: Regions) -> int:
        """Ticks that no placement beats, with however many accelerator regions; ``best`` is one. Not for latency."""
        high, low = self.ticks(best), self.floor
        middle = int(high / WINDOW)  # whether much is to be gained comes first
        while self.effort.left > 0 and high > max(low * WINDOW, low + 1):
            found, _, proven = self._ask("any", middle, None, 1, loose=True)
            if found is None and not proven:
                return low
            low, high = (low, middle) if found is not None else (middle + 1, high)
            middle = min(max(int(sqrt(max(low, 1) * high)), low + 1), high - 1)
        if high > low and self.effort.left > 0:
            low = max(low, self._ask("fast", high, None, 1, low, loose=True)[1])
        return min(low, self.ticks(best))

    def shortest(self, seeds: Sequence[Regions] = ()) -> Found | None:
        """The same for the latency with one accelerator region."""
        best = min(seeds, key=self.ticks, default=None)
        limit = self._most if best is None else self.ticks(best)
        answer = self._solve(Request("fast", limit, latency=True, fixed=self.fixed, hint=best), BRIEF)
        if answer.regions is not None and (best is None or self.ticks(answer.regions) < limit):
            best = answer.regions
        if answer.proven:  # a small problem, as it is in the model
            if best is None:
                return None
            least = int(answer.bound) if answer.regions is not None else limit
            return Found(best, self.problem.outcome(best), min(least, self.ticks(best)))
        return self.by_pace(best)

    def by_pace(self, best: Regions | None) -> Found | None:
        """The least latency by branch and bound on the accelerator's pace: in a range of paces it takes at least the
        lowest, and the CPU what it takes at the highest. Regions need not be convex for the bound, which therefore
        holds for any number of them; no slower than ``best``."""
        paces = self._paces
        ranges = [(0, 0, len(paces) - 1, 0)]  # bound, first pace, last pace, CPU time at the last
        narrow: list[int] = []  # bounds of single paces

        def better(found: Regions | None) -> None:
            nonlocal best
            if found is not None and (best is None or self.ticks(found) < self.ticks(best)):
                best = found

        def light(index: int, before: int) -> int:
            """A bound for the CPU time at a pace of at most this; the least, where with a pace of at least ``before``
            it makes for less than the best latency."""
            limit = self._most if best is None else self.ticks(best) - before
            found, cpu, _ = self._ask("light", limit, None, 1, pace=paces[index], loose=True)
            if found is not None and self.problem.is_convex(found):
                better(found)
            elif found is not None and (best is None or paces[index] + cpu < self.ticks(best)):
                better(self._ask("light", limit, None, 1, pace=paces[index])[0])
            return cpu

        def in_window(bound: int, low: int, high: int) -> int:
            """A bound for paces between two candidates', which memory alone may set."""
            limit = self._most if best is None else self.ticks(best)
            request = Request("fast", limit, None, bound, True, 1, self.fixed, loose=True, window=(low, high))
            answer = self._solve(request)
            if answer.regions is not None:
                if self.problem.is_convex(answer.regions):
                    better(answer.regions)
                return max(bound, int(answer.bound))
            return limit if answer.proven else bound

        while self.effort.left > 0 and ranges:
            bound, first, last, cpu = heappop(ranges)
            if best is not None and bound * CLOSE >= self.ticks(best):
                heappush(ranges, (bound, first, last, cpu))
                break
            before = paces[first - 1] + 1 if first else 0
            if first == last:
                narrow.append(in_window(bound, before, paces[last]))
                continue
            middle = bisect_left(paces, int(sqrt(max(paces[first], 1) * paces[last])), first, last - 1)
            there = light(middle, before)
            heappush(ranges, (before + there, first, middle, there))
            heappush(ranges, (paces[middle] + 1 + cpu, middle + 1, last, cpu))
        if best is None:
            return None
        slower = paces[-1] + 1  # a region that memory makes slower than any candidate
        bound = min([self.ticks(best), *narrow, *(r[0] for r in ranges), slower])
        return Found(best, self.problem.outcome(best), bound, wide=True)

    def within(self, limit: int, hint: Regions | None, rounds: int = 1) -> tuple[Regions | None, bool]:
        """Any placement of at most ``limit`` ticks, and whether the answer is certain."""
        found, _, proven = self._ask("any", limit, hint, rounds)
        return found, found is not None or proven

    def lighter(self, regions: Regions) -> Regions | None:
        """A placement of least CPU time whose one accelerator region is no slower than that of ``regions``."""
        pace = self.problem.ticks(self.problem.outcome(regions).device_ms)
        return self._ask("light", self._most, regions, 1, pace=pace)[0]

    def smallest(self, limit: int, hint: Regions | None, rounds: int = 1, cpu_weight: float = 1.0) -> Answer:
        """The placement of at most ``limit`` ticks that takes least of the board; ``hint`` is one that keeps them. For
        the latency with the hint's pace."""
        pace = None
        if self.latency and hint and rounds == 1:
            pace = self.problem.ticks(self.problem.outcome(hint).device_ms)
        return self._solve(Request("small", limit, pace, 0, self.latency, rounds, self.fixed, cpu_weight, hint=hint))

    def ticks(self, regions: Regions) -> int:
        return self.problem.ticks(self.problem.outcome(regions).time(self.latency))

    def _ask(
        self, goal: Goal, limit: int, hint: Regions | None, rounds: int, low: int = 0, pace: int | None = None,
        loose: bool = False,
    ) -> tuple[Regions | None, int, bool]:  # fmt: skip
        """A placement, the least that its time can be, and whether that is certain."""
        request = Request(goal, limit, pace, low, self.latency, rounds, self.fixed, loose=loose, hint=hint)
        answer = self._solve(request)
        if answer.regions is None:
            return None, limit + 1 if answer.proven else low, answer.proven
        return answer.regions, int(answer.bound), answer.proven

    def _solve(self, request: Request, most: float = QUESTION) -> Answer:
        effort = max(0.1, min(most, self.effort.left))
        answer = solve(self.problem, replace(request, effort=effort))
        self.effort.take(answer.effort)
        return answer

    @property
    def _paces(self) -> list[int]:
        """At which a region can be, in ticks, ascending."""
        problem, found = self.problem, {0}
        for engine in problem.devices:
            for name in problem.names:
                found |= {problem.device_ticks(engine, c.cycles) for c in problem.offers[engine.name][name].candidates}
        return sorted(found)

    @property
    def _most(self) -> int:
        """Ticks within which every placement stays."""
        problem = self.problem
        total = sum(problem.cpu_ticks(c.cycles) for n in problem.names if (c := problem.on_cpu(n)))
        total += sum(2 * (problem.moving_ticks(c.bytes) + problem.packing_ticks(c.bytes)) for c in problem.crossings)
        for engine in problem.devices:
            offered = [c for name in problem.names for c in problem.offers[engine.name][name].candidates]
            total += max((problem.device_ticks(engine, c.cycles) for c in offered), default=0)
            total += problem.moving_ticks(sum(c.traffic for c in offered))
        return total + problem.call_ticks * (1 + len(problem.devices))
