"""The CPU as an engine: every operator of integers and of float32, on any machine with a C compiler."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from cpu_backend.codegen import generate
from cpu_backend.cost import cheapest, layer_cycles
from cpu_backend.emit import Destination, emit, identifier, rules_for
from cpu_backend.layers import Layer, layers_of
from cpu_backend.requantise import kernel_type
from cpu_backend.scalar import word_of
from ir.engine import Artifact, Candidate, Port, Prepared, Reason, StageReport
from ir.graph import Graph, NodeView
from ir.layouts import Plain
from ir.ops import OperatorError
from ir.passes.base import run_passes
from ir.passes.pooling import PoolBeforeRequantise
from ir.passes.signs import PositiveMultipliers
from ir.target import Resources, Target

PASSES = (PositiveMultipliers(), PoolBeforeRequantise())


@dataclass(frozen=True)
class CpuEngine:
    """Runs nodes one after another on one core; see `ir.engine.Engine`."""

    name: str = "CPU"
    side: Literal["device", "cpu"] = "cpu"

    def clock_mhz(self, target: Target) -> float:
        return target.cpu.clock_mhz

    def objection(self, node: NodeView, target: Target) -> Reason | None:
        rules = rules_for(node)
        if type(node.op) not in rules:
            known = ", ".join(sorted(op.__name__ for op in rules))
            return Reason(f"{type(node.op).__name__} has no CPU kernel (there are kernels for {known})")
        if not node.type.dtype.is_integer and target.cpu.isa == "rv32im":
            return Reason("float32 needs a processor with floating point, which rv32im has not")
        run_time = [operand.type for operand in node.operands if operand.value is None]
        for type_ in (*run_time, node.type):
            try:
                kernel_type(type_)
            except OperatorError as error:
                return Reason(f"{type(node.op).__name__} {error}")
        return None

    def prepare(self, node: NodeView, target: Target) -> Prepared | Reason:
        layer = _alone(node, target)
        try:
            code = emit(layer, identifier(node.name), Destination(node.type.shape[0], word=word_of(target.cpu)))
        except OperatorError as error:
            return Reason(f"{type(node.op).__name__} {error}")
        return Prepared(node, code.note)

    def candidates(self, prepared: Prepared, target: Target) -> Sequence[Candidate]:
        return (Candidate(layer_cycles(_alone(prepared.node, target), target.cpu)),)

    def overhead(self, region: Graph, target: Target) -> Resources:
        return Resources()

    def lower(self, region: Graph, choices: Mapping[str, Candidate], target: Target) -> Artifact:
        """C99 for the region; GraphError names a node that has no kernel."""
        passed = run_passes(region, PASSES)
        layers = tuple(cheapest(layer, target.cpu) for layer in layers_of(passed))
        code = generate(passed, layers=layers, word=word_of(target.cpu))
        stages = tuple(
            StageReport(layer.first.name, layer_cycles(layer, target.cpu), Resources(), code.notes[layer.name])
            for layer in code.layers
        )
        return Artifact(
            code.files,
            code.sources,
            tuple(Port(tensor, Plain()) for tensor in region.inputs),
            tuple(Port(tensor, Plain()) for tensor in region.outputs),
            stages,
        )


def _alone(node: NodeView, target: Target) -> Layer:
    """A layer of this node only."""
    inputs = zip(node.node.inputs, node.operands, strict=True)
    return cheapest(Layer((node,), tuple(name for name, operand in inputs if operand.value is None)), target.cpu)
