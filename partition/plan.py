"""The partitioner's answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ir.engine import Candidate, Engine
from ir.graph import Graph
from ir.target import Resources


class PlanError(ValueError):
    """A graph that no placement can execute on the board; names the node and every engine's reason."""


@dataclass(frozen=True)
class Decision:
    """Where one node runs, on which side, and why; one line of the table of reasons."""

    node: str
    operator: str
    engine: str
    reason: str


@dataclass(frozen=True)
class Region:
    """Nodes that run together on one engine, as a graph of their own, with the chosen candidate of each node."""

    name: str
    engine: Engine
    graph: Graph
    choices: Mapping[str, Candidate]


@dataclass(frozen=True)
class Plan:
    """Regions in execution order. Times are estimates in milliseconds per frame, each side by itself."""

    regions: tuple[Region, ...]
    decisions: tuple[Decision, ...]
    device_ms: float
    cpu_ms: float
    resources: Resources

    @property
    def interval_ms(self) -> float:
        """Estimated time between frames with both sides busy at once."""
        return max(self.device_ms, self.cpu_ms)
