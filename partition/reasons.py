"""Why a node is where it is, one line each."""

from __future__ import annotations

from collections.abc import Iterable

from ir.engine import Candidate, Engine
from ir.kinds import is_fallback
from ir.target import Resources
from partition.plan import Decision
from partition.problem import Outcome, Placed, Problem, between
from partition.prune import KINDS
from partition.search import CLOSE
from partition.solution import Solution


def decisions(problem: Problem, solution: Solution) -> tuple[Decision, ...]:
    """In the order of the graph."""
    where = {name: region for region in solution.regions for name in region.choices}
    found = []
    for node in problem.graph.nodes:
        region = where.get(node.name)
        if region is not None:
            prepared = problem.offers[region.engine.name][node.name].prepared
            note = prepared.note if prepared else ""
            engine, why = region.engine.name, region.choices[node.name].note or note
        else:
            engine, why = problem.cpu.name, why_not(problem, solution, node.name)
        found.append(Decision(node.name, type(node.op).__name__, engine, why))
    return tuple(found)


def why_not(problem: Problem, solution: Solution, node: str) -> str:
    """Why a node stays on the CPU: no device, the devices' objections, what is left of the board, or nothing to gain.

    The other nodes keep their candidates; in the best placement they are no larger than its time asks for.
    """
    if is_fallback(problem.graph.view(node)):
        return "float fallback: no integer form, computed in binary64 on the CPU"
    if not problem.graph.types[node].dtype.is_integer:
        return "float32 runs on the CPU"
    if problem.target.fabric is None:
        return "the board has no programmable logic"
    devices = [name for name in problem.offers if name != problem.cpu.name]
    against = [problem.offers[name][node].against for name in devices]
    if all(against):
        return "; ".join(a.text for a in against if a) or "there is no accelerator"
    moves = [move for e in problem.devices if problem.taken(e, node) for move in _moves(problem, solution, e, node)]
    fitting = [move for move in moves if not isinstance(move, tuple)]
    if not moves:
        return "an operator between it and the accelerator runs on the CPU"
    if not fitting:
        lacking = min((m for m in moves if isinstance(m, tuple)), key=len)
        return f"budget exhausted ({', '.join(kind.upper() for kind in lacking)})"
    latency = problem.target.objective == "latency"
    moved = min(fitting, key=lambda outcome: outcome.time(latency))
    time, kept = moved.time(latency), solution.outcome.time(latency)
    if time > kept * CLOSE:
        return f"on the accelerator a frame would take {time:.3f} instead of {kept:.3f} ms"
    spared = moved.resources - solution.outcome.resources
    kind = next((k for k in ("dsp", "lut", "bram18", "ff") if getattr(spared, k) > 0), "dsp")
    return f"not the bottleneck, leaves {getattr(spared, kind)} {kind.upper()} free"


def _moves(problem: Problem, solution: Solution, engine: Engine, node: str) -> list[Outcome | tuple[str, ...]]:
    """What came of it with the node in each region of the engine, or in one of its own; or the resources it lacks."""
    regions, found = solution.regions, list[Outcome | tuple[str, ...]]()
    group = _group(problem, engine, node)
    for i, region in enumerate(regions):
        if region.engine.name == engine.name:
            inside = between(problem.graph, {*region.choices, *group})
            elsewhere = {n for j, other in enumerate(regions) if j != i for n in other.choices}
            if not inside & elsewhere and all(problem.taken(engine, n) for n in inside):
                found.append(_moved(problem, solution, i, engine, inside - region.choices.keys()))
    inside = between(problem.graph, group)
    if not found and all(problem.taken(engine, n) for n in inside):
        found.append(_moved(problem, solution, None, engine, inside))
    return found


def _moved(
    problem: Problem, solution: Solution, index: int | None, engine: Engine, nodes: Iterable[str]
) -> Outcome | tuple[str, ...]:
    base = solution.regions[index].choices if index is not None else {}
    pace = problem.ticks(solution.outcome.time(problem.target.objective == "latency"))
    added: dict[str, Candidate] = {}
    for name in nodes:
        added[name] = _least(problem, engine, name, pace)
    grown = Placed(engine, {**base, **added})
    others = [region for i, region in enumerate(solution.regions) if i != index]
    outcome = problem.outcome((*others, grown))
    return outcome.resources.exceeds(problem.budget) or outcome


def _least(problem: Problem, engine: Engine, node: str, pace: int) -> Candidate:
    """The candidate that takes the smallest share of the board among those fast enough; else the fastest. Asked about a
    node for every other that it stands between."""
    key = engine.name, node, pace
    if key not in problem.smallest:
        problem.smallest[key] = _smallest(problem, engine, node, pace)
    return problem.smallest[key]


def _smallest(problem: Problem, engine: Engine, node: str, pace: int) -> Candidate:
    offered = problem.offers[engine.name][node].candidates
    fast = [c for c in offered if problem.device_ticks(engine, c.cycles) <= pace]
    return min(fast, key=lambda c: share(c.resources, problem.budget)) if fast else min(offered, key=lambda c: c.cycles)


def _group(problem: Problem, engine: Engine, node: str) -> set[str]:
    """The node, and those that share a stage with it."""
    host = problem.within(engine, node) or node
    return {host, *(name for name in problem.names if problem.within(engine, name) == host)}


def share(used: Resources, budget: Resources) -> float:
    """How much of the budget something takes, all kinds added up (a kind the board lacks counts as its amount)."""
    parts: list[float] = [getattr(used, kind) / max(getattr(budget, kind), 1) for kind in KINDS]
    return sum(parts)
