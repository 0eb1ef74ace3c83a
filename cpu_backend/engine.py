"""The CPU as an engine: every operator of integers and of float32, on any machine with a C compiler."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from cpu_backend.codegen import generate
from cpu_backend.emit import REAL_RULES, RULES, Destination, emit, identifier, rules_for
from cpu_backend.forms import cheapest, shared, weights_leave_cache
from cpu_backend.layers import Layer, layers_of
from cpu_backend.requantise import kernel_type
from cpu_backend.scalar import word_of
from cpu_backend.tuning.choice import Choice, alone_cycles, choose
from cpu_backend.tuning.database import Database
from cpu_backend.tuning.packaged import PACKAGED, packaged
from ir.engine import Artifact, Candidate, Overhead, Port, Prepared, Reason, StageReport
from ir.graph import Graph, GraphError, NodeView
from ir.layouts import Plain
from ir.ops import OperatorError
from ir.passes.base import run_passes
from ir.passes.pooling import PoolBeforeRequantise
from ir.passes.signs import PositiveMultipliers
from ir.target import Resources, Target

PASSES = (PositiveMultipliers(), PoolBeforeRequantise())


@dataclass(frozen=True)
class CpuEngine:
    """Runs nodes one after another, large ones on all cores of a host; see `ir.engine.Engine`. ``database``: measured
    times of kernels."""

    name: str = "CPU"
    side: Literal["device", "cpu"] = "cpu"
    database: Database = field(default_factory=Database)

    def clock_mhz(self, target: Target) -> float:
        return target.cpu.clock_mhz

    def objection(self, node: NodeView, target: Target) -> Reason | None:
        rules = rules_for(node)
        if type(node.op) not in rules:
            known = ", ".join(sorted(op.__name__ for op in rules))
            of = " of float64" if rules is REAL_RULES else ""
            return Reason(f"{type(node.op).__name__} has no CPU kernel{of} (there are kernels{of} for {known})")
        if rules is not RULES and target.cpu.isa == "rv32im":
            return Reason("computing with floats needs a processor with floating point, which rv32im has not")
        run_time = [operand.type for operand in node.operands if operand.value is None]
        for type_ in (*run_time, node.type):
            try:
                kernel_type(type_)
            except OperatorError as error:
                return Reason(f"{type(node.op).__name__} {error}")
        return None

    def prepare(self, node: NodeView, target: Target) -> Prepared | Reason:
        layer = shared(cheapest(_alone(node), target.cpu), target.cpu)
        try:
            code = emit(layer, identifier(node.name), Destination(node.type.shape[0], word=word_of(target.cpu)))
        except OperatorError as error:
            return Reason(f"{type(node.op).__name__} {error}")
        return Prepared(node, code.note)

    def candidates(self, prepared: Prepared, target: Target) -> Sequence[Candidate]:
        return (Candidate(alone_cycles(_alone(prepared.node), target.cpu, self.database)),)

    def overhead(self, target: Target) -> Overhead:
        return Overhead()

    def lower(self, region: Graph, choices: Mapping[str, Candidate], target: Target) -> Artifact:
        """C99 for the region; GraphError names a node that has no kernel."""
        passed = run_passes(region, PASSES)
        layers = layers_of(passed)
        cold = weights_leave_cache(layers, target.cpu)
        chosen = [self._chosen(layer, region.name, target, cold) for layer in layers]
        code = generate(passed, layers=[each.layer for each in chosen], word=word_of(target.cpu))
        stages = tuple(
            StageReport(
                each.layer.first.name,
                each.cycles,
                Resources(),
                "; ".join(filter(None, (code.notes[each.layer.name], each.note))),
            )
            for each in chosen
        )
        tunable = [(each.layer.first.name, each.signature, each.default) for each in chosen if each.signature]
        files = dict(code.files)
        if tunable:
            files[f"cpu/{identifier(region.name)}{PACKAGED}"] = packaged(tunable)
        return Artifact(
            files,
            code.sources,
            tuple(Port(tensor, Plain()) for tensor in region.inputs),
            tuple(Port(tensor, Plain()) for tensor in region.outputs),
            stages,
        )

    def _chosen(self, layer: Layer, region: str, target: Target, cold: bool) -> Choice:
        try:
            return choose(layer, target.cpu, self.database, cold)
        except OperatorError as error:
            raise GraphError(f"{region}: '{layer.first.name}' on the CPU: {error}") from error


def _alone(node: NodeView) -> Layer:
    """A layer of this node only."""
    inputs = zip(node.node.inputs, node.operands, strict=True)
    return Layer((node,), tuple(name for name, operand in inputs if operand.value is None))
