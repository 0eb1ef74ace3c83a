"""The placement problem in numbers: times of a node on each side, what crosses, and what a placement comes to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import ceil

from ir.engine import Candidate, Engine
from ir.graph import Graph
from ir.target import Resources, Target
from partition.offers import Offers
from partition.plan import Cut

PACKING_CYCLES_PER_BYTE = 1.0
"""The host's cycles to pack, flush or unpack one byte that crosses the boundary."""

TICKS = 1_000_000_000
"""At most this many units of time in the slowest placement that comes into question."""

NANOSECOND = 1e-6
"""In milliseconds; the unit of time unless the network takes longer than `TICKS` of them."""


@dataclass(frozen=True)
class Crossing:
    """A tensor that regions may hand to each other: its bytes outside an accelerator, who makes it (None: the caller)
    and who reads it; ``leaves``: the caller does, too."""

    name: str
    bytes: int
    producer: str | None
    consumers: tuple[str, ...]
    leaves: bool


@dataclass(frozen=True)
class Placed:
    """Nodes in one accelerator region, with the chosen candidate of each."""

    engine: Engine
    choices: Mapping[str, Candidate]


@dataclass(frozen=True)
class Outcome:
    """What a placement comes to: milliseconds a frame on each side (accelerator regions one after the other, as the
    command queue runs them), and all resources."""

    device_ms: float
    cpu_ms: float
    resources: Resources

    def time(self, latency: bool) -> float:
        """Between frames with both sides busy at once; with ``latency`` along the chain."""
        return self.device_ms + self.cpu_ms if latency else max(self.device_ms, self.cpu_ms)


@dataclass(frozen=True, eq=False)
class Problem:
    """One graph on one board, with every engine's offers; ``cuts``: what lowered plans taught."""

    graph: Graph
    target: Target
    cpu: Engine
    devices: tuple[Engine, ...]
    offers: Offers
    cuts: tuple[Cut, ...] = ()

    @cached_property
    def smallest(self) -> dict[tuple[str, str, int], Candidate]:
        """By engine, node and pace: the smallest candidates that were looked for (`reasons`)."""
        return {}

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(node.name for node in self.graph.nodes)

    @cached_property
    def edges(self) -> tuple[tuple[str, str], ...]:
        """(producer, consumer), each pair once."""
        known = self.graph.by_name
        return tuple((i, node.name) for node in self.graph.nodes for i in dict.fromkeys(node.inputs) if i in known)

    @cached_property
    def crossings(self) -> tuple[Crossing, ...]:
        graph, found = self.graph, []
        for name in (*graph.inputs, *self.names):
            type_, users = graph.types[name], graph.consumers.get(name, ())
            size = type_.elements * type_.dtype.container.itemsize
            found.append(Crossing(name, size, name if name in graph.by_name else None, users, name in graph.outputs))
        return tuple(found)

    @property
    def budget(self) -> Resources:
        return self.target.fabric.budget if self.target.fabric else Resources()

    def taken(self, engine: Engine, node: str) -> bool:
        return self.offers[engine.name][node].prepared is not None

    def on_cpu(self, node: str) -> Candidate | None:
        """The quickest way there; None if there is none."""
        return min(self.offers[self.cpu.name][node].candidates, key=lambda c: c.cycles, default=None)

    def within(self, engine: Engine, node: str) -> str | None:
        """The node whose stage computes this one, too."""
        prepared = self.offers[engine.name][node].prepared
        return prepared.within if prepared else None

    # Time in integers, rounded up

    @cached_property
    def tick_ms(self) -> float:
        slowest = sum(c.cycles for n in self.names if (c := self.on_cpu(n))) / self._cpu_cycles_per_ms
        slowest += sum(c.bytes for c in self.crossings) / self._bytes_per_ms
        for engine in self.devices:
            most = max((c.cycles for o in self.offers[engine.name].values() for c in o.candidates), default=0)
            slowest += most / (engine.clock_mhz(self.target) * 1e3)
        return max(NANOSECOND, slowest / TICKS)

    def ticks(self, ms: float) -> int:
        return ceil(ms / self.tick_ms - 1e-6)

    def cpu_ticks(self, cycles: float) -> int:
        return self.ticks(cycles / self._cpu_cycles_per_ms)

    def packing_ticks(self, crossing: int) -> int:
        """To hand over so many bytes."""
        return self.ticks(self._packing_ms(crossing))

    def device_ticks(self, engine: Engine, cycles: int) -> int:
        return self.ticks(cycles / (engine.clock_mhz(self.target) * 1e3))

    def moving_ticks(self, traffic: int) -> int:
        return self.ticks(traffic / self._bytes_per_ms)

    @property
    def call_ticks(self) -> int:
        return self.ticks(self.target.memory.invocation_us / 1e3)

    @property
    def _cpu_cycles_per_ms(self) -> float:
        return self.cpu.clock_mhz(self.target) * 1e3

    def _packing_ms(self, crossing: int) -> float:
        return PACKING_CYCLES_PER_BYTE * crossing / (self.target.host_clock_mhz * 1e3)

    @property
    def _bytes_per_ms(self) -> float:
        return self.target.memory.bandwidth_gbs * 1e6

    # What a placement comes to, exactly

    def crossing_bytes(self, inside: Iterable[str]) -> int:
        """Bytes into and out of a region of these nodes."""
        return sum(c.bytes for c in self.edge_tensors(inside))

    def edge_tensors(self, inside: Iterable[str]) -> list[Crossing]:
        nodes, found = set(inside), []
        for c in self.crossings:
            made, read = c.producer in nodes, any(user in nodes for user in c.consumers)
            if (not made and read) or (made and (c.leaves or any(user not in nodes for user in c.consumers))):
                found.append(c)
        return found

    def is_convex(self, regions: Iterable[Placed]) -> bool:
        """Whether no path leaves one of these regions and comes back to it."""
        return all(between(self.graph, set(region.choices)) == region.choices.keys() for region in regions)

    def resources(self, placed: Placed) -> Resources:
        """Of a region, with its overhead and what a cut adds."""
        costs, nodes = placed.engine.overhead(self.target), placed.choices.keys()
        used = sum((c.resources for c in placed.choices.values()), costs.region)
        used = used + costs.port * len(self.edge_tensors(nodes))
        return sum((cut.of(placed.engine.name, nodes) for cut in self.cuts), used)

    def outcome(self, regions: Iterable[Placed]) -> Outcome:
        """Of a placement with these accelerator regions and all other nodes on the CPU."""
        placed = tuple(regions)
        device_ms, cpu_cycles, handing_ms, used = 0.0, 0.0, 0.0, Resources()
        elsewhere = set(self.names)
        for region in placed:
            elsewhere -= region.choices.keys()
            crossing = self.crossing_bytes(region.choices)
            traffic = crossing + sum(c.traffic for c in region.choices.values())
            pace = max(c.cycles for c in region.choices.values()) / (region.engine.clock_mhz(self.target) * 1e3)
            device_ms += max(pace, traffic / self._bytes_per_ms)
            handing_ms += self._packing_ms(crossing) + self.target.memory.invocation_us / 1e3
            used = used + self.resources(region)
        for node in elsewhere:
            way = self.on_cpu(node)
            assert way is not None, f"{node} has no place on the CPU"
            cpu_cycles += way.cycles
        return Outcome(device_ms, cpu_cycles / self._cpu_cycles_per_ms + handing_ms, used)


def between(graph: Graph, nodes: set[str]) -> set[str]:
    """The nodes and all that stand on a path from one of them to another."""
    below, above = set(nodes), set(nodes)
    for node in graph.nodes:
        if below.intersection(node.inputs):
            below.add(node.name)
    for node in reversed(graph.nodes):
        if above.intersection(graph.consumers.get(node.name, ())):
            above.add(node.name)
    return below & above
