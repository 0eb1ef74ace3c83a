"""A whole graph as one region of an accelerator, whatever else might run it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ir.engine import Artifact, Candidate, Engine, Overhead, Prepared, Reason
from ir.graph import Graph, NodeView
from ir.target import Target
from partition.offers import Offer, Offers
from partition.plan import PlanError
from partition.problem import Problem
from partition.search import Effort, Search
from partition.solution import EFFORT, alone


def whole(graph: Graph, engine: Engine, target: Target, offers: Offers) -> Mapping[str, Candidate]:
    """The candidates of the fastest region of all nodes, the smallest of those. PlanError where none fits."""
    none = {name: Offer(None, (), Reason("left out")) for name in graph.by_name}
    problem = Problem(graph, target, _Nobody(), (engine,), {**offers, _Nobody.name: none})
    effort = Effort(EFFORT)
    found = alone(problem, engine, effort)
    if found is None:
        raise PlanError(f"{graph.name}: there is no region of all nodes on {engine.name} that the board has room for")
    search = Search(problem, False, effort, dict.fromkeys(problem.names, engine.name))
    regions = search.smallest(search.ticks(found.regions), found.regions).regions or found.regions
    return regions[0].choices


@dataclass(frozen=True)
class _Nobody:
    """A CPU that takes nothing."""

    name: str = "nobody"
    side: Literal["device", "cpu"] = "cpu"

    def clock_mhz(self, target: Target) -> float:
        return target.cpu.clock_mhz

    def objection(self, node: NodeView, target: Target) -> Reason | None:
        return Reason("left out")

    def prepare(self, node: NodeView, target: Target) -> Prepared | Reason:
        return Reason("left out")

    def candidates(self, prepared: Prepared, target: Target) -> Sequence[Candidate]:
        return ()

    def overhead(self, target: Target) -> Overhead:
        return Overhead()

    def lower(self, region: Graph, choices: Mapping[str, Candidate], target: Target) -> Artifact:
        raise AssertionError("nothing is placed here")
