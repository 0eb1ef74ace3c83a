"""Candidates that can be in no best placement are left out before anything is solved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from ir.engine import Candidate
from ir.target import Resources

KINDS = tuple(f.name for f in fields(Resources))


@dataclass(frozen=True)
class Way:
    """A candidate with its time in ticks: ``cost`` are those, its resources in the order of `KINDS`, its traffic."""

    candidate: Candidate
    cost: tuple[int, ...]

    @property
    def ticks(self) -> int:
        return self.cost[0]


def ways(candidates: Sequence[Candidate], ticks: Sequence[int]) -> tuple[Way, ...]:
    return tuple(
        Way(c, (t, *(getattr(c.resources, kind) for kind in KINDS), c.traffic))
        for c, t in zip(candidates, ticks, strict=True)
    )


def useful(offered: Sequence[Way], low: int, high: int, budget: Resources) -> tuple[Way, ...]:
    """Those of at most ``high`` ticks and within the budget that no other beats in everything; whatever takes up to
    ``low`` ticks counts as equally fast."""
    kept = [
        way
        for way in offered
        if way.ticks <= high and all(u <= getattr(budget, k) for k, u in zip(KINDS, way.cost[1:], strict=False))
    ]
    if len(kept) < 2:
        return tuple(kept)
    costs = np.array([(max(way.ticks, low), *way.cost[1:]) for way in kept], np.int64)
    _, first = np.unique(costs, axis=0, return_index=True)
    first.sort()
    costs = costs[first]
    beaten = (costs[:, None, :] >= costs[None, :, :]).all(-1).sum(1) > 1  # each at least equals itself
    return tuple(kept[i] for i, b in zip(first.tolist(), beaten.tolist(), strict=True) if not b)
