"""Inputs of real values: the network's own first quantiser makes integers of them, before the integer graph begins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NoReturn

import numpy as np

from frontend.errors import ModelError
from frontend.lower.values import one
from ir.graph import Graph, Node
from ir.ops import (
    Affine,
    BatchNorm,
    Curve,
    FakeQuantize,
    MultiThreshold,
    Quantize,
    Reshape,
    Slice,
    SpaceToDepth,
    Transpose,
)
from ir.records import Quantise
from ir.types import Array, DType, TensorType

MOVES = (Reshape, Slice, SpaceToDepth, Transpose)


@dataclass(frozen=True, eq=False)
class _Raw:
    """What lies between input and tensor: ``x * gain + offset``; whether values moved, whether a ReLU came last."""

    gain: Array
    offset: Array
    moved: bool = False
    rectified: bool = False


def feeds(graph: Graph) -> dict[str, Quantise]:
    """The record of each float input. Raises ModelError where one meets anything before a quantiser, or two different
    ones."""
    return {name: _record(graph, name) for name, type_ in graph.inputs.items() if not type_.dtype.is_integer}


def shaped_like_their_readers(graph: Graph, records: Mapping[str, Quantise]) -> Graph:
    """The graph without the `Reshape` of an input that nothing else reads: the input has the new shape itself, unless
    its record has numbers per channel. Files of tensors keep the shape of the model's file, which has the same elements
    in the same order."""
    fixed = {name for name, record in records.items() if max(len(record.gain), len(record.offset)) > 1}
    nodes, inputs, renamed = [], dict(graph.inputs), {}
    for node in graph.nodes:
        source = node.inputs[0]
        sole = (
            source in inputs
            and source not in fixed
            and graph.consumers[source] == (node.name,)
            and node.name not in graph.outputs
        )
        if isinstance(node.op, Reshape) and sole:
            inputs[source] = replace(inputs[source], shape=node.op.shape)
            renamed[node.name] = source
        else:
            nodes.append(replace(node, inputs=tuple(renamed.get(i, i) for i in node.inputs)))
    return replace(graph, inputs=inputs, nodes=tuple(nodes))


def integer_inputs(graph: Graph, records: Mapping[str, Quantise]) -> dict[str, TensorType]:
    """The integer graph's inputs."""
    types = dict(graph.inputs)
    for name, record in records.items():
        lo, hi = record.lo - record.zero, record.hi - record.zero
        if len(record.thresholds) == 1 and (lo, hi) == (-1, 1):
            types[name] = TensorType(types[name].shape, DType("bipolar", 1), lo, hi)
        else:
            types[name] = TensorType.of_range(types[name].shape, lo, hi)
    return types


def _record(graph: Graph, name: str) -> Quantise:
    raw: dict[str, _Raw] = {name: _Raw(np.ones(1), np.zeros(1))}
    found: list[tuple[Node, Quantise]] = []
    for node in graph.nodes:
        source = node.inputs[0]
        if not any(i in raw for i in node.inputs):
            continue
        if isinstance(node.op, Quantize | FakeQuantize):
            found.append((node, _quantiser(graph, node, node.op, raw[source])))
        elif isinstance(node.op, MultiThreshold):
            found.append((node, _thresholds(graph, node, node.op, raw[source])))
        else:
            raw[node.name] = _through(graph, node, raw.get(source))
    if not found:
        raise ModelError(f"{graph.name}: input '{name}' is nowhere quantised: say with --input TYPE what it holds")
    if any(record != found[0][1] for _, record in found):
        other = next(node.name for node, record in found if record != found[0][1])
        raise ModelError(
            f"{graph.name}: input '{name}' is quantised in two ways, by '{found[0][0].name}' and '{other}': say with "
            "--input TYPE what it holds"
        )
    if name in graph.outputs or any(n in graph.outputs for n in raw):
        raise ModelError(f"{graph.name}: an output is made of input '{name}' before it is quantised")
    return found[0][1]


def _quantiser(graph: Graph, node: Node, given: Quantize | FakeQuantize, raw: _Raw) -> Quantise:
    if isinstance(given, FakeQuantize):
        op, scale = Quantize(given.lo, given.hi), np.array([1 / given.steps])
    else:
        op, scale = given, graph.constants[node.inputs[1]]
    if scale.size != 1:
        _refuse(graph, node, "an input's quantiser has to have one scale")
    if raw.rectified and op.lo < op.zero:
        _refuse(graph, node, "an input passes a ReLU before a quantiser of negative values")
    gain, offset = (tuple(float(v) for v in values) for values in (raw.gain, raw.offset))
    return Quantise(float(scale[0]), op.zero, op.lo, op.hi, op.rounding, gain, offset)


def _thresholds(graph: Graph, node: Node, op: MultiThreshold, raw: _Raw) -> Quantise:
    table = graph.constants[node.inputs[1]].astype(np.float64)
    if (table != table[:1]).any():
        _refuse(graph, node, "an input's thresholds have to be the same for all channels")
    if raw.rectified and table[0, 0] <= 0:
        _refuse(graph, node, "an input passes a ReLU before thresholds that are not above 0")
    gain, offset, levels = (tuple(float(v) for v in values) for values in (raw.gain, raw.offset, table[0]))
    first = op.first or 0
    lo, hi = (-1, 1) if op.bipolar and len(levels) == 1 else (first, first + len(levels))
    return Quantise(1.0, 0, lo, hi, "ROUND", gain, offset, levels)


def _through(graph: Graph, node: Node, raw: _Raw | None) -> _Raw:
    op = node.op
    constants = [graph.constants[i] for i in node.inputs[1:] if i in graph.constants]
    if raw is not None and isinstance(op, MOVES) and max(raw.gain.size, raw.offset.size) == 1:
        return replace(raw, moved=True)
    if raw is not None and isinstance(op, Curve) and op.name == "relu":
        return replace(raw, rectified=True)
    if raw is not None and isinstance(op, Affine | BatchNorm) and not raw.rectified:
        gain, offset = (one(v) for v in (op.affine(*constants) if isinstance(op, BatchNorm) else constants))
        if not raw.moved or max(gain.size, offset.size) == 1:
            return replace(raw, gain=raw.gain * gain, offset=raw.offset * gain + offset)
    return _refuse(graph, node, "works on an input before it is quantised: quantise it, or say with --input its type")


def _refuse(graph: Graph, node: Node, what: str) -> NoReturn:
    raise ModelError(f"{graph.name}: node '{node.name}' ({type(node.op).__name__}): {what}")
