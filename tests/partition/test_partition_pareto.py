"""The front of rate against area, on tables whose placements are few enough to be tried one by one."""

from __future__ import annotations

from itertools import product

import pytest
from fake_engines import FakeEngine, chain, cpu, target

from ir.engine import Candidate
from ir.target import Resources
from partition import PlanError
from partition.pareto import POINTS, front

WAYS = {count: Candidate(8000 // count, Resources(dsp=count)) for count in (1, 2, 4, 8)}
ON_CPU = 40_000
BUDGET = 16


def every_placement() -> set[tuple[int, int]]:
    """(cycles between frames, multipliers) of two nodes, each on the CPU or as one of the candidates."""
    found = set()
    for ways in product((0, *WAYS), repeat=2):
        rest = ON_CPU * ways.count(0) + (16 if any(ways) else 0)  # bytes in and out of the one region
        found.add((max(rest, max((WAYS[n].cycles for n in ways if n), default=0)), sum(ways)))
    return found


def test_the_points_are_placements_that_nothing_beats() -> None:
    device = FakeEngine("dev", "device", {"a": list(WAYS.values()), "b": list(WAYS.values())})
    points = front(chain(2), [device, cpu({"a": ON_CPU, "b": ON_CPU})], target(Resources(dsp=BUDGET)))
    known = every_placement()
    best = {(c, d) for c, d in known if not any(o != (c, d) and o[0] <= c and o[1] <= d for o in known)}
    drawn = [(round(1e6 / p.frames_per_second), p.resources.dsp) for p in points]
    assert set(drawn) <= best and drawn == sorted(drawn) and len(drawn) == len(set(drawn)) <= POINTS
    assert drawn[0] == (1000, 16) and drawn[-1] == (2 * ON_CPU, 0)  # the fastest, and the CPU alone
    assert all(p.area == pytest.approx(p.resources.dsp / BUDGET) for p in points)
    assert points == front(chain(2), [device, cpu({"a": ON_CPU, "b": ON_CPU})], target(Resources(dsp=BUDGET)))


def test_without_programmable_logic_there_is_nothing_to_trade() -> None:
    with pytest.raises(PlanError, match="board has no programmable logic, so there is no area to trade"):
        front(chain(1), [cpu({"a": 5})], target(None))
