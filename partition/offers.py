"""What the engines answer for the nodes of a graph: every question is asked once, before anything is placed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ir.engine import Candidate, Engine, Prepared, Reason
from ir.graph import Graph
from ir.target import Target


@dataclass(frozen=True)
class Offer:
    """What one engine answers for one node: a preparation with its candidates, or a reason against."""

    prepared: Prepared | None
    candidates: Sequence[Candidate]
    against: Reason | None


Offers = Mapping[str, Mapping[str, Offer]]
"""By engine, then node."""


def ask(graph: Graph, engines: Sequence[Engine], target: Target) -> Offers:
    """Every engine's offer for every node. A node computed in the stage of another that the engine does not take is
    not taken either."""
    offers = {e.name: {node.name: _ask(e, graph, node.name, target) for node in graph.nodes} for e in engines}
    for answers in offers.values():
        for name, offer in answers.items():
            within = offer.prepared.within if offer.prepared else None
            if within and answers[within].prepared is None:
                answers[name] = Offer(None, (), Reason(f"it is computed with {within}, which is not taken"))
    return offers


def _ask(engine: Engine, graph: Graph, node: str, target: Target) -> Offer:
    view = graph.view(node)
    objection = engine.objection(view, target)
    if objection:
        return Offer(None, (), objection)
    prepared = engine.prepare(view, target)
    if isinstance(prepared, Reason):
        return Offer(None, (), prepared)
    return Offer(prepared, engine.candidates(prepared, target), None)
