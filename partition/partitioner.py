"""From engines and a graph to a plan: ask, solve, order the regions, say why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ir.engine import Candidate, Engine
from ir.graph import Graph
from ir.target import Resources, Target
from partition.explain import explained
from partition.offers import Offers, ask
from partition.plan import Cut, Plan, PlanError, Region
from partition.problem import Problem
from partition.reasons import decisions
from partition.search import Regions
from partition.solution import EFFORT, Solution, best


def partition(
    graph: Graph,
    engines: Sequence[Engine],
    target: Target,
    cuts: Sequence[Cut] = (),
    offers: Offers | None = None,
    effort: float = EFFORT,
) -> Plan:
    """Place every node of ``graph``. PlanError if no placement is found that the board can execute.

    Args:
        graph: what is placed.
        engines: one or more on the CPU, of which the first is used, and any number of accelerators.
        target: the board and its objective.
        cuts: what lowering earlier plans has shown.
        offers: the engines' answers for this graph and board, if they have been asked already.
        effort: deterministic seconds of search.
    """
    problem = pose(graph, engines, target, cuts, offers)
    solution = best(problem, effort)
    return replace(plan_of(problem, solution), explanation=explained(problem, solution))


def pose(
    graph: Graph, engines: Sequence[Engine], target: Target, cuts: Sequence[Cut] = (), offers: Offers | None = None
) -> Problem:
    """The problem, with every engine asked. PlanError without an engine for the CPU."""
    cpu = next((e for e in engines if e.side == "cpu"), None)
    if cpu is None:
        raise PlanError(f"{graph.name}: no engine runs on the CPU")
    asked = ask(graph, engines, target) if offers is None else offers
    devices = [e for e in engines if e.side == "device" and target.fabric is not None]
    useful = tuple(e for e in devices if any(o.prepared for o in asked[e.name].values()))
    return Problem(graph, target, cpu, useful, asked, tuple(cuts))


def plan_of(problem: Problem, solution: Solution) -> Plan:
    """The plan of a solution, with each node's reason; explaining it as a whole takes about as long as finding it."""
    outcome = solution.outcome
    return Plan(
        regions_of(problem, solution.regions), decisions(problem, solution), outcome.device_ms, outcome.cpu_ms,
        outcome.resources,
    )  # fmt: skip


def regions_of(problem: Problem, placed: Regions) -> tuple[Region, ...]:
    """All regions in execution order. What the CPU computes goes as late as it may: behind every accelerator region
    that does not wait for it."""
    level = {name: 2 * i + 1 for i, region in enumerate(placed) for name in region.choices}
    for name in reversed(problem.names):
        if name not in level:
            users = problem.graph.consumers.get(name, ())
            level[name] = min((level[user] // 2 * 2 for user in users), default=2 * len(placed))
    regions: list[Region] = []
    for at in range(2 * len(placed) + 1):
        names = [name for name in problem.names if level[name] == at]
        if not names:
            continue
        engine = placed[at // 2].engine if at % 2 else problem.cpu
        count = sum(r.engine.side == engine.side for r in regions)
        label = f"{'fpga' if at % 2 else 'cpu'}{count}"
        choices = placed[at // 2].choices if at % 2 else _on_cpu(problem, names)
        used = problem.resources(placed[at // 2]) if at % 2 else Resources()
        regions.append(Region(label, engine, problem.graph.subgraph(label, names), choices, used))
    return tuple(regions)


def _on_cpu(problem: Problem, names: Sequence[str]) -> Mapping[str, Candidate]:
    return {name: way for name in names if (way := problem.on_cpu(name)) is not None}
