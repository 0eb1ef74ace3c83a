"""The CP-SAT model: where every node runs, which candidate it takes there, and which regions follow.

Every node has a level: 0 is the CPU before the first accelerator region, 1 that region, 2 the CPU after it, and so on.
Levels do not fall along an edge, so every region is convex and the regions are in an order in which each tensor is made
before it is read. A level is written as thresholds (``from[n, k]``: the level is at least k), which makes edges
implications and a region the difference of two thresholds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ortools.sat.python import cp_model

from ir.engine import MOST_PORTS, Engine
from partition.problem import Placed, Problem
from partition.prune import KINDS, Way, useful, ways

Goal = Literal["any", "fast", "light", "small"]

SHARES = 100_000
"""What a whole board's worth of a resource, or of the CPU's time, counts when size is minimised."""


@dataclass(frozen=True)
class Request:
    """What to look for. Times are in ticks of the problem.

    ``goal``: any placement of at most ``limit``, the fastest, the one of least CPU time (itself at most ``limit``), or
    the smallest. ``pace``: what a single accelerator region may take, whatever that is; else it takes what it needs,
    which lies in ``window`` if there is one. ``low``: no placement is known to be faster, so nothing below it is told
    apart. ``latency``: time is the sum of both sides instead of the slower one. ``rounds``: accelerator regions of each
    engine at most. ``fixed``: the engine's name for nodes whose side is settled. ``cpu_weight``: the share of the CPU's
    time in the size. ``effort``: deterministic seconds. ``loose``: a region may be of any nodes, convex or not, with
    one region of each engine: no placement is faster, with however many regions, since those of an engine take no less
    together than one of all their nodes.
    """

    goal: Goal
    limit: int
    pace: int | None = None
    low: int = 0
    latency: bool = False
    rounds: int = 1
    fixed: Mapping[str, str] = field(default_factory=dict)
    cpu_weight: float = 1.0
    effort: float = 5.0
    loose: bool = False
    window: tuple[int, int] | None = None
    hint: tuple[Placed, ...] | None = None


@dataclass(frozen=True)
class Answer:
    """``regions`` is None where nothing was found; ``bound``: what no answer can be below, in ticks or shares;
    ``proven``: the best there is, or that there is none. ``effort``: deterministic seconds taken."""

    regions: tuple[Placed, ...] | None
    bound: float
    value: float
    proven: bool
    effort: float


def solve(problem: Problem, request: Request) -> Answer:
    return _Model(problem, request).answer()


class _Model:
    """One model; ``slots`` are the accelerator regions that there may be, in order, each of its engine."""

    def __init__(self, problem: Problem, request: Request) -> None:
        self.problem, self.request, self.model = problem, request, cp_model.CpModel()
        self.slots: tuple[Engine, ...] = problem.devices * request.rounds
        self.inside: dict[tuple[str, int], Any] = {}
        self.picks: dict[tuple[str, str], list[tuple[Way, Any]]] = {}
        free = request.goal == "fast" or request.latency or len(self.slots) != 1
        self.pace = request.pace if request.pace is not None or free else request.limit
        self.used = [self.flag(f"region {s}") for s in range(len(self.slots))]
        self.place()
        if not request.loose:
            self.order()
        self.choose()
        self.crossing_bytes, self.ports = self.cross()
        self.limit_resources()
        self.time_and_goal()

    def flag(self, name: str) -> Any:
        return self.model.new_bool_var(name)

    def place(self) -> None:
        model, slots = self.model, range(len(self.slots))
        for name in self.problem.names:
            wanted = self.request.fixed.get(name)
            for s in slots:
                engine = self.slots[s]
                inside = self.inside[name, s] = self.flag(f"{name} in {s}")
                model.add_implication(inside, self.used[s])
                if not self.problem.taken(engine, name) or (wanted is not None and wanted != engine.name):
                    model.add(inside == 0)
                if (host := self.problem.within(engine, name)) is not None:
                    model.add(inside == self.inside[host, s])
            everywhere = sum(self.inside[name, s] for s in slots)
            on_cpu = self.problem.on_cpu(name) is not None
            must = not on_cpu or (wanted is not None and wanted != self.problem.cpu.name)
            model.add(everywhere == 1 if must else everywhere <= 1)
        for s in slots:
            model.add(self.used[s] <= sum(self.inside[name, s] for name in self.problem.names))
            if s >= len(self.problem.devices):
                model.add_implication(self.used[s], self.used[s - len(self.problem.devices)])

    def order(self) -> None:
        model, last = self.model, 2 * len(self.slots)
        at = {(name, k): self.flag(f"{name} from {k}") for name in self.problem.names for k in range(1, last + 1)}
        for name in self.problem.names:
            for k in range(2, last + 1):
                model.add_implication(at[name, k], at[name, k - 1])
            for s in range(len(self.slots)):
                model.add(self.inside[name, s] == at[name, 2 * s + 1] - at[name, 2 * s + 2])
        for before, after in self.problem.edges:
            for k in range(1, last + 1):
                model.add_implication(at[before, k], at[after, k])

    def choose(self) -> None:
        """One candidate for every node in a region; of those that no answer needs there are none in the model."""
        single = len(self.slots) == 1 and not self.request.latency
        most = self.request.window[1] if self.request.window else self.request.limit
        high = most if self.pace is None else self.pace
        low = high if self.pace is not None else self.request.low if single else 0
        for engine in self.problem.devices:
            for name in self.problem.names:
                there = [self.inside[name, s] for s, e in enumerate(self.slots) if e is engine]
                candidates = self.problem.offers[engine.name][name].candidates
                ticks = [self.problem.device_ticks(engine, c.cycles) for c in candidates]
                kept = useful(ways(candidates, ticks), low, high, self.problem.budget)
                pairs = self.picks[engine.name, name] = [
                    (way, self.flag(f"{name} by {engine.name} {i}")) for i, way in enumerate(kept)
                ]
                self.model.add(sum(pick for _, pick in pairs) == sum(there))

    def cross(self) -> tuple[dict[str, Any], list[list[Any]]]:
        """Per tensor how often it crosses (an expression), per slot its ports."""
        crossing: dict[str, list[Any]] = {}
        ports: list[list[Any]] = [[] for _ in self.slots]
        for c in self.problem.crossings:
            for s in range(len(self.slots)):
                made = self.inside[c.producer, s] if c.producer else 0
                readers = [self.inside[user, s] for user in c.consumers]
                enters, leaves = self.flag(f"{c.name} into {s}"), self.flag(f"{c.name} out of {s}")
                for reader in readers:
                    self.model.add(enters >= reader - made)
                    if c.producer:
                        self.model.add(leaves >= made - reader)
                if c.leaves and c.producer:
                    self.model.add(leaves >= made)
                crossing.setdefault(c.name, []).extend((enters, leaves))
                ports[s] += [enters, leaves]
        streamed = sum(pick for way, pick in self.every() if way.cost[-1])  # a port each, in whichever region
        for tensors in () if self.request.loose else ports:  # a loose region stands for several
            self.model.add(sum(tensors) + streamed <= MOST_PORTS)
        return crossing, ports

    def limit_resources(self) -> None:
        problem, terms = self.problem, dict[str, list[Any]]()
        for kind in KINDS:
            parts = terms[kind] = []
            for s, engine in enumerate(self.slots):
                costs = engine.overhead(problem.target)
                parts.append(getattr(costs.region, kind) * self.used[s])
                if each := getattr(costs.port, kind):
                    parts.append(each * sum(self.ports[s]))
            index = 1 + KINDS.index(kind)
            parts += [way.cost[index] * pick for way, pick in self.every() if way.cost[index]]
        for s, engine in enumerate(self.slots):
            for i, cut in enumerate(cut for cut in problem.cuts if cut.engine == engine.name):
                shared = sum(self.inside[name, s] for name in sorted(cut.nodes))
                for kind in KINDS:
                    if extra := getattr(cut.extra, kind):
                        more = self.model.new_int_var(0, extra, f"cut {i} in {s}, {kind}")
                        self.model.add(len(cut.nodes) * more >= extra * shared)
                        terms[kind].append(more)
        self.terms = terms
        for kind, parts in terms.items():
            self.model.add(sum(parts) <= getattr(problem.budget, kind))

    def every(self) -> list[tuple[Way, Any]]:
        return [pair for pairs in self.picks.values() for pair in pairs]

    def time_and_goal(self) -> None:
        problem, request, model = self.problem, self.request, self.model
        limit, slots = request.limit, range(len(self.slots))
        ends = request.window or (0, limit)
        paces: list[Any] = [model.new_int_var(*ends, f"pace {s}") if self.pace is None else self.pace for s in slots]
        if self.pace is None:
            for s, engine in enumerate(self.slots):
                for name in problem.names:
                    slow = [(way, pick) for way, pick in self.picks[engine.name, name] if way.ticks > 0]
                    if not slow:
                        continue
                    takes = paces[s] >= sum(way.ticks * pick for way, pick in slow)
                    constraint = model.add(takes)
                    if len(paces) > 1:
                        constraint.only_enforce_if(self.inside[name, s])
        device = sum(paces)
        moved = sum(
            problem.moving_ticks(c.bytes) * sum(self.crossing_bytes[c.name]) for c in problem.crossings if c.bytes
        )
        moved += sum(problem.moving_ticks(way.cost[-1]) * pick for way, pick in self.every() if way.cost[-1])
        if self.slots:
            model.add(moved <= device)
        spent = []
        for name in problem.names:
            way = problem.on_cpu(name)
            if way is not None:
                there = 1 - sum(self.inside[name, s] for s in range(len(self.slots)))
                spent.append(problem.cpu_ticks(way.cycles) * there)
        packing = [
            problem.packing_ticks(c.bytes) * sum(self.crossing_bytes[c.name])
            for c in problem.crossings
            if self.crossing_bytes.get(c.name)
        ]
        cpu = sum(spent) + sum(packing) + problem.call_ticks * sum(self.used)
        if request.goal == "light":
            model.add(cpu <= limit)
            model.minimize(cpu)
            return
        time = model.new_int_var(min(request.low, limit), limit, "time")
        if request.latency:
            model.add(time >= device + cpu)
        else:
            model.add(time >= cpu)
            model.add(time >= device)
        if request.goal == "fast":
            model.minimize(time)
        elif request.goal == "small":
            parts = []
            for kind in KINDS:
                share = SHARES / max(getattr(problem.budget, kind), 1)
                for part in self.terms[kind]:
                    parts.append(share * part)
            model.minimize(sum(parts) + request.cpu_weight * SHARES / max(limit, 1) * cpu)

    def answer(self) -> Answer:
        request, solver = self.request, cp_model.CpSolver()
        if request.hint is not None:
            self.hint(request.hint)
        parameters = solver.parameters
        parameters.num_workers, parameters.random_seed = 1, 0
        parameters.catch_sigint_signal = False  # its handler would stay: Ctrl-C then ends Python without cleaning up
        parameters.max_deterministic_time = request.effort
        if request.goal == "light" or request.window:  # with the edges' implications the relaxation is nearly exact
            parameters.linearization_level = 2
        status = solver.solve(self.model)
        effort = solver.response_proto.deterministic_time
        if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            return Answer(None, float(request.limit + 1), 0, status == cp_model.INFEASIBLE, effort)
        regions = []
        for s, engine in enumerate(self.slots):
            names = [name for name in self.problem.names if solver.boolean_value(self.inside[name, s])]
            choices = {
                name: next(way.candidate for way, pick in self.picks[engine.name, name] if solver.boolean_value(pick))
                for name in names
            }
            if choices:
                regions.append(Placed(engine, choices))
        value = 0.0 if request.goal == "any" else solver.objective_value
        bound = 0.0 if request.goal == "any" else solver.best_objective_bound
        return Answer(tuple(regions), bound, value, status == cp_model.OPTIMAL, effort)

    def hint(self, regions: tuple[Placed, ...]) -> None:
        """Where every node was in a placement known before."""
        free = list(range(len(self.slots)))
        chosen: dict[int, Placed] = {}
        for placed in regions:
            slot = next((s for s in free if self.slots[s].name == placed.engine.name), None)
            if slot is None:
                return
            chosen[slot] = placed
            free = [s for s in free if s > slot]
        for (name, s), inside in self.inside.items():
            self.model.add_hint(inside, int(s in chosen and name in chosen[s].choices))
        for (engine, name), pairs in self.picks.items():
            given = next((p.choices[name] for p in regions if p.engine.name == engine and name in p.choices), None)
            for way, pick in pairs:
                self.model.add_hint(pick, int(way.candidate is given))
