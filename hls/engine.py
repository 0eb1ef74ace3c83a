"""The accelerator side of the Engine contract: packed dataflow stages generated through HeteroCL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from hls.artifact import accelerator_files
from hls.design import build_design
from hls.nodes import RULES, UnsupportedNodeError, lane_counts
from hls.nodes.conv_shape import Folding
from hls.packing import GEOMETRIES, Geometry
from hls.program import Design
from hls.program import Port as DesignPort
from hls.resources.model import PORT, fifo
from hls.sizing import Searches, with_sized_streams
from hls.spread import spread_cycles
from hls.streams import stream_blocks
from hls.vendor.project import accelerator_of, project_files, system_files
from hls.vendor.project_ultra96 import Accelerator
from ir.engine import Artifact, Candidate, Overhead, Port, Prepared, Reason, StageReport, WeightPort
from ir.graph import Graph, NodeView
from ir.layouts import Layout, Words
from ir.target import Resources, Target


@dataclass(frozen=True)
class DataflowEngine:
    """One stage per layer, connected by streams, all running at once. ``searches``: for the depths of streams, in
    regions lowered before."""

    name: str = "FPGA"
    side: Literal["device", "cpu"] = "device"
    searches: Searches = field(default_factory=dict, repr=False, compare=False)

    def clock_mhz(self, target: Target) -> float:
        return target.fabric.clock_mhz if target.fabric else 0.0

    def objection(self, node: NodeView, target: Target) -> Reason | None:
        if target.fabric is None:
            return Reason("the board has no programmable logic")
        if not node.type.dtype.is_integer:
            return Reason("float32 runs on the CPU")
        rule = RULES.get(type(node.op))
        if rule is None:
            return Reason(f"{type(node.op).__name__} has no generator")
        x = node.operands[0].type
        if not x.dtype.is_integer or len(x.shape) != 3:
            return Reason(f"needs an integer tensor (channels, height, width), has {x}")
        if not rule.bipolar and any(o.value is None and o.type.dtype.kind == "bipolar" for o in node.operands):
            return Reason(f"{type(node.op).__name__} has no generator for bipolar activations (allowed: int, uint)")
        try:
            rule.object(node, GEOMETRIES[target.fabric.dsp])
        except UnsupportedNodeError as error:
            return Reason(str(error))
        return None

    def prepare(self, node: NodeView, target: Target) -> Prepared | Reason:
        """For a convolution the note says how it is packed; the packing depends on the weights' true range."""
        if _is_absorbed(node):
            return Prepared(node, "in the stage of the layer before it", within=node.node.inputs[0])
        return Prepared(node, RULES[type(node.op)].note(node, _geometry(target)))

    def candidates(self, prepared: Prepared, target: Target) -> Sequence[Candidate]:
        """Time and resources of the very stages that lowering would make, an estimate of the streams', and the time of
        those that take its words apart for readers of single pixels."""
        node, dsp = prepared.node, _geometry(target)
        if _is_absorbed(node):
            return [Candidate(0)]
        uram = target.fabric is not None and target.fabric.budget.uram > 0
        rule = RULES[type(node.op)]
        last = rule.absorbs(node) or node
        offered = (c for c in rule.candidates(node, dsp, uram) if _is_driven(c, target))
        streams = Resources(bram18=stream_blocks(node))
        paced = (_paced(last, candidate) for candidate in offered)
        return undominated(replace(c, resources=c.resources + streams) for c in paced)

    def overhead(self, target: Target) -> Overhead:
        return Overhead(
            region=Resources(lut=1500),
            port=PORT,
        )

    def drafted(self, region: Graph, choices: Mapping[str, Candidate], target: Target) -> Resources:
        """With the stages that join nodes of different words, and without block RAMs for streams: how deep these have
        to be is what takes lowering its time."""
        configurations = {name: choice.configuration for name, choice in choices.items()}
        design = build_design(region, configurations, _geometry(target))
        streams = [fifo(wire.depth, wire.word_bits) for stage in design.stages for wire in stage.targets]
        return self._taken(design, target) - Resources(bram18=sum(stream.bram18 for stream in streams))

    def layouts(
        self, region: Graph, choices: Mapping[str, Candidate], target: Target
    ) -> Mapping[str, Sequence[Layout]]:
        """Inputs in words of any number of lanes that divides the channels: other words are regrouped inside."""
        configurations = {name: choice.configuration for name, choice in choices.items()}
        built, found = build_design(region, configurations, _geometry(target)), dict[str, Sequence[Layout]]()
        for name, port in zip(region.inputs, built.inputs, strict=True):
            bits, first = port.wire.bits, _port(name, port).layout
            counts = lane_counts(region.inputs[name].shape[0], bits)
            others = [Words.narrowest(lanes, bits) for lanes in reversed(counts)]
            found[name] = (first, *(layout for layout in others if layout != first))
        for name, port in zip(region.outputs, built.outputs, strict=True):
            found[name] = (_port(name, port).layout,)
        return found

    def reading(self, layout: Layout) -> Candidate:
        assert isinstance(layout, Words), "an accelerator streams words"
        return Candidate(0, configuration={"lanes": layout.lanes})

    def lower(self, region: Graph, choices: Mapping[str, Candidate], target: Target) -> Artifact:
        configurations = {name: choice.configuration for name, choice in choices.items()}
        assert target.fabric is not None
        built = build_design(region, configurations, _geometry(target))
        around = self._around(built, target)
        sized = with_sized_streams(built, target.fabric.budget.bram18 - around.bram18, searches=self.searches)
        design = sized.design
        folder = f"regions/{region.name}"
        files = accelerator_files(design, sized.module, folder, _geometry(target))
        project = project_files(design, region, target, folder, files[f"{folder}/accelerator.cpp"])
        return Artifact(
            files | project,
            (f"{folder}/simulator.cpp",),
            tuple(_port(name, port) for name, port in zip(region.inputs, design.inputs, strict=True)),
            tuple(_port(name, port) for name, port in zip(region.outputs, design.outputs, strict=True)),
            tuple(StageReport(s.name, s.cycles, s.resources, s.note, s.drawing) for s in design.stages),
            hardware=(f"{folder}/accelerator.cpp",),
            weights=tuple(
                WeightPort(c.port.wire.name, len(c.words) * c.port.bits // 8, c.repeats) for c in design.constants
            ),
            weight_source=f"{folder}/weights.c" if design.constants else "",
            interval=sized.timing.interval,
            latency=sized.timing.latency,
            resources=self._taken(design, target),
            interface=accelerator_of(design),
        )

    def _around(self, design: Design, target: Target) -> Resources:
        """Of a region beside its stages."""
        costs = self.overhead(target)
        return costs.region + costs.port * (len(design.inputs) + len(design.outputs))

    def _taken(self, design: Design, target: Target) -> Resources:
        return sum((stage.resources for stage in design.stages), self._around(design, target))

    def system(self, regions: Sequence[Artifact], target: Target) -> Mapping[str, str]:
        """One Vivado project with all regions."""
        return system_files([r.interface for r in regions if isinstance(r.interface, Accelerator)], target)


def _geometry(target: Target) -> Geometry:
    assert target.fabric is not None, "asked about a board without programmable logic"
    return GEOMETRIES[target.fabric.dsp]


def _is_driven(candidate: Candidate, target: Target) -> bool:
    """Whether the board's driver can feed it: none reads weights again in every step. Without a driver, as in
    simulation, everything runs."""
    return target.link.driver == "none" or candidate.configuration.get("memory") != "streamed"


def _is_absorbed(node: NodeView) -> bool:
    graph = node.graph
    source = graph.by_name.get(node.node.inputs[0])
    if source is None or type(source.op) not in RULES:
        return False
    absorbed = RULES[type(source.op)].absorbs(graph.view(source.name))
    return absorbed is not None and absorbed.name == node.name


def _paced(last: NodeView, candidate: Candidate) -> Candidate:
    """The candidate, no faster than its output's words can be taken apart."""
    if candidate.configuration.get("pixels", 1) == 1:
        return candidate
    folding = Folding.of(candidate.configuration)
    apart = spread_cycles(last, folding.pe * folding.groups, folding.pixels)
    return replace(candidate, cycles=max(candidate.cycles, apart))


def undominated(candidates: Iterable[Candidate]) -> Sequence[Candidate]:
    """Those that no other beats in cycles, all resources and traffic; the first of equals."""
    ordered = list({_cost(c): c for c in reversed([*candidates])}.values())
    ordered.sort(key=_cost)
    costs = np.array([_cost(c) for c in ordered])
    kept: list[int] = []
    for i, cost in enumerate(costs):
        if not (costs[kept] <= cost).all(1).any():
            kept.append(i)
    return [ordered[i] for i in kept]


def _cost(candidate: Candidate) -> tuple[int, ...]:
    r = candidate.resources
    return (candidate.cycles, r.dsp, r.lut, r.bram18, r.uram, candidate.traffic)


def _port(tensor: str, port: DesignPort) -> Port:
    return Port(tensor, Words(port.wire.lanes, port.wire.bits, port.bits // 8))
