"""Freezing: fake-quantised values become integers, in float64 with ties settled, once.

Every value of the float graph is kept as an integer tensor and the map that gives its real value back. Batch norm and
bias only change the map; a quantised activation turns it into a requantisation. Here are the rules of the UltraNet
family, with its published integer form; `frontend.lower.real` has those of networks with scales of any kind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from frontend.lower import real
from frontend.lower.fallback import attempt, before_quantisers, reads_reals
from frontend.lower.fallback import real as real_tensor
from frontend.lower.feeds import feeds, integer_inputs, shaped_like_their_readers
from frontend.lower.values import State, Value
from ir.graph import Graph, Node
from ir.ops import (
    BatchNorm,
    Concat,
    Conv2d,
    FakeQuantize,
    MultiplyShift,
    Op,
    Scaled,
    SpaceToDepth,
)
from ir.records import Dequantise, Quantise
from ir.types import DType


@dataclass(frozen=True)
class Frozen:
    """A graph to execute; per output of integers the map to real values, per input of reals what makes integers of
    them. Outputs of floats, and inputs of float32, have none."""

    graph: Graph
    dequantise: Mapping[str, Dequantise]
    quantise: Mapping[str, Quantise] = field(default_factory=dict)


def freeze(graph: Graph, fraction_bits: int = 8, fallback: bool = False) -> Frozen:
    """The integer form of a graph of fake-quantised values, with the same outputs; a graph of integers stays as it is.

    A `FakeQuantize` after a convolution of ``wb``-bit weights and ``ab``-bit inputs shifts by
    ``T = wb - 1 + ab + fraction_bits`` and has ``mul = rint(steps_out * gain * (2**T / (steps_w * steps_x)))`` and
    ``add = rint(steps_out * offset * 2**T)``: the published integer form of the UltraNet family, for any widths.

    Operators without an integer form are computed in reals: behind the last quantiser always, before one, or where
    only the operands' scales forbid integers, with ``fallback``.

    Raises ModelError naming the node where a value has neither form.
    """
    if all(type_.dtype.is_integer for type_ in graph.types.values()):
        return Frozen(shaped_like_their_readers(graph, {}), {})
    records = feeds(graph)
    state = State(graph, fraction_bits, integer_inputs(graph, records))
    state.values |= {name: Value(name, raw=name in records) for name in graph.inputs}
    quantised_later = before_quantisers(graph)
    for node in graph.nodes:
        rule = RULES.get(type(node.op))
        ends = node.name not in quantised_later and (rule is None or reads_reals(state, node))
        attempt(state, node, rule, fallback or ends)
    dequantise: dict[str, Dequantise] = {}
    renamed: dict[str, str] = {}
    for name in graph.outputs:
        tensor, record = _output(state, graph.by_name[name], name)
        if record is not None:
            dequantise[name] = record
        if tensor in renamed:
            state.fail(graph.by_name[name], f"two outputs are made of the same tensor '{tensor}'")
        renamed[tensor] = name
    nodes = [
        replace(n, name=renamed.get(n.name, n.name), inputs=tuple(renamed.get(i, i) for i in n.inputs))
        for n in state.nodes
    ]
    integer = Graph(graph.name, state.inputs, (), graph.outputs, state.constants).with_nodes(nodes)
    return Frozen(shaped_like_their_readers(integer, records), dequantise, records)


def _output(state: State, node: Node, name: str) -> tuple[str, Dequantise | None]:
    """The output's integers and what they are in real values; for reals, or what an activation makes of integers, the
    tensor of reals."""
    if name in state.reals and name not in state.values:
        return state.reals[name], None
    value = state.operand(node, name)
    if value.curve:
        return real_tensor(state, name, node), None
    channels = state.type_of(value.tensor).shape[0]
    offset = np.broadcast_to(np.zeros(1) if value.offset is None else value.offset, (channels,))
    if not (np.isfinite(offset).all() and np.isfinite(value.scales).all()):
        state.fail(node, "an output's scale or bias is not finite")
    bias = tuple(float(v) for v in offset)
    if value.scales.size > 1:
        return value.tensor, Dequantise(1.0, bias, tuple(float(v) for v in value.scales))
    scale = 1 / value.steps if value.gain is None else float(value.scales[0])
    return value.tensor, Dequantise(scale, bias)


def _scaled(state: State, node: Node) -> None:
    assert isinstance(node.op, Scaled)
    source = node.inputs[0]
    if source not in state.graph.inputs:
        state.fail(node, f"scales '{source}', needs an input of the graph")
    state.values[node.name] = Value(source, node.op.steps, state.graph.inputs[source].dtype.bits)


def _quantise(state: State, node: Node) -> None:
    op = node.op
    assert isinstance(op, FakeQuantize)
    source = node.inputs[0]
    bits = DType.holding(op.lo, op.hi).bits
    if source in state.graph.constants:
        state.constants[node.name] = op.integers(state.graph.constants[source])
        state.values[node.name] = Value(node.name, op.steps, bits)
    else:
        state.values[node.name] = _requantise(state, node, op, bits)


def _requantise(state: State, node: Node, op: FakeQuantize, bits: int) -> Value:
    value = state.operand(node, node.inputs[0])
    if value.raw:
        return Value(value.tensor, op.steps, bits)
    if not value.bits:
        return real.fake_quantised(state, node, op, value)
    type_ = state.type_of(value.tensor)
    if value.curve:
        state.fail(node, "needs an affine operand, has an activation before it")
    if value.is_scaled_only and value.steps == op.steps and op.lo <= type_.lo and type_.hi <= op.hi:
        return value
    channels = type_.shape[0]
    gain = np.broadcast_to(np.ones(1) if value.gain is None else value.gain, (channels,))
    offset = np.broadcast_to(np.zeros(1) if value.offset is None else value.offset, (channels,))
    shift = value.bits + state.fraction_bits
    mul = np.rint(op.steps * gain * (2.0**shift / value.steps))
    add = np.rint(op.steps * offset * 2.0**shift)
    if not (np.isfinite(mul).all() and np.isfinite(add).all() and max(np.abs(mul).max(), np.abs(add).max()) < 2.0**31):
        state.fail(node, "its scale or offset exceeds 32 bits: the batch norm in front of it is degenerate")
    names = (f"{node.name}.mul", f"{node.name}.add")
    state.constants.update(zip(names, (mul.astype(np.int64), add.astype(np.int64)), strict=True))
    tensor = state.emit(node, MultiplyShift(shift, op.lo, op.hi), (value.tensor, *names))
    return Value(tensor, op.steps, bits)


def _convolution(state: State, node: Node) -> None:
    x, w = state.operand(node, node.inputs[0]), state.operand(node, node.inputs[1])
    if not (x.is_scaled_only and w.is_scaled_only):
        return real.convolution(state, node)
    if w.tensor not in state.constants:
        state.fail(node, "needs quantised input and constant quantised weights")
    offset = state.graph.constants[node.inputs[2]].astype(np.float64) if len(node.inputs) == 3 else None
    tensor = state.emit(node, node.op, (x.tensor, w.tensor))
    state.values[node.name] = Value(tensor, w.steps * x.steps, w.bits - 1 + x.bits, None, offset)
    return None


def _batch_norm(state: State, node: Node) -> None:
    assert isinstance(node.op, BatchNorm)
    x = state.operand(node, node.inputs[0])
    gain, offset = node.op.affine(*(state.graph.constants[i] for i in node.inputs[1:]))
    state.values[node.name] = x.then(gain, offset)


def _concat(state: State, node: Node) -> None:
    operands = [state.operand(node, i) for i in node.inputs]
    if not all(v.is_scaled_only for v in operands):
        operands = [real.centred(state, node, v, f"operand '{i}'") for v, i in zip(operands, node.inputs, strict=True)]
    tensor = state.emit(node, node.op, tuple(v.tensor for v in operands))
    scales = [float(v.scales[0]) for v in operands]
    if len(set(scales)) > 1:  # a scale for each channel, which a quantiser or a depthwise convolution may read
        channels = [state.type_of(v.tensor).shape[0] for v in operands]
        state.values[node.name] = Value(tensor, gain=np.repeat(scales, channels))
        return
    first = operands[0]
    state.values[node.name] = Value(tensor, first.steps, max(v.bits for v in operands), first.gain)


RULES: Mapping[type[Op], Callable[[State, Node], None]] = {
    **real.RULES,
    BatchNorm: _batch_norm,
    Concat: _concat,
    Conv2d: _convolution,
    FakeQuantize: _quantise,
    Scaled: _scaled,
    SpaceToDepth: real.moved,
}
