"""A first placement by rules: one accelerator region, an interval of the topological order, the rest on the CPU.

An interval of a topological order is always convex; the order is chosen so that what the device takes stands together.
Intervals that the device engine takes are folded to the fastest pace that fits the board, the most promising first. The
one with the best frame time wins: the slower side's for throughput, the sum for latency.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ir.engine import Candidate, Engine, Prepared, Reason
from ir.graph import Graph
from ir.target import Resources, Target
from partition.folding import Folding, fold
from partition.order import gathered
from partition.plan import Decision, Plan, PlanError, Region

PACKING_CYCLES_PER_BYTE = 1.0
"""CPU cycles to pack, flush or unpack one byte that crosses the boundary."""

WORTH_IT = 1.0005
"""Frame times closer than this factor count as equal."""


def partition(graph: Graph, engines: Sequence[Engine], target: Target) -> Plan:
    """Place every node of ``graph``. PlanError if some node has no engine that takes it."""
    cpu = next((e for e in engines if e.side == "cpu"), None)
    if cpu is None:
        raise PlanError(f"{graph.name}: no engine runs on the CPU")
    offers = {e.name: {node.name: _ask(e, graph, node.name, target) for node in graph.nodes} for e in engines}
    taken = {name for e in engines if e.side == "device" for name, offer in offers[e.name].items() if offer.prepared}
    return _Search(gathered(graph, taken), tuple(engines), target, cpu, offers).plan()


@dataclass(frozen=True)
class _Offer:
    """What one engine answers for one node: a preparation with its candidates, or a reason against."""

    prepared: Prepared | None
    candidates: Sequence[Candidate]
    against: Reason | None


def _ask(engine: Engine, graph: Graph, node: str, target: Target) -> _Offer:
    view = graph.view(node)
    objection = engine.objection(view, target)
    if objection:
        return _Offer(None, (), objection)
    prepared = engine.prepare(view, target)
    if isinstance(prepared, Reason):
        return _Offer(None, (), prepared)
    return _Offer(prepared, engine.candidates(prepared, target), None)


@dataclass(frozen=True)
class _Placement:
    """The nodes [start, stop) on a device, folded, the others on the CPU; times in ms per frame of each side."""

    engine: Engine | None
    start: int
    stop: int
    folding: Folding | None
    device_ms: float
    cpu_ms: float

    @property
    def resources(self) -> Resources:
        return self.folding.resources if self.folding else Resources()

    def time(self, target: Target) -> float:
        """What the board's objective wants small."""
        return self.device_ms + self.cpu_ms if target.objective == "latency" else max(self.device_ms, self.cpu_ms)


@dataclass(frozen=True)
class _Search:
    """One placement problem: the graph, and every engine's offer for every node (by engine, then node)."""

    graph: Graph
    engines: tuple[Engine, ...]
    target: Target
    cpu: Engine
    offers: Mapping[str, Mapping[str, _Offer]]

    @property
    def devices(self) -> tuple[Engine, ...]:
        return tuple(e for e in self.engines if e.side == "device" and self.target.fabric is not None)

    def plan(self) -> Plan:
        best = self.place(None, 0, 0)
        spans = [(self.bound(e, *span), i, e, span) for i, e in enumerate(self.devices) for span in self.spans(e)]
        for bound, _, engine, span in sorted(spans, key=lambda s: (s[0], s[1], s[3][0] - s[3][1])):
            if isinstance(best, _Placement) and bound >= best.time(self.target):
                break
            found = self.place(engine, *span, spare=False)
            if isinstance(found, _Placement) and not (
                isinstance(best, _Placement) and best.time(self.target) <= found.time(self.target)
            ):
                best = found
        if not isinstance(best, _Placement):
            raise PlanError(self.homeless())
        if best.engine:
            spared = self.place(best.engine, best.start, best.stop)
            assert isinstance(spared, _Placement), "it was placed before"
            best = self.narrowed(spared)
        decisions = tuple(self.decide(position, best) for position in range(len(self.graph.nodes)))
        return Plan(self.regions(best), decisions, best.device_ms, best.cpu_ms, best.resources)

    def narrowed(self, best: _Placement) -> _Placement:
        """Nodes at the ends of the device's interval go back to the CPU where that costs no time and spares DSPs."""
        while best.engine:
            time = best.time(self.target)
            for span in ((best.start, best.stop - 1), (best.start + 1, best.stop)):
                if span[0] < span[1] and self.bound(best.engine, *span) <= time:
                    found = self.place(best.engine, *span)
                    spared = isinstance(found, _Placement) and found.resources.dsp < best.resources.dsp
                    if isinstance(found, _Placement) and spared and found.time(self.target) <= time:
                        best = found
                        break
            else:
                break
        return best

    def bound(self, engine: Engine, start: int, stop: int) -> float:
        """A time in ms that the placement cannot beat, whatever the budget."""
        cpu, device = self.offers[self.cpu.name], self.offers[engine.name]
        outside = [cpu[name].candidates for name in self.names(0, start) + self.names(stop, len(self.graph.nodes))]
        cpu_ms = sum(min((c.cycles for c in o), default=0) for o in outside) / (self.cpu.clock_mhz(self.target) * 1e3)
        fastest = max(min(c.cycles for c in device[name].candidates) for name in self.names(start, stop))
        device_ms = fastest / (engine.clock_mhz(self.target) * 1e3)
        return device_ms + cpu_ms if self.target.objective == "latency" else max(device_ms, cpu_ms)

    def spans(self, engine: Engine) -> list[tuple[int, int]]:
        """All [start, stop) in which the engine takes every node."""
        names = [node.name for node in self.graph.nodes]
        found = []
        for start in range(len(names)):
            for stop in range(start + 1, len(names) + 1):
                if self.offers[engine.name][names[stop - 1]].prepared is None:
                    break
                found.append((start, stop))
        return found

    def names(self, start: int, stop: int) -> list[str]:
        return [node.name for node in self.graph.nodes[start:stop]]

    def place(self, engine: Engine | None, start: int, stop: int, spare: bool = True) -> _Placement | tuple[str, ...]:
        """The placement, as small as its pace allows if ``spare``; or what it lacks: resources over budget, or nothing
        named where the CPU cannot do the rest."""
        outside = self.names(0, start) + self.names(stop, len(self.graph.nodes))
        on_cpu = self.offers[self.cpu.name]
        if any(on_cpu[name].prepared is None for name in outside):
            return ()
        cycles = float(sum(min(c.cycles for c in on_cpu[name].candidates) for name in outside))
        cpu_cycles_per_ms = self.cpu.clock_mhz(self.target) * 1e3
        if engine is None or self.target.fabric is None:
            return _Placement(None, 0, 0, None, 0.0, cycles / cpu_cycles_per_ms)
        inside = self.names(start, stop)
        region = self.graph.subgraph("region", inside)
        options = {name: self.offers[engine.name][name].candidates for name in inside}
        fixed, fabric = engine.overhead(region, self.target), self.target.fabric
        bandwidth = self.target.memory.bandwidth_gbs * 1e3 / engine.clock_mhz(self.target)
        folding = fold(options, fixed, fabric.budget, fabric.cycle_budget, spare, bandwidth)
        if fabric.cycle_budget and not isinstance(folding, Folding):  # too much for it: as fast as it gets
            folding = fold(options, fixed, fabric.budget, spare=spare, bandwidth=bandwidth)
        if not isinstance(folding, Folding):
            return folding
        types = [self.graph.types[name] for name in (*region.inputs, *region.outputs)]
        crossing = sum(t.elements * t.dtype.container.itemsize for t in types)
        traffic = crossing + sum(choice.traffic for choice in folding.choices.values())
        transfer_ms = traffic / (self.target.memory.bandwidth_gbs * 1e6)
        device_ms = max(folding.cycles / (engine.clock_mhz(self.target) * 1e3), transfer_ms)
        cpu_ms = (cycles + PACKING_CYCLES_PER_BYTE * crossing) / cpu_cycles_per_ms
        return _Placement(engine, start, stop, folding, device_ms, cpu_ms)

    def regions(self, best: _Placement) -> tuple[Region, ...]:
        on_cpu = self.offers[self.cpu.name]
        regions: list[Region] = []
        for start, stop in ((0, best.start), (best.start, best.stop), (best.stop, len(self.graph.nodes))):
            names = self.names(start, stop)
            if not names:
                continue
            if best.engine and best.folding and start == best.start:
                label, engine, choices = "fpga0", best.engine, best.folding.choices
            else:
                label = f"cpu{sum(r.engine.side == 'cpu' for r in regions)}"
                engine = self.cpu
                choices = {name: min(on_cpu[name].candidates, key=lambda c: c.cycles) for name in names}
            regions.append(Region(label, engine, self.graph.subgraph(label, names), choices))
        return tuple(regions)

    def decide(self, position: int, best: _Placement) -> Decision:
        node = self.graph.nodes[position]
        if best.engine and best.start <= position < best.stop:
            prepared = self.offers[best.engine.name][node.name].prepared
            return Decision(node.name, type(node.op).__name__, best.engine.name, prepared.note if prepared else "")
        return Decision(node.name, type(node.op).__name__, self.cpu.name, self.why_not(position, best))

    def why_not(self, position: int, best: _Placement) -> str:
        """Why a node stays on the CPU: no device, the device's objection, the budget, or nothing to gain."""
        node = self.graph.nodes[position].name
        if not self.graph.types[node].dtype.is_integer:
            return "float32 runs on the CPU"
        if not self.devices:
            return "the board has no programmable logic"
        against = [self.offers[e.name][node].against for e in self.devices]
        if all(against):
            return "; ".join(a.text for a in against if a)
        engine = best.engine or next(e for e in self.devices if self.offers[e.name][node].prepared)
        start, stop = (best.start, best.stop) if best.engine else (position, position)
        wider = (min(start, position), max(stop, position + 1))
        if wider not in self.spans(engine):
            return "an operator between it and the accelerator runs on the CPU"
        widened = self.place(engine, *wider)
        if not isinstance(widened, _Placement):
            return f"budget exhausted ({', '.join(name.upper() for name in widened)})"
        time, kept = widened.time(self.target), best.time(self.target)
        if time > kept * WORTH_IT:
            return f"on the accelerator a frame would take {time:.3f} instead of {kept:.3f} ms{self.tight(widened)}"
        return f"not the bottleneck, leaves {widened.resources.dsp - best.resources.dsp} DSP free"

    def tight(self, placement: _Placement) -> str:
        """The resource that keeps a placement from being faster, if one is nearly used up."""
        budget = self.target.fabric.budget if self.target.fabric else Resources()
        shares = {
            k: getattr(placement.resources, k) / max(getattr(budget, k), 1) for k in ("lut", "dsp", "bram18", "ff")
        }
        name = max(shares, key=lambda k: shares[k])
        return f": budget exhausted ({name.upper()}, {shares[name]:.0%} used)" if shares[name] > 0.75 else ""

    def homeless(self) -> str:
        """The first node that no engine takes, with the reasons of each."""
        for node in self.graph.nodes:
            against = {e.name: self.offers[e.name][node.name].against for e in self.engines}
            if all(against.values()):
                reasons = "; ".join(f"{name}: {a.text}" for name, a in against.items() if a)
                return f"{self.graph.name}: node '{node.name}' ({type(node.op).__name__}) runs nowhere: {reasons}"
        return f"{self.graph.name}: some nodes cannot run on the CPU, and with them the accelerator exceeds the board"
