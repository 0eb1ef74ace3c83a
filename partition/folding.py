"""The fastest pipeline that fits a budget: one candidate per node of a dataflow region, chosen together.

The pace of a pipeline is its slowest node's, or that at which memory brings what all of them stream from it; every
faster choice elsewhere is waste: first the pace is minimised within the budget, then the share of the board that this
pace takes. Both by CP-SAT, exact and repeatable (one worker).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from math import ceil, inf

from ortools.sat.python import cp_model

from ir.engine import Candidate
from ir.target import Resources

KINDS = tuple(f.name for f in fields(Resources))
SHARES = 1_000_000
"""What a whole board's worth of a resource counts in the second objective."""

PARTS = 1000
"""Of a byte, in which the bandwidth is counted."""

EFFORT = 20.0
"""Deterministic seconds of search per solve; the best solution found by then is taken."""


@dataclass(frozen=True)
class Folding:
    """Choices for a region and the cycles between frames that follow."""

    cycles: int
    choices: Mapping[str, Candidate]
    resources: Resources


def fold(
    options: Mapping[str, Sequence[Candidate]],
    fixed: Resources,
    budget: Resources,
    pace: int | None = None,
    spare: bool = True,
    bandwidth: float = inf,
) -> Folding | tuple[str, ...]:
    """The folding with the fewest cycles within ``budget``, ``fixed`` resources included; with a ``pace``, the smallest
    of at most that many cycles. Without ``spare`` it may take more than its pace needs, which is found sooner.
    ``bandwidth``: bytes that memory moves in a cycle.

    Where nothing fits: the names of what runs out, ``cycles`` where it is the pace.
    """
    best = _solve(options, fixed, budget, pace, bandwidth, fastest=True)
    if best is None:
        return _exceeded(options, fixed, budget, pace)
    if not spare:
        return best
    return _solve(options, fixed, budget, best.cycles if pace is None else pace, bandwidth, fastest=False) or best


def _solve(
    options: Mapping[str, Sequence[Candidate]],
    fixed: Resources,
    budget: Resources,
    pace: int | None,
    bandwidth: float,
    fastest: bool,
) -> Folding | None:
    model = cp_model.CpModel()
    moved = _moving(sum(max(c.traffic for c in offered) for offered in options.values()), bandwidth)
    slowest = max(moved, *(c.cycles for offered in options.values() for c in offered))
    cycles = model.new_int_var(0, slowest if pace is None else min(pace, slowest), "cycles")
    picks: dict[str, list[tuple[Candidate, cp_model.IntVar]]] = {}
    for node, offered in options.items():
        usable = [c for c in offered if pace is None or c.cycles <= pace]
        if not usable:
            return None
        picks[node] = [(c, model.new_bool_var(f"{node}.{i}")) for i, c in enumerate(usable)]
        model.add_exactly_one(pick for _, pick in picks[node])
        model.add(cycles >= sum(c.cycles * pick for c, pick in picks[node]))
    every = [pair for pairs in picks.values() for pair in pairs]
    for kind in KINDS:
        used = sum(getattr(c.resources, kind) * pick for c, pick in every)
        model.add(used <= getattr(budget, kind) - getattr(fixed, kind))
    if moved:
        traffic = sum(c.traffic * pick for c, pick in every if c.traffic)
        model.add(PARTS * traffic <= round(PARTS * bandwidth) * cycles)
    model.minimize(cycles if fastest else sum(_share(c.resources, budget) * pick for c, pick in every))
    solver = cp_model.CpSolver()
    solver.parameters.num_workers, solver.parameters.random_seed = 1, 0
    solver.parameters.max_deterministic_time = EFFORT
    if solver.solve(model) not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return None
    choices = {node: next(c for c, pick in pairs if solver.boolean_value(pick)) for node, pairs in picks.items()}
    moving = _moving(sum(c.traffic for c in choices.values()), bandwidth)
    slowest = max(moving, *(c.cycles for c in choices.values()))
    return Folding(slowest, choices, sum((c.resources for c in choices.values()), fixed))


def _moving(traffic: int, bandwidth: float) -> int:
    """Cycles that memory takes for so many bytes."""
    return ceil(traffic / bandwidth)


def _exceeded(
    options: Mapping[str, Sequence[Candidate]], fixed: Resources, budget: Resources, pace: int | None
) -> tuple[str, ...]:
    """What runs out with the least that every node can do with; where only the sum of all kinds is too much, all that
    a folding needs which takes the smallest share of the board."""
    if pace is not None and any(min(c.cycles for c in offered) > pace for offered in options.values()):
        return ("cycles",)
    usable = [[c for c in offered if pace is None or c.cycles <= pace] for offered in options.values()]
    least = Resources(
        *(getattr(fixed, k) + sum(min(getattr(c.resources, k) for c in offered) for offered in usable) for k in KINDS)
    )
    smallest = sum((min(offered, key=lambda c: _share(c.resources, budget)).resources for offered in usable), fixed)
    return least.exceeds(budget) or smallest.exceeds(budget) or KINDS


def _share(resources: Resources, budget: Resources) -> int:
    """How much of the budget something takes, all kinds added up (a kind the board lacks counts as its amount)."""
    return sum(SHARES * getattr(resources, kind) // max(getattr(budget, kind), 1) for kind in KINDS)
