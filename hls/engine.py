"""The accelerator side of the Engine contract: packed dataflow stages generated through HeteroCL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from hls.artifact import accelerator_files
from hls.design import build_design
from hls.nodes import RULES, UnsupportedNodeError, lane_counts, raster
from hls.packing import GEOMETRIES, Geometry
from hls.program import Port as DesignPort
from hls.sizing import with_sized_branches
from ir.engine import Artifact, Candidate, Configuration, Port, Prepared, Reason, StageReport
from ir.graph import Graph, NodeView
from ir.layouts import Words
from ir.target import Resources, Target

PORT = Resources(lut=1200, bram18=4)
"""A memory port with its burst logic."""


@dataclass(frozen=True)
class DataflowEngine:
    """One stage per layer, connected by streams, all running at once."""

    name: str = "FPGA"
    side: Literal["device", "cpu"] = "device"

    def clock_mhz(self, target: Target) -> float:
        return target.fabric.clock_mhz if target.fabric else 0.0

    def objection(self, node: NodeView, target: Target) -> Reason | None:
        if target.fabric is None:
            return Reason("the board has no programmable logic")
        rule = RULES.get(type(node.op))
        if rule is None:
            return Reason(f"{type(node.op).__name__} has no generator")
        x = node.operands[0].type
        if not x.dtype.is_integer or len(x.shape) != 3:
            return Reason(f"needs an integer tensor (channels, height, width), has {x}")
        if x.dtype.kind == "bipolar":
            return Reason("bipolar activations have no stream lanes yet (allowed: int, uint)")
        try:
            rule.object(node, GEOMETRIES[target.fabric.dsp])
        except UnsupportedNodeError as error:
            return Reason(str(error))
        return None

    def prepare(self, node: NodeView, target: Target) -> Prepared | Reason:
        """For a convolution the note says how it is packed; the packing depends on the weights' true range."""
        if _is_absorbed(node):
            return Prepared(node, "in the stage of the layer before it")
        return Prepared(node, RULES[type(node.op)].note(node, _geometry(target)))

    def candidates(self, prepared: Prepared, target: Target) -> Sequence[Candidate]:
        """Time and resources of the very stages that lowering would make."""
        node, dsp = prepared.node, _geometry(target)
        if _is_absorbed(node):
            return [Candidate(0)]
        return [_candidate(node, choice, dsp) for choice in RULES[type(node.op)].configurations(node, dsp)]

    def overhead(self, region: Graph, target: Target) -> Resources:
        total = Resources(lut=1500)
        for _ in (*region.inputs, *region.outputs):
            total = total + PORT
        return total

    def lower(self, region: Graph, choices: Mapping[str, Candidate], target: Target) -> Artifact:
        configurations = {name: choice.configuration for name, choice in choices.items()}
        design = with_sized_branches(build_design(region, configurations, _geometry(target)))
        folder = f"regions/{region.name}"
        return Artifact(
            accelerator_files(design, folder),
            (f"{folder}/simulator.cpp",),
            tuple(_port(name, port) for name, port in zip(region.inputs, design.inputs, strict=True)),
            tuple(_port(name, port) for name, port in zip(region.outputs, design.outputs, strict=True)),
            tuple(StageReport(s.name, s.cycles, s.resources, s.note) for s in design.stages),
        )


def _geometry(target: Target) -> Geometry:
    assert target.fabric is not None, "asked about a board without programmable logic"
    return GEOMETRIES[target.fabric.dsp]


def _is_absorbed(node: NodeView) -> bool:
    graph = node.graph
    source = graph.by_name.get(node.node.inputs[0])
    if source is None or type(source.op) not in RULES:
        return False
    absorbed = RULES[type(source.op)].absorbs(graph.view(source.name))
    return absorbed is not None and absorbed.name == node.name


def _candidate(node: NodeView, choice: Configuration, dsp: Geometry) -> Candidate:
    """The node alone, on sources of as many lanes as fit a word."""
    rule = RULES[type(node.op)]
    types = [operand.type for operand in node.operands if operand.value is None]
    lanes = rule.lanes(node, choice, [lane_counts(t.shape[0], t.dtype.bits)[-1] for t in types])
    stages = rule.stages(node, [raster(f"x{i}", t, lanes) for i, t in enumerate(types)], choice, dsp)
    total = Resources()
    for stage in stages:
        total = total + stage.resources
    return Candidate(max(s.cycles for s in stages), total, choice)


def _port(tensor: str, port: DesignPort) -> Port:
    return Port(tensor, Words(port.wire.lanes, port.wire.bits, port.bits // 8))
