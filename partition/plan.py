"""The partitioner's answer."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field

from ir.engine import Candidate, Engine
from ir.graph import Graph
from ir.target import Resources


class PlanError(ValueError):
    """A graph that no placement can execute on the board; names the node and every engine's reason."""


@dataclass(frozen=True)
class Cut:
    """What a lowered region of these nodes taught: it takes ``extra`` more than its engine had estimated. A region with
    some of them is expected to take its part of that."""

    engine: str
    nodes: frozenset[str]
    extra: Resources

    def of(self, engine: str, nodes: Set[str]) -> Resources:
        """What a region of these nodes takes more."""
        shared = len(self.nodes & nodes) if engine == self.engine else 0
        return Resources(**{kind: -(-count * shared // len(self.nodes)) for kind, count in vars(self.extra).items()})


@dataclass(frozen=True)
class Decision:
    """Where one node runs, on which side, and why; one line of the table of reasons."""

    node: str
    operator: str
    engine: str
    reason: str


@dataclass(frozen=True)
class Region:
    """Nodes that run together on one engine, as a graph of their own, with the chosen candidate of each node and the
    resources that all of it is estimated to take."""

    name: str
    engine: Engine
    graph: Graph
    choices: Mapping[str, Candidate]
    resources: Resources = field(default_factory=Resources)


@dataclass(frozen=True)
class Alternative:
    """What another placement, or the same network on a larger board, would give: milliseconds between frames (for the
    objective latency, of a frame), or None and why there is no such placement."""

    what: str
    ms: float | None
    note: str = ""


@dataclass(frozen=True)
class Explanation:
    """``gap``: by what share of its time another placement might be faster at most; ``scope`` says among which.
    ``bottleneck``: what sets the time. ``effort``: deterministic seconds of the solver."""

    objective: str
    gap: float
    scope: str
    bottleneck: str
    alternatives: tuple[Alternative, ...]
    larger: tuple[Alternative, ...]
    effort: float


@dataclass(frozen=True)
class Plan:
    """Regions in execution order. Times are estimates in milliseconds per frame, each side by itself."""

    regions: tuple[Region, ...]
    decisions: tuple[Decision, ...]
    device_ms: float
    cpu_ms: float
    resources: Resources
    explanation: Explanation | None = None

    @property
    def interval_ms(self) -> float:
        """Estimated time between frames with both sides busy at once."""
        return max(self.device_ms, self.cpu_ms)

    @property
    def latency_ms(self) -> float:
        """Estimated time of a frame by itself, without filling the pipeline of the accelerator."""
        return self.device_ms + self.cpu_ms
