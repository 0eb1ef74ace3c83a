"""Engines that answer from tables, on a chain of nodes that do nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ir.engine import Artifact, Candidate, Overhead, Prepared, Reason
from ir.graph import Graph, Node, NodeView
from ir.ops import MaxPool2d
from ir.target import Cpu, Fabric, Resources, SharedMemory, Target
from ir.types import DType, TensorType

BYTES = 8
"""Of every tensor of the chain."""


@dataclass(frozen=True)
class FakeEngine:
    """Takes the nodes that have candidates; ``against`` and ``vetoes`` are its objections and its second thoughts."""

    name: str
    side: Literal["device", "cpu"]
    table: Mapping[str, Sequence[Candidate]]
    against: Mapping[str, str] = field(default_factory=dict)
    vetoes: Mapping[str, str] = field(default_factory=dict)
    fixed: Resources = field(default_factory=Resources)
    mhz: float = 1.0

    def clock_mhz(self, target: Target) -> float:
        return self.mhz

    def objection(self, node: NodeView, target: Target) -> Reason | None:
        return Reason(self.against[node.name]) if node.name in self.against else None

    def prepare(self, node: NodeView, target: Target) -> Prepared | Reason:
        if node.name in self.vetoes:
            return Reason(self.vetoes[node.name])
        return Prepared(node, f"{self.name} note of {node.name}")

    def candidates(self, prepared: Prepared, target: Target) -> Sequence[Candidate]:
        return self.table[prepared.node.name]

    def overhead(self, target: Target) -> Overhead:
        return Overhead(self.fixed)

    def lower(self, region: Graph, choices: Mapping[str, Candidate], target: Target) -> Artifact:
        raise AssertionError("partitioning lowers nothing")


def chain(length: int) -> Graph:
    """``length`` nodes a, b, c, ... of eight bytes each."""
    nodes, tensor = [], "x"
    for i in range(length):
        nodes.append(Node(chr(ord("a") + i), MaxPool2d((1, 1), (1, 1)), (tensor,)))
        tensor = nodes[-1].name
    type_ = TensorType.of_dtype((BYTES, 1, 1), DType("uint", 8))
    return Graph("chain", {"x": type_}, tuple(nodes), (tensor,), {}).verify()


def cpu(cycles: Mapping[str, int], **others: Mapping[str, str]) -> FakeEngine:
    return FakeEngine("cpu", "cpu", {name: [Candidate(c)] for name, c in cycles.items()}, **others)  # type: ignore[arg-type]


def target(
    budget: Resources | None, objective: Literal["throughput", "latency"] = "throughput", gbs: float = 1000.0
) -> Target:
    """A board whose fabric has this budget, or none; memory fast enough not to matter."""
    fabric = Fabric("part", budget, "dsp48e2", 1.0) if budget else None
    return Target("board", Cpu("rv64gc", 0, 1, 1.0, "host"), SharedMemory(1 << 20, gbs, 64, True), fabric, objective)
