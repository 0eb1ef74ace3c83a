"""Random graphs and tables: every plan is legal, none is worse than either side alone, and small ones are the best."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import pytest
from fake_engines import FakeEngine, chain, cpu, target
from hypothesis import given, settings
from random_graphs import Case, cases

from ir.engine import Candidate
from ir.target import Resources
from partition import Plan, PlanError, partition
from partition.partitioner import pose
from partition.problem import Placed, Problem, between
from partition.reasons import share
from partition.search import CLOSE, Effort, Search
from partition.solution import TIE, best

FIXED = Resources(dsp=1)
"""What every region takes beside its nodes."""


def problem_of(case: Case) -> Problem:
    names = [node.name for node in case.graph.nodes]
    against = {name: "not this one" for name in names if name not in case.device}
    device = FakeEngine("dev", "device", case.device, against, fixed=FIXED)
    host = cpu(case.cpu, against={name: "no kernel" for name in names if name not in case.cpu})
    board = target(case.budget, case.objective)
    board = replace(board, memory=replace(board.memory, invocation_us=case.invocation_us))
    return pose(case.graph, [device, host], board)


def planned(problem: Problem) -> Plan:
    return partition(problem.graph, [*problem.devices, problem.cpu], problem.target, offers=problem.offers)


def check_legal(plan: Plan, problem: Problem) -> None:
    """Every node once, where its engine takes it; inputs made before they are read; regions convex; budget kept."""
    graph = problem.graph
    assert sorted(n.name for r in plan.regions for n in r.graph.nodes) == sorted(problem.names)
    ready = set(graph.inputs)
    for region in plan.regions:
        names = {node.name for node in region.graph.nodes}
        assert set(region.graph.verify().inputs) <= ready
        assert between(graph, names) == names or region.engine.side == "cpu"
        assert all(problem.taken(region.engine, name) for name in names)
        assert all(region.choices[name] in problem.offers[region.engine.name][name].candidates for name in names)
        ready |= set(region.graph.outputs)
    assert set(graph.outputs) <= ready
    assert not plan.resources.exceeds(problem.budget)
    assert {d.node: d.engine for d in plan.decisions} == {n: r.engine.name for r in plan.regions for n in r.choices}
    assert all(d.reason for d in plan.decisions)


def one_region_placements(problem: Problem) -> Iterator[tuple[Placed, ...]]:
    """All placements with no accelerator region or one, that the board has room for."""
    (device,) = problem.devices or (None,)
    for inside in product((False, True), repeat=len(problem.names)):
        names = {name for name, chosen in zip(problem.names, inside, strict=True) if chosen}
        if any(problem.on_cpu(name) is None for name in problem.names if name not in names):
            continue
        if not names:
            yield ()
        elif device and all(problem.taken(device, n) for n in names) and between(problem.graph, names) == names:
            ordered = sorted(names)
            for choice in product(*(_few(problem, name) for name in ordered)):
                placed = Placed(device, dict(zip(ordered, choice, strict=True)))
                if not problem.resources(placed).exceeds(problem.budget):
                    yield (placed,)


def _few(problem: Problem, name: str) -> list[Candidate]:
    return list(problem.offers["dev"][name].candidates)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(cases())
def test_every_plan_is_legal_and_no_worse_than_either_side_alone(case: Case) -> None:
    problem = problem_of(case)
    try:
        plan = planned(problem)
    except PlanError:
        assert not case.cpu.keys() >= set(problem.names)  # else the CPU could have done it all
        return
    check_legal(plan, problem)
    time = plan.latency_ms if case.objective == "latency" else plan.interval_ms
    assert plan.explanation
    for alone in plan.explanation.alternatives:
        assert alone.ms is None or time <= alone.ms * (1 + 1e-6)
        assert alone.ms is not None or alone.note


@settings(max_examples=25, deadline=None, derandomize=True)
@given(cases(most=4))
def test_no_placement_with_one_region_is_better(case: Case) -> None:
    problem = problem_of(case)
    latency = case.objective == "latency"
    times = [problem.outcome(regions).time(latency) for regions in one_region_placements(problem)]
    if not times:
        return
    plan = planned(problem)
    assert (plan.latency_ms if latency else plan.interval_ms) <= min(times) * (1 + 1e-5)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(cases(most=4))
def test_no_smaller_placement_with_one_region_keeps_the_rate(case: Case) -> None:
    """At the rate of the middle one of all placements; equally small ones are told apart by the CPU's time."""
    problem = problem_of(case)
    outcomes = sorted(map(problem.outcome, one_region_placements(problem)), key=lambda outcome: outcome.time(False))
    if not outcomes or not problem.devices:
        return
    limit = outcomes[len(outcomes) // 2].time(False)
    wanted = replace(problem.target, objective="area", frames_per_second=1000 / limit)
    plan = planned(replace(problem, target=wanted))
    check_legal(plan, problem)
    assert plan.interval_ms <= limit * CLOSE
    smallest = min(share(o.resources, problem.budget) for o in outcomes if o.time(False) <= limit)
    assert share(plan.resources, problem.budget) <= smallest + 2 * TIE


def placements(problem: Problem, most: int) -> Iterator[tuple[Placed, ...]]:
    """All with up to ``most`` accelerator regions that the board has room for: levels do not fall along an edge."""
    (device,) = problem.devices
    for levels in product(range(2 * most + 1), repeat=len(problem.names)):
        level = dict(zip(problem.names, levels, strict=True))
        inside = sorted(name for name in problem.names if level[name] % 2)
        if any(level[before] > level[after] for before, after in problem.edges) or any(
            problem.on_cpu(name) is None for name in problem.names if name not in inside
        ):
            continue
        if not all(problem.taken(device, name) for name in inside):
            continue
        for choice in product(*(_few(problem, name) for name in inside)):
            chosen = dict(zip(inside, choice, strict=True))
            parts = [{n: c for n, c in chosen.items() if level[n] == k} for k in range(1, 2 * most, 2)]
            regions = tuple(Placed(device, part) for part in parts if part)
            if not sum((problem.resources(r) for r in regions), Resources()).exceeds(problem.budget):
                yield regions


@settings(max_examples=30, deadline=None, derandomize=True)
@given(cases(most=3))
def test_no_placement_with_more_regions_beats_the_bound(case: Case) -> None:
    """The bound of the search is below all of them, and what a plan says of itself as well."""
    problem = problem_of(case)
    if not problem.devices or not (known := list(placements(problem, 2))):
        return
    latency = case.objective == "latency"
    time = min(problem.outcome(regions).time(latency) for regions in known)
    if problem.target.objective in ("throughput", "latency"):
        solution = best(problem)
        found, wider = solution.outcome.time(latency), solution.wider
        assert wider is not None and found * (1 - wider) <= time * (1 + 1e-5)
        search, rounded = Search(problem, latency, Effort(10.0)), len(problem.names) + 2 * len(problem.crossings)
        if not latency:
            assert search.least(known[0]) <= problem.ticks(time) * (1 + 1e-5) + rounded
            return
        paced = search.by_pace(None)  # what problems are solved by that are too large to be asked as a whole
        if paced is None:
            assert all(len(regions) > 1 for regions in known)
            return
        assert paced.wide and paced.bound <= problem.ticks(time) * (1 + 1e-5) + rounded
        assert paced.outcome == problem.outcome(paced.regions) and paced.outcome.time(True) >= time * (1 - 1e-5)
        alone = [problem.outcome(regions).time(True) for regions in known if len(regions) < 2]
        assert paced.outcome.time(True) <= min(alone) * CLOSE + rounded * problem.tick_ms


def test_the_bound_over_many_regions_is_met_where_two_are_best() -> None:
    """A chain whose middle layer the accelerator does not take: two regions, which a plan says are the best."""
    ways = [Candidate(1000, Resources(dsp=3))]
    case = Case(
        chain(3), {"a": ways, "c": ways}, {"a": 10**5, "b": 10, "c": 10**5}, Resources(dsp=30), "throughput", 0.0
    )
    plan = planned(problem_of(case))
    assert [region.engine.side for region in plan.regions] == ["device", "cpu", "device"]
    assert plan.explanation and plan.explanation.gap == pytest.approx(0, abs=1e-3)


def test_the_same_question_gets_the_same_answer() -> None:
    """The whole plan, not only its time."""
    names = "abcdefg"
    device = {n: [Candidate(100 * (i + 1) // k, Resources(dsp=k)) for k in (1, 2, 4)] for i, n in enumerate(names)}
    case = Case(chain(7), device, dict.fromkeys(names, 900), Resources(dsp=12), "throughput", 0.0)
    first, second = planned(problem_of(case)), planned(problem_of(case))
    assert [(r.name, r.choices) for r in first.regions] == [(r.name, r.choices) for r in second.regions]
    assert first.decisions == second.decisions and first.explanation == second.explanation


def test_an_area_is_least_at_its_rate_and_an_impossible_rate_is_refused() -> None:
    """Two nodes, four ways each: 1000 frames/s are 1000 cycles at 1 MHz."""
    ways = [Candidate(cycles, Resources(dsp=count)) for cycles, count in ((4000, 1), (1000, 3), (500, 6), (250, 12))]
    case = Case(chain(2), {"a": ways, "b": ways}, {"a": 10**6, "b": 10**6}, Resources(dsp=30), "throughput", 0.0)
    problem = problem_of(case)
    slow = replace(problem.target, objective="area", frames_per_second=1000.0)
    plan = planned(replace(problem, target=slow))
    assert plan.resources.dsp == 3 + 3 + FIXED.dsp and plan.interval_ms == pytest.approx(1.0)
    fast = replace(problem.target, objective="area", frames_per_second=5000.0)
    with pytest.raises(PlanError, match=r"5000 frames/s are out of reach on board .*gives 4000\.0"):
        planned(replace(problem, target=fast))
