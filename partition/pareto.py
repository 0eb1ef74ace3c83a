"""Rate against area: the smallest accelerator for each of a row of rates, from the fastest down to the CPU alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ir.engine import Engine
from ir.graph import Graph
from ir.target import Resources, Target
from partition.partitioner import pose
from partition.plan import PlanError
from partition.reasons import share
from partition.search import Effort, Search
from partition.solution import TIE, best

POINTS = 10
"""Rates tried, evenly spaced by their logarithm."""

EFFORT = 2.0
"""Deterministic seconds for each."""

SLOWEST = 100.0
"""The lowest rate tried is the highest divided by this, where not even the CPU alone is as slow."""


@dataclass(frozen=True)
class Point:
    """A placement that no other of the front beats in both: ``area`` is the mean share of what the board has of each
    resource, ``nodes`` how many the accelerator computes."""

    frames_per_second: float
    area: float
    resources: Resources
    nodes: int


def front(graph: Graph, engines: Sequence[Engine], target: Target) -> tuple[Point, ...]:
    """The points, fastest first. PlanError on a board without programmable logic, or where nothing can be placed."""
    if target.fabric is None:
        raise PlanError(f"{graph.name}: {target.name} has no programmable logic, so there is no area to trade")
    problem = pose(graph, engines, replace(target, objective="throughput", frames_per_second=None))
    fastest = best(problem)
    top = fastest.outcome.time(False)
    bottom = top * SLOWEST
    if all(problem.on_cpu(name) for name in problem.names):
        bottom = min(bottom, problem.outcome(()).time(False))
    regions, points = fastest.regions, list[Point]()
    kinds = sum(count > 0 for count in vars(target.fabric.budget).values()) or 1
    for step in range(POINTS):
        limit = top * (bottom / top) ** (step / (POINTS - 1))
        search = Search(problem, False, Effort(EFFORT))
        found = search.smallest(problem.ticks(limit), regions, max(1, len(regions)), TIE).regions
        regions = regions if found is None else found
        outcome = problem.outcome(regions)
        area = share(outcome.resources, target.fabric.budget) / kinds
        nodes = sum(len(region.choices) for region in regions)
        points.append(Point(1000 / outcome.time(False), area, outcome.resources, nodes))
    kept = [p for p in points if not any(_beats(q, p) for q in points)]
    return tuple(sorted(dict.fromkeys(kept), key=lambda p: -p.frames_per_second))


def _beats(one: Point, other: Point) -> bool:
    fast, small = one.frames_per_second >= other.frames_per_second, one.area <= other.area
    return fast and small and (one.frames_per_second > other.frames_per_second or one.area < other.area)
