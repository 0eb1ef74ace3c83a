"""A plan whose regions, lowered, fit the board: one that does not is cut off, and the problem solved again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from ir.engine import Artifact, DraftingEngine, Engine
from ir.graph import Graph
from ir.target import Resources, Target
from partition.explain import explained
from partition.layouts import agreed
from partition.offers import ask
from partition.partitioner import plan_of, pose
from partition.plan import Cut, Plan, PlanError, Region
from partition.solution import best

ATTEMPTS = 10
"""Plans that are looked at closely, drawn up or lowered, at most."""

PATIENCE = 4
"""Plans after which others are looked for in a smaller budget, by what they were over it: what takes more than was
estimated is in all of them, not in these regions alone."""


def settled(
    graph: Graph, engines: Sequence[Engine], target: Target, progress: Callable[[str], None]
) -> tuple[Plan, Mapping[str, Artifact]]:
    """The plan and its regions' artifacts by name. PlanError where no plan was found that keeps the budget lowered.
    Lowering is by far the dearest step: what engines see too large before it is not lowered."""
    progress(f"asking {len(engines)} engines about {len(graph.nodes)} nodes")
    offers, cuts, spared, over = ask(graph, engines, target), list[Cut](), Resources(), ""
    for attempt in range(ATTEMPTS):
        progress(f"partitioning again: {over}" if over else "partitioning")
        problem = pose(graph, engines, _without(target, spared), cuts, offers)
        solution = best(problem)
        plan = agreed(plan_of(problem, solution), graph, target)
        made, artifacts = {r.name: _drafted(r, target) for r in plan.regions}, {}
        if not (much := _over(made, target)):
            for region in plan.regions:
                progress(f"generating {region.name} ({region.engine.name}, {len(region.graph.nodes)} nodes)")
                artifacts[region.name] = region.engine.lower(region.graph, region.choices, _left(plan, region, target))
            made = {name: artifact.resources for name, artifact in artifacts.items()}
            if not (much := _over(made, target)):
                return replace(plan, explanation=explained(problem, solution)), artifacts
        over = f"{'lowered' if artifacts else 'drawn up'}, the plan takes {much}"
        cuts += [_cut(region, made[region.name]) for region in plan.regions if region.engine.side == "device"]
        if attempt >= PATIENCE:
            spared += _positive(sum(made.values(), Resources()) - _budget(target))
    raise PlanError(f"{graph.name}: {ATTEMPTS} plans were over the board's budget ({over})")


def _drafted(region: Region, target: Target) -> Resources:
    """What the region takes, as far as that is known before it is lowered."""
    if isinstance(region.engine, DraftingEngine):
        return region.engine.drafted(region.graph, region.choices, target)
    return region.resources


def _over(made: Mapping[str, Resources], target: Target) -> str:
    """What regions take more of than there is; empty where they fit."""
    used, budget = sum(made.values(), Resources()), _budget(target)
    return ", ".join(f"{getattr(used, k)} {k.upper()} of {getattr(budget, k)}" for k in used.exceeds(budget))


def _budget(target: Target) -> Resources:
    return target.fabric.budget if target.fabric else Resources()


def _without(target: Target, taken: Resources) -> Target:
    """The board with less of its fabric."""
    fabric = target.fabric and replace(target.fabric, budget=target.fabric.budget - taken)
    return replace(target, fabric=fabric)


def _positive(resources: Resources) -> Resources:
    return Resources(**{kind: max(count, 0) for kind, count in vars(resources).items()})


def _left(plan: Plan, region: Region, target: Target) -> Target:
    """The board without what the other regions take."""
    if target.fabric is None or region.engine.side != "device":
        return target
    return _without(target, sum((r.resources for r in plan.regions if r is not region), Resources()))


def _cut(region: Region, made: Resources) -> Cut:
    return Cut(region.engine.name, frozenset(region.graph.by_name), _positive(made - region.resources))
