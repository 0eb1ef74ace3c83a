"""The accelerator side of the Engine contract: packed dataflow stages generated through HeteroCL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from hls.artifact import accelerator_files
from hls.design import build_design
from hls.nodes import (
    OBJECTIONS,
    Folding,
    UnsupportedNodeError,
    conv_foldings,
    conv_stages,
    convolution_packing,
    fused_user,
    raster,
    requantisation,
)
from hls.packing import GEOMETRIES, Geometry
from hls.program import Port as DesignPort
from hls.sizing import with_sized_branches
from ir.engine import Artifact, Candidate, Port, Prepared, Reason, StageReport
from ir.graph import Graph, NodeView
from ir.layouts import Words
from ir.ops import Conv2d, MultiplyShift, Thresholds
from ir.target import Resources, Target

MOVING = Resources(lut=400)
"""A stage without arithmetic worth counting: pooling, rearrangement, joining."""

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
        rule = OBJECTIONS.get(type(node.op))
        if rule is None:
            return Reason(f"{type(node.op).__name__} has no generator")
        x = node.operands[0].type
        if not x.dtype.is_integer or len(x.shape) != 3:
            return Reason(f"needs an integer tensor (channels, height, width), has {x}")
        if x.dtype.kind == "bipolar":
            return Reason("bipolar activations have no stream lanes yet (allowed: int, uint)")
        try:
            rule(node, GEOMETRIES[target.fabric.dsp])
        except UnsupportedNodeError as error:
            return Reason(str(error))
        return None

    def prepare(self, node: NodeView, target: Target) -> Prepared | Reason:
        """For a convolution the note says how it is packed; the packing depends on the weights' true range."""
        if isinstance(node.op, MultiplyShift | Thresholds):
            return Prepared(node, "in the stage of the layer before it" if _is_fused(node) else "requantisation stage")
        if not isinstance(node.op, Conv2d):
            return Prepared(node, "stream stage")
        packing = convolution_packing(node, _geometry(target))
        x, w = node.operands[0].type, node.operands[1].type
        widths = f"W{w.dtype.bits}A{x.dtype.bits}"
        if packing.multiplies == 1:
            return Prepared(node, f"conv {widths}, 1 MAC/DSP: not packed")
        return Prepared(node, f"packed conv {widths}, {packing.multiplies} MAC/DSP")

    def candidates(self, prepared: Prepared, target: Target) -> Sequence[Candidate]:
        node = prepared.node
        if isinstance(node.op, Conv2d):
            return [_conv_candidate(node, folding, target) for folding in conv_foldings(node, _geometry(target))]
        if isinstance(node.op, MultiplyShift | Thresholds):
            if _is_fused(node):
                return [Candidate(0)]
            return [Candidate(node.type.elements, MOVING + requantisation(node).resources(32))]
        pixels = max(operand.type.elements // operand.type.shape[0] for operand in node.operands)
        return [Candidate(pixels, MOVING)]

    def overhead(self, region: Graph, target: Target) -> Resources:
        total = Resources(lut=1500)
        for _ in (*region.inputs, *region.outputs):
            total = total + PORT
        return total

    def lower(self, region: Graph, choices: Mapping[str, Candidate], target: Target) -> Artifact:
        foldings = {
            name: Folding(int(choice.configuration["simd"]), int(choice.configuration["pe"]))
            for name, choice in choices.items()
            if choice.configuration
        }
        design = with_sized_branches(build_design(region, foldings, _geometry(target)))
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


def _is_fused(node: NodeView) -> bool:
    source = node.graph.by_name.get(node.node.inputs[0])
    return source is not None and isinstance(source.op, Conv2d) and fused_user(node.graph.view(source.name)) is not None


def _conv_candidate(node: NodeView, folding: Folding, target: Target) -> Candidate:
    """Time and resources of the very stages that lowering would make."""
    source = raster("x", node.operands[0].type, folding.simd)
    stages = conv_stages(node, source, folding, _geometry(target), fused_user(node))
    total = Resources()
    for stage in stages:
        total = total + stage.resources
    return Candidate(max(s.cycles for s in stages), total, {"simd": folding.simd, "pe": folding.pe})


def _port(tensor: str, port: DesignPort) -> Port:
    return Port(tensor, Words(port.wire.lanes, port.wire.bits, port.bits // 8))
