"""The Engine contract: what a room that executes nodes (accelerator or CPU) tells the partitioner and the flow.

A new accelerator is one class with these five methods, registered under the entry point group ``hetero.engines``.
Cost models stay inside engines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from ir.graph import Graph, NodeView
from ir.layouts import Layout
from ir.target import Resources, Target

Configuration = Mapping[str, int | str]


@dataclass(frozen=True)
class Reason:
    """Why an engine does not take a node; shown to the user as it is."""

    text: str


@dataclass(frozen=True)
class Prepared:
    """What an engine worked out from a node's weights: a short note for the table of reasons, and its own data.

    ``within``: the node before it whose stage computes this one, too; a plan gives both to the engine, in the same
    region, or neither."""

    node: NodeView
    note: str
    data: object = None
    within: str | None = None


@dataclass(frozen=True)
class Candidate:
    """One way to execute a node: time in cycles of the engine's own clock, resources, opaque configuration; ``traffic``
    is what it moves to and from memory in a frame, in bytes, beside the region's inputs and outputs; ``note`` says how
    it executes the node, where that is not what `Prepared.note` says."""

    cycles: int
    resources: Resources = field(default_factory=Resources)
    configuration: Configuration = field(default_factory=dict)
    traffic: int = 0
    note: str = ""


MOST_PORTS = 24
"""Of an accelerator region, those for weights included: a command of the runtime holds so many addresses."""


@dataclass(frozen=True)
class Overhead:
    """What a region costs beside its nodes' candidates: once, and for each tensor that enters or leaves it."""

    region: Resources = field(default_factory=Resources)
    port: Resources = field(default_factory=Resources)


@dataclass(frozen=True)
class Port:
    """A tensor at a region's edge and how it lies in memory there."""

    tensor: str
    layout: Layout


@dataclass(frozen=True)
class StageReport:
    """One line of the per-stage table: estimated cycles per frame and resources; ``drawing``, lines of text that show
    how operands lie in the hardware."""

    name: str
    cycles: int
    resources: Resources
    note: str
    drawing: tuple[str, ...] = ()


@dataclass(frozen=True)
class WeightPort:
    """A port by which a device region gets weights from memory: so many ``bytes``, ``repeats`` times a frame."""

    name: str
    bytes: int
    repeats: int


@dataclass(frozen=True)
class Artifact:
    """A lowered region.

    ``files`` are relative paths and contents (sources, projects). ``sources`` lists those C/C++ files that define the
    region's entry behind the C ABI of ``host/runtime/hc_region.h``: for a CPU region the code itself, for a device
    region its bit-exact simulator, so that whoever runs it need not know the engine. ``hardware`` lists those files
    that a bitstream is made from. ``interval`` and ``latency``: cycles from frame to frame and of the first frame,
    where frames overlap in a pipeline; else 0. ``weights`` are the ports by which a device region gets weights from
    memory, ``weight_source`` the C file of ``const void *const hc_weights_<name>[]``, what each of them brings.
    ``resources``: of the whole region as it was made, with everything that `Overhead` had estimated. ``interface``:
    what the engine's own `BuildingEngine.system` needs of the region.
    """

    files: Mapping[str, str | bytes]
    sources: tuple[str, ...]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    stages: tuple[StageReport, ...] = ()
    hardware: tuple[str, ...] = ()
    interval: int = 0
    latency: int = 0
    resources: Resources = field(default_factory=Resources)
    weights: tuple[WeightPort, ...] = ()
    weight_source: str = ""
    interface: object = None


class Engine(Protocol):
    """See the module's docstring; ``side`` says on which side of the shared memory the engine runs."""

    @property
    def name(self) -> str: ...
    @property
    def side(self) -> Literal["device", "cpu"]: ...

    def clock_mhz(self, target: Target) -> float:
        """The clock that candidates' cycles count."""
        ...

    def objection(self, node: NodeView, target: Target) -> Reason | None:
        """Why the engine cannot take the node; None if it can."""
        ...

    def prepare(self, node: NodeView, target: Target) -> Prepared | Reason:
        """Looks at the weights: packed blob and parameters, or a veto."""
        ...

    def candidates(self, prepared: Prepared, target: Target) -> Sequence[Candidate]:
        """At least one way to execute the node."""
        ...

    def overhead(self, target: Target) -> Overhead:
        """What a region costs beside its nodes."""
        ...

    def lower(self, region: Graph, choices: Mapping[str, Candidate], target: Target) -> Artifact:
        """Code for the region, whose graph inputs and outputs are the tensors that cross its edge."""
        ...


@runtime_checkable
class DraftingEngine(Engine, Protocol):
    """An engine that knows more of a region's size than the sum of its candidates long before it has lowered it; no
    engine has to."""

    def drafted(self, region: Graph, choices: Mapping[str, Candidate], target: Target) -> Resources:
        """What the region takes once it is lowered, as far as that can be said."""
        ...


@runtime_checkable
class LayoutEngine(Engine, Protocol):
    """An engine whose regions can read tensors in several layouts; no engine has to."""

    def layouts(
        self, region: Graph, choices: Mapping[str, Candidate], target: Target
    ) -> Mapping[str, Sequence[Layout]]:
        """What each tensor at the region's edge may lie in memory as, the preferred layout first. An output has one."""
        ...

    def reading(self, layout: Layout) -> Candidate:
        """What stands in a region's choices under an input's name, for `Engine.lower` to read it in this layout."""
        ...


@runtime_checkable
class BuildingEngine(Engine, Protocol):
    """An engine whose regions are built together, into one configuration of the fabric; no engine has to be one."""

    def system(self, regions: Sequence[Artifact], target: Target) -> Mapping[str, str]:
        """Paths and contents of the project that builds the package's regions; none where there is none for the
        board."""
        ...
