"""A plan whose regions, lowered, fit the board: one that does not is cut off, and the problem solved again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from ir.engine import Artifact, Engine
from ir.graph import Graph
from ir.target import Resources, Target
from partition.layouts import agreed
from partition.offers import ask
from partition.partitioner import partition
from partition.plan import Cut, Plan, PlanError, Region

ATTEMPTS = 6
"""Plans that are lowered at most."""


def settled(
    graph: Graph, engines: Sequence[Engine], target: Target, progress: Callable[[str], None]
) -> tuple[Plan, Mapping[str, Artifact]]:
    """The plan and its regions' artifacts by name. PlanError where no plan was found that keeps the budget lowered."""
    progress(f"asking {len(engines)} engines about {len(graph.nodes)} nodes")
    offers, cuts, over = ask(graph, engines, target), list[Cut](), ""
    for attempt in range(ATTEMPTS):
        progress("partitioning" if not attempt else f"partitioning again: lowered, the plan takes {over}")
        plan = agreed(partition(graph, engines, target, cuts, offers), graph, target)
        artifacts = {}
        for region in plan.regions:
            progress(f"generating {region.name} ({region.engine.name}, {len(region.graph.nodes)} nodes)")
            artifacts[region.name] = region.engine.lower(region.graph, region.choices, _left(plan, region, target))
        made = sum((a.resources for a in artifacts.values()), Resources())
        budget = target.fabric.budget if target.fabric else Resources()
        exceeded = made.exceeds(budget)
        if not exceeded:
            return plan, artifacts
        over = ", ".join(f"{getattr(made, k)} {k.upper()} of {getattr(budget, k)}" for k in exceeded)
        cuts += [_cut(region, artifacts[region.name]) for region in plan.regions if region.engine.side == "device"]
    raise PlanError(f"{graph.name}: {ATTEMPTS} plans were over the board's budget when lowered (the last: {over})")


def _left(plan: Plan, region: Region, target: Target) -> Target:
    """The board without what the other regions take."""
    if target.fabric is None or region.engine.side != "device":
        return target
    others = sum((r.resources for r in plan.regions if r is not region), Resources())
    return replace(target, fabric=replace(target.fabric, budget=target.fabric.budget - others))


def _cut(region: Region, artifact: Artifact) -> Cut:
    more = artifact.resources - region.resources
    extra = {kind: max(value, 0) for kind, value in vars(more).items()}
    return Cut(region.engine.name, frozenset(region.graph.by_name), Resources(**extra))
