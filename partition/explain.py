"""What sets the time of a plan, what other placements would give, and what a larger board would."""

from __future__ import annotations

from dataclasses import fields, replace

from ir.engine import MOST_PORTS, Engine
from ir.target import Resources, Target
from partition.plan import Alternative, Explanation
from partition.problem import Placed, Problem
from partition.reasons import share
from partition.search import WINDOW, Effort, Search
from partition.solution import MOST_ROUNDS, Solution

MORE = 1.1
"""How much larger the board is made, one property at a time."""

EFFORT = 1.5
"""Deterministic seconds for each of these."""

NAMES = {"lut": "LUTs", "dsp": "DSPs", "bram18": "block RAM", "uram": "UltraRAM", "ff": "flip-flops"}


def explained(problem: Problem, solution: Solution) -> Explanation:
    latency = problem.target.objective == "latency"
    effort = Effort(1e9)
    alternatives = [_cpu_only(problem, latency), *(_alone(problem, solution, e, latency) for e in problem.devices)]
    wanted = solution.regions and problem.target.objective != "area"
    larger = _larger(problem, solution, latency, effort) if wanted else ()
    scope = "one accelerator region" if solution.rounds == 1 else f"up to {solution.rounds} accelerator regions"
    if solution.rounds < MOST_ROUNDS and solution.wider is not None:
        scope += f", {solution.wider:.2%} with up to {MOST_ROUNDS}"
    return Explanation(
        problem.target.objective, solution.gap, scope, bottleneck(problem, solution, latency),
        tuple(alternatives), larger, solution.effort + effort.spent,
    )  # fmt: skip


def bottleneck(problem: Problem, solution: Solution, latency: bool) -> str:
    """The side that sets the time, and what of it does."""
    outcome, target = solution.outcome, problem.target
    if not solution.regions or (outcome.cpu_ms > outcome.device_ms):
        placed = {name for region in solution.regions for name in region.choices}
        times = {n: c.cycles for n in problem.names if n not in placed and (c := problem.on_cpu(n))}
        if not times:
            return "CPU: handing tensors over"
        slowest = max(times, key=lambda n: times[n])
        part = times[slowest] / (problem.cpu.clock_mhz(target) * 1e3) / outcome.cpu_ms if outcome.cpu_ms else 0
        return f"CPU: {outcome.cpu_ms:.3f} ms, {part:.0%} of it {slowest}"
    region = max(solution.regions, key=lambda r: _pace_ms(problem, r))
    slowest = max(region.choices, key=lambda n: region.choices[n].cycles)
    if _pace_ms(problem, region) * len(solution.regions) < outcome.device_ms * 0.999 and len(solution.regions) == 1:
        return f"memory: {outcome.device_ms:.3f} ms for what the accelerator moves"
    equal = [n for n, c in region.choices.items() if c.cycles >= 0.98 * region.choices[slowest].cycles and n != slowest]
    beside = f", {len(equal)} more within 2 %" if equal else ""
    return f"accelerator: {slowest}, {region.choices[slowest].cycles} cycles a frame{beside}"


def _pace_ms(problem: Problem, region: Placed) -> float:
    return max(c.cycles for c in region.choices.values()) / (region.engine.clock_mhz(problem.target) * 1e3)


def _cpu_only(problem: Problem, latency: bool) -> Alternative:
    lacking = [name for name in problem.names if problem.on_cpu(name) is None]
    if not lacking:
        return Alternative("CPU only", problem.outcome(()).time(latency))
    against = problem.offers[problem.cpu.name][lacking[0]].against
    return Alternative("CPU only", None, f"{lacking[0]}: {against.text if against else 'it has no candidate'}")


def _alone(problem: Problem, solution: Solution, engine: Engine, latency: bool) -> Alternative:
    what = f"{engine.name} only"
    if engine.name in solution.alone:
        return Alternative(what, solution.alone[engine.name].time(latency))
    for name in problem.names:
        if (against := problem.offers[engine.name][name].against) is not None:
            return Alternative(what, None, f"{name}: {against.text}")
    smallest = {
        name: min(problem.offers[engine.name][name].candidates, key=lambda c: share(c.resources, problem.budget))
        for name in problem.names
    }
    ports = len(problem.edge_tensors(problem.names))
    if ports > MOST_PORTS:
        return Alternative(what, None, f"{ports} tensors enter or leave, a region has {MOST_PORTS} ports")
    lacking = problem.resources(Placed(engine, smallest)).exceeds(problem.budget)
    return Alternative(
        what, None, f"more than the board has ({', '.join(kind.upper() for kind in lacking) or 'all kinds'})"
    )


def _larger(problem: Problem, solution: Solution, latency: bool, effort: Effort) -> tuple[Alternative, ...]:
    """The time with a tenth more of one thing, for those that matter; gains of less than `WINDOW` are not looked for,
    and with the note "at least" there may be a faster placement than the one found."""
    found = []
    for what, target in _boards(problem.target, solution.outcome.resources):
        larger = replace(problem, target=target)
        share = Effort(EFFORT)
        search = Search(larger, latency, share)
        rounds = max(1, len(solution.regions))
        seed = larger.outcome(solution.regions).time(latency)
        if latency and rounds == 1:
            regions, certain = search.lighter(solution.regions), False
            seed = min(seed, larger.outcome(regions).time(latency) if regions is not None else seed)
        else:
            regions, certain = search.within(int(larger.ticks(seed) / WINDOW), solution.regions, rounds)
            better = search.fastest([regions], rounds) if regions is not None else None
            seed = min(seed, better.outcome.time(latency) if better else seed)
        note = "" if certain else "at least"
        effort.take(share.spent)
        found.append(Alternative(what, seed, note))
    return tuple(found)


def _boards(target: Target, used: Resources) -> list[tuple[str, Target]]:
    assert target.fabric is not None
    fabric, cpu, memory, boards = target.fabric, target.cpu, target.memory, list[tuple[str, Target]]()
    for f in fields(Resources):
        has = getattr(fabric.budget, f.name)
        if has and getattr(used, f.name) > has / 2:
            budget = replace(fabric.budget, **{f.name: round(has * MORE)})
            boards.append((f"10 % more {NAMES[f.name]}", replace(target, fabric=replace(fabric, budget=budget))))
    faster = replace(fabric, clock_mhz=fabric.clock_mhz * MORE)
    boards.append((f"accelerator at {faster.clock_mhz:.0f} MHz", replace(target, fabric=faster)))
    quick = replace(cpu, clock_mhz=cpu.clock_mhz * MORE)
    boards.append((f"CPU at {quick.clock_mhz:.0f} MHz", replace(target, cpu=quick)))
    wide = replace(memory, bandwidth_gbs=memory.bandwidth_gbs * MORE)
    boards.append((f"memory of {wide.bandwidth_gbs:.1f} GB/s", replace(target, memory=wide)))
    return boards
