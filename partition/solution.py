"""The placement for the board's objective: most frames a second, least latency, or the smallest that keeps a rate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ir.engine import Engine
from partition.plan import PlanError
from partition.problem import Outcome, Problem
from partition.search import CLOSE, WINDOW, Effort, Found, Regions, Search

EFFORT = 30.0
"""Deterministic seconds for the whole search; about as many of a slow core's."""

MOST_ROUNDS = 3
"""Accelerator regions of each engine at most."""

BOUNDING = 6.0
"""Deterministic seconds for the bound over any number of regions, at most."""

TIE = 0.001
"""The weight of the CPU's time where the accelerator's area is the objective."""


@dataclass(frozen=True)
class Solution:
    """The chosen accelerator regions and what they come to.

    ``gap``: by what share of its time, or of its area where that is the objective, another placement with up to
    ``rounds`` accelerator regions of each engine may be better at most; ``wider``: one with `MOST_ROUNDS` of them, None
    where that is not known (for the latency, of several engines or of a network that is asked as a whole). ``alone``:
    by engine name the fastest placement of all nodes on it, if there is one.
    """

    regions: Regions
    outcome: Outcome
    gap: float
    rounds: int
    alone: Mapping[str, Outcome]
    effort: float
    wider: float | None = None


def best(problem: Problem, effort: float = EFFORT) -> Solution:
    """PlanError where no placement was found, or none that keeps the wanted rate."""
    return _Solver(problem, Effort(effort)).solution()


def alone(problem: Problem, engine: Engine, effort: Effort, latency: bool = False) -> Found | None:
    """The fastest placement with every node in one region of a device engine."""
    if not all(problem.taken(engine, name) for name in problem.names):
        return None
    narrowed = replace(problem, devices=(engine,))
    return Search(narrowed, latency, effort, dict.fromkeys(problem.names, engine.name)).fastest()


@dataclass(frozen=True)
class _Solver:
    problem: Problem
    effort: Effort

    def solution(self) -> Solution:
        problem, search = self.problem, self.search
        on_cpu = all(problem.on_cpu(name) for name in problem.names)
        seeds: list[Regions] = [()] if on_cpu else []
        whole = {e.name: found for e in problem.devices if (found := alone(problem, e, self.effort, self.latency))}
        seeds += [found.regions for found in whole.values()]
        found = self.first(seeds)
        if found is None:
            raise PlanError(_homeless(problem))
        rounds = 1 if found.regions in seeds or len(found.regions) <= len(problem.devices) else len(found.regions)
        found, rounds, scope, least = self.more_regions(found, rounds)
        limit = max(search.ticks(found.regions), search.floor)
        if problem.target.objective == "area" and limit > search.floor:
            rate = 1000 / found.outcome.time(False)
            wanted = problem.target.frames_per_second
            raise PlanError(
                f"{problem.graph.name}: {wanted:g} frames/s are out of reach on {problem.target.name} "
                f"(the fastest placement found gives {rate:.1f})"
            )
        regions, gap = self.spared(found, limit, rounds)
        scope, wider = rounds if problem.target.objective == "area" else scope, None
        if problem.target.objective != "area":
            gap = self.gap(found, found.bound)
            wider = self.gap(found, least) if least or scope == MOST_ROUNDS or not self.latency else None
        together = {name: f.outcome for name, f in whole.items()}
        return Solution(regions, problem.outcome(regions), gap, scope, together, self.effort.spent, wider)

    def gap(self, found: Found, bound: int) -> float:
        """By what share of its time a placement of ``bound`` ticks would be better."""
        time = found.outcome.time(self.latency)
        return max(0.0, 1 - bound * self.problem.tick_ms / time) if time and self.problem.devices else 0.0

    @property
    def latency(self) -> bool:
        return self.problem.target.objective == "latency"

    @property
    def search(self) -> Search:
        target, floor = self.problem.target, 0
        if target.objective == "area":
            assert target.frames_per_second, "an area is least at a rate"
            floor = self.problem.ticks(1000 / target.frames_per_second)
        elif target.fabric and target.fabric.cycle_budget and not self.latency:
            budget = target.fabric.cycle_budget
            floor = max((self.problem.device_ticks(e, budget) for e in self.problem.devices), default=0)
        return Search(self.problem, self.latency, self.effort, floor=floor)

    def first(self, seeds: list[Regions]) -> Found | None:
        """With one accelerator region of each engine, or as many as it takes."""
        if not self.problem.devices:
            return Found((), self.problem.outcome(()), 0) if seeds else None
        if not self.latency or len(self.problem.devices) > 1:
            found = self.search.fastest(seeds)
        else:
            found = self.search.shortest(seeds)
        rounds = 2
        while found is None and rounds <= MOST_ROUNDS and self.effort.left > 0:
            found, rounds = self.search.fastest((), rounds), rounds + 1
        return found

    def more_regions(self, found: Found, rounds: int) -> tuple[Found, int, int, int]:
        """A better placement with more accelerator regions, if there is one, in how many rounds it is, up to how many
        rounds its bound holds, and the ticks that no placement of `MOST_ROUNDS` beats."""
        problem, search = self.problem, self.search
        least = found.bound if found.wide else search.floor
        bounded = rounds < MOST_ROUNDS and problem.devices and not self.latency
        if bounded and search.ticks(found.regions) > search.floor:
            share = Effort(min(BOUNDING, self.effort.left / 2))
            least = replace(search, effort=share).least(found.regions)
            self.effort.take(share.spent)
            if search.ticks(found.regions) <= least * CLOSE:
                return replace(found, bound=least), rounds, MOST_ROUNDS, least
            found = replace(found, bound=max(found.bound, least))
        for tried in range(rounds + 1, MOST_ROUNDS + 1):
            placed = {name for region in found.regions for name in region.choices}
            idle = any(problem.taken(e, n) for e in problem.devices for n in problem.names if n not in placed)
            if not idle or search.ticks(found.regions) <= search.floor:
                return found, rounds, MOST_ROUNDS, found.bound
            wanted = int(search.ticks(found.regions) / WINDOW)
            if wanted < least:
                return replace(found, bound=least), rounds, MOST_ROUNDS, least
            regions, proven = search.within(wanted, found.regions, tried)
            if not proven:
                return found, rounds, tried - 1, least
            known = least if regions is not None else wanted + 1
            better = search.fastest([found.regions if regions is None else regions], tried, known)
            assert better is not None, "a seed is a placement"
            if search.ticks(better.regions) < search.ticks(found.regions):
                found, rounds = better, tried
            else:
                found = replace(found, bound=min(found.bound, better.bound))
        return found, rounds, MOST_ROUNDS, found.bound

    def spared(self, found: Found, limit: int, rounds: int) -> tuple[Regions, float]:
        """A smaller placement that is as fast, and by what share another one may be smaller still."""
        if not found.regions:
            return found.regions, 0.0
        weight = TIE if self.problem.target.objective == "area" else 1.0
        rounded = len(self.problem.names) + 2 * len(self.problem.crossings)  # ticks that rounding up may have added
        slack = min(rounded, int(limit * (CLOSE - 1) / 2))
        answer = self.search.smallest(limit + slack, found.regions, rounds, weight)
        if answer.regions is None:
            return found.regions, 1.0
        gap = max(0.0, 1 - answer.bound / answer.value) if answer.value else 0.0
        kept = max(found.outcome.time(self.latency) * CLOSE, limit * self.problem.tick_ms)
        fast = self.problem.outcome(answer.regions).time(self.latency) <= kept
        return (answer.regions, gap) if fast else (found.regions, 1.0)


def _homeless(problem: Problem) -> str:
    """The first node that no engine takes, with the reasons of each."""
    graph, engines = problem.graph, problem.offers
    for node in graph.nodes:
        against = {name: answers[node.name].against for name, answers in engines.items()}
        if all(against.values()):
            reasons = "; ".join(f"{name}: {a.text}" for name, a in against.items() if a)
            return f"{graph.name}: node '{node.name}' ({type(node.op).__name__}) runs nowhere: {reasons}"
    return f"{graph.name}: some nodes cannot run on the CPU, and with them the accelerator exceeds the board"
