"""Freezing: fake-quantised values become integers, in float64 with ties to even, once.

Every value of the float graph is kept as an integer tensor and the affine map that gives its real value back. Batch
norm and bias only change the map; a quantised activation turns it into a multiply-shift.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NoReturn

import numpy as np

from frontend.errors import ModelError
from ir.graph import Graph, Node
from ir.ops import BatchNorm, Concat, Conv2d, FakeQuantize, MaxPool2d, MultiplyShift, Op, Operand, Scaled, SpaceToDepth
from ir.records import Dequantise
from ir.types import Array, DType, TensorType


@dataclass(frozen=True)
class Frozen:
    """A graph to execute and, per output of integers, the map to real values; float32 outputs have none."""

    graph: Graph
    dequantise: Mapping[str, Dequantise]


@dataclass(frozen=True, eq=False)
class _Affine:
    """real = integer[tensor] * gain[c] / steps + offset[c]; ``bits`` is the precision its products carry.

    ``steps`` is a product of level counts and therefore exact; gains come from batch norms alone.
    """

    tensor: str
    steps: float
    bits: int
    gain: Array | None = None
    offset: Array | None = None

    @property
    def is_scaled_only(self) -> bool:
        return self.gain is None and self.offset is None


def freeze(graph: Graph, fraction_bits: int = 8) -> Frozen:
    """The integer form of a graph of fake-quantised values.

    A requantisation after a convolution of ``wb``-bit weights and ``ab``-bit inputs shifts by
    ``T = wb - 1 + ab + fraction_bits`` and has ``mul = rint(steps_out * gain * (2**T / (steps_w * steps_x)))`` and
    ``add = rint(steps_out * offset * 2**T)``: the published integer form of the UltraNet family, for any widths.

    Raises ModelError naming the node where a value has no integer form.
    """
    state = _State(graph, fraction_bits)
    for node in graph.nodes:
        rule = RULES.get(type(node.op))
        if rule is None:
            state.fail(node, f"{type(node.op).__name__} has no integer form")
        else:
            rule(state, node)
    dequantise = {}
    for name in graph.outputs:
        value = state.operand(graph.by_name[name], name)
        channels = state.type_of(value.tensor).shape[0]
        if value.gain is not None:
            state.fail(graph.by_name[name], "an output scaled per channel has no integer form: quantise it")
        offset = np.zeros(channels) if value.offset is None else value.offset
        if not np.isfinite(offset).all():
            state.fail(graph.by_name[name], "an output's bias is not finite")
        dequantise[value.tensor] = Dequantise(1 / value.steps, tuple(float(v) for v in offset))
    integer = Graph(graph.name, graph.inputs, tuple(state.nodes), tuple(dequantise), state.constants)
    used = {i for node in integer.nodes for i in node.inputs}
    return Frozen(
        integer.with_nodes(integer.nodes, {k: v for k, v in state.constants.items() if k in used}), dequantise
    )


@dataclass
class _State:
    """What is frozen so far. ``values`` maps tensors of the float graph to their integer form."""

    graph: Graph
    fraction_bits: int
    nodes: list[Node] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)
    values: dict[str, _Affine] = field(default_factory=dict)
    types: dict[str, TensorType] = field(default_factory=dict)

    def fail(self, node: Node, what: str) -> NoReturn:
        raise ModelError(f"{self.graph.name}: node '{node.name}': {what}")

    def operand(self, node: Node, name: str) -> _Affine:
        if name not in self.values:
            self.fail(node, f"operand '{name}' is not quantised")
        return self.values[name]

    def type_of(self, tensor: str) -> TensorType:
        known = self.types.get(tensor) or self.graph.inputs.get(tensor)
        return known or TensorType.of_values(self.constants[tensor])

    def emit(self, node: Node, op: Op, inputs: tuple[str, ...]) -> str:
        """Append an integer node under the float node's name."""
        try:
            self.types[node.name] = op.infer([Operand(self.type_of(i), self.constants.get(i)) for i in inputs])
        except ValueError as error:  # an OperatorError, or a range that no element type holds
            self.fail(node, str(error))
        self.nodes.append(Node(node.name, op, inputs))
        return node.name


def _scaled(state: _State, node: Node) -> None:
    assert isinstance(node.op, Scaled)
    source = node.inputs[0]
    if source not in state.graph.inputs:
        state.fail(node, f"scales '{source}', needs an input of the graph")
    state.values[node.name] = _Affine(source, node.op.steps, state.graph.inputs[source].dtype.bits)


def _quantise(state: _State, node: Node) -> None:
    op = node.op
    assert isinstance(op, FakeQuantize)
    source = node.inputs[0]
    bits = DType.holding(op.lo, op.hi).bits
    if source in state.graph.constants:
        state.constants[node.name] = op.integers(state.graph.constants[source])
        state.values[node.name] = _Affine(node.name, op.steps, bits)
    else:
        state.values[node.name] = _requantise(state, node, op, bits)


def _requantise(state: _State, node: Node, op: FakeQuantize, bits: int) -> _Affine:
    value = state.operand(node, node.inputs[0])
    type_ = state.type_of(value.tensor)
    if value.is_scaled_only and value.steps == op.steps and op.lo <= type_.lo and type_.hi <= op.hi:
        return value
    channels = type_.shape[0]
    gain = np.ones(channels) if value.gain is None else value.gain
    offset = np.zeros(channels) if value.offset is None else value.offset
    shift = value.bits + state.fraction_bits
    mul = np.rint(op.steps * gain * (2.0**shift / value.steps))
    add = np.rint(op.steps * offset * 2.0**shift)
    if not (np.isfinite(mul).all() and np.isfinite(add).all() and max(np.abs(mul).max(), np.abs(add).max()) < 2.0**31):
        state.fail(node, "its scale or offset exceeds 32 bits: the batch norm in front of it is degenerate")
    names = (f"{node.name}.mul", f"{node.name}.add")
    state.constants.update(zip(names, (mul.astype(np.int64), add.astype(np.int64)), strict=True))
    tensor = state.emit(node, MultiplyShift(shift, op.lo, op.hi), (value.tensor, *names))
    return _Affine(tensor, op.steps, bits)


def _convolution(state: _State, node: Node) -> None:
    x, w = state.operand(node, node.inputs[0]), state.operand(node, node.inputs[1])
    if not (x.is_scaled_only and w.is_scaled_only and w.tensor in state.constants):
        state.fail(node, "needs quantised input and constant quantised weights")
    offset = state.graph.constants[node.inputs[2]].astype(np.float64) if len(node.inputs) == 3 else None
    tensor = state.emit(node, node.op, (x.tensor, w.tensor))
    state.values[node.name] = _Affine(tensor, w.steps * x.steps, w.bits - 1 + x.bits, None, offset)


def _batch_norm(state: _State, node: Node) -> None:
    assert isinstance(node.op, BatchNorm)
    x = state.operand(node, node.inputs[0])
    gain, offset = node.op.affine(*(state.graph.constants[i] for i in node.inputs[1:]))
    if x.offset is not None:
        offset = offset + x.offset * gain
    state.values[node.name] = _Affine(x.tensor, x.steps, x.bits, gain if x.gain is None else x.gain * gain, offset)


def _rearrange(state: _State, node: Node) -> None:
    x = state.operand(node, node.inputs[0])
    if not x.is_scaled_only:
        state.fail(node, "needs a quantised input")
    state.values[node.name] = _Affine(state.emit(node, node.op, (x.tensor,)), x.steps, x.bits)


def _concat(state: _State, node: Node) -> None:
    operands = [state.operand(node, i) for i in node.inputs]
    if any(not v.is_scaled_only for v in operands) or len({v.steps for v in operands}) > 1:
        state.fail(node, f"operands need one common scale, have steps {[v.steps for v in operands]}")
    tensor = state.emit(node, node.op, tuple(v.tensor for v in operands))
    state.values[node.name] = _Affine(tensor, operands[0].steps, max(v.bits for v in operands))


RULES: Mapping[type[Op], Callable[[_State, Node], None]] = {
    BatchNorm: _batch_norm,
    Concat: _concat,
    Conv2d: _convolution,
    FakeQuantize: _quantise,
    Scaled: _scaled,
    MaxPool2d: _rearrange,
    SpaceToDepth: _rearrange,
}
