"""The fastest pipeline that fits a budget: every node of a dataflow region takes the cheapest way to keep the pace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ir.engine import Candidate
from ir.target import Resources


@dataclass(frozen=True)
class Folding:
    """Choices for a region and the cycles between frames that follow (its slowest node's)."""

    cycles: int
    choices: Mapping[str, Candidate]
    resources: Resources


def fold(options: Mapping[str, Sequence[Candidate]], fixed: Resources, budget: Resources) -> Folding | tuple[str, ...]:
    """The folding with the fewest cycles within ``budget``, ``fixed`` resources included.

    Where nothing fits: the names of the resources that the smallest configuration exceeds. The pace is found by
    bisection over the candidates' cycle counts: a slower pace never needs more.
    """
    paces = sorted({c.cycles for candidates in options.values() for c in candidates})
    slowest = _at_pace(options, paces[-1], fixed, budget)
    assert slowest is not None
    if over := slowest.resources.exceeds(budget):
        return over
    low, high, best = 0, len(paces) - 1, slowest
    while low < high:
        middle = (low + high) // 2
        attempt = _at_pace(options, paces[middle], fixed, budget)
        if attempt is not None and not attempt.resources.exceeds(budget):
            best, high = attempt, middle
        else:
            low = middle + 1
    return best


def _at_pace(
    options: Mapping[str, Sequence[Candidate]], pace: int, fixed: Resources, budget: Resources
) -> Folding | None:
    """Every node's cheapest candidate of at most ``pace`` cycles; None if a node has none."""
    choices = {}
    total = fixed
    for node, candidates in options.items():
        fast_enough = [c for c in candidates if c.cycles <= pace]
        if not fast_enough:
            return None
        choices[node] = min(fast_enough, key=lambda c: (_share(c.resources, budget), c.cycles))
        total = total + choices[node].resources
    return Folding(max(c.cycles for c in choices.values()), choices, total)


def _share(resources: Resources, budget: Resources) -> float:
    """How much of the budget something takes, all kinds added up (a kind the board lacks counts as its amount)."""
    pairs = (
        (resources.lut, budget.lut),
        (resources.dsp, budget.dsp),
        (resources.bram18, budget.bram18),
        (resources.uram, budget.uram),
    )
    return sum(used / max(available, 1) for used, available in pairs)
