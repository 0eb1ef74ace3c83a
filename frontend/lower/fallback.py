"""What has no integer form, in reals: from the integers of a tensor to reals, through operators of binary64, and back.

A node becomes part of the fallback when freezing has no rule for it. Behind the last quantiser that is how a network
ends (a softmax, a head's arithmetic), and always allowed; elsewhere the user has to ask for it (``--fallback``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from frontend.errors import ModelError
from frontend.lower.values import State, Value
from ir.graph import Graph, Node
from ir.ops import (
    Add,
    Affine,
    Arithmetic,
    AveragePool2d,
    BatchNorm,
    Clip,
    Concat,
    Curve,
    FakeQuantize,
    Interpolate,
    Multiply,
    MultiThreshold,
    Op,
    PRelu,
    Quantize,
    Reduce,
    Reshape,
    Sigmoid,
    Slice,
    Softmax,
    SumPool2d,
    ToInteger,
    Transpose,
)
from ir.types import Array

QUANTISERS = (FakeQuantize, MultiThreshold, Quantize)


def before_quantisers(graph: Graph) -> set[str]:
    """The nodes whose results a quantiser reads, at once or further on."""
    found: set[str] = set()
    for node in reversed(graph.nodes):
        if node.name in found or isinstance(node.op, QUANTISERS):
            found.update(node.inputs)
    return found


def reads_reals(state: State, node: Node) -> bool:
    """Whether an operand is computed in reals, or is an activation of integers, or an addend or factor, that no
    quantiser has rounded."""
    if isinstance(node.op, Add | Multiply) and any(name in state.graph.constants for name in node.inputs):
        return True
    known = (state.values.get(name) for name in node.inputs)
    bent = any(value is not None and value.curve for value in known)
    return bent or any(name in state.reals and name not in state.values for name in node.inputs)


def fall_back(state: State, node: Node) -> None:
    """The node in binary64, or the integers that a quantiser makes of reals. Raises ModelError where it has no form in
    C, or reads what the host quantises."""
    if isinstance(node.op, Quantize):
        _to_integer(state, node, node.op, state.graph.constants[node.inputs[1]])
    elif isinstance(node.op, FakeQuantize):
        _to_integer(state, node, Quantize(node.op.lo, node.op.hi), np.array([1 / node.op.steps]))
    else:
        state.reals[node.name] = _computed(state, node)


def _to_integer(state: State, node: Node, op: Quantize, scale: Array) -> None:
    x = real(state, node.inputs[0], node)
    scales = np.broadcast_to(scale.astype(np.float64), state.type_of(x).shape[:1])
    name = state.constant(f"{node.name}.scale", np.array(scales))
    tensor = state.emit(node, ToInteger(op.lo, op.hi, op.zero, op.rounding), (x, name))
    state.values[node.name] = Value(tensor, gain=scale.astype(np.float64))


def real(state: State, name: str, user: Node) -> str:
    """The tensor of reals that stands for a tensor of the float graph; made where there is none yet."""
    if name not in state.reals:
        value = state.values.get(name)
        if value is not None and value.raw:
            state.fail(user, "works on an input before it is quantised: quantise it, or say with --input its type")
        if value is not None and not value.curve:
            state.reals[name] = _dequantised(state, name, value)
        elif name in state.graph.by_name:
            state.reals[name] = _computed(state, state.graph.by_name[name])
        else:
            state.fail(user, f"reads '{name}', which has no form in floats")
    return state.reals[name]


def _dequantised(state: State, name: str, value: Value) -> str:
    if value.tensor in state.constants:
        constant = state.constants[value.tensor]
        return state.constant(f"{name}.real", value.real(constant.reshape(len(constant), -1)).reshape(constant.shape))
    channels = state.type_of(value.tensor).shape[:1]
    offset = np.zeros(1) if value.offset is None else value.offset
    parts = {"scale": value.scales, "offset": offset}
    names = [
        state.constant(f"{name}.real.{key}", np.array(np.broadcast_to(v, channels), np.float64))
        for key, v in parts.items()
    ]
    return state.emit(Node(name, Affine(), ()), Affine(), (value.tensor, *names), "real")


def _computed(state: State, node: Node) -> str:
    """A node of the float graph on reals."""
    rule = RULES.get(type(node.op))
    if rule is None:
        state.fail(node, f"{type(node.op).__name__} has no form in floats between integers")
    return rule(state, node)


def _emit(state: State, node: Node, op: Op, inputs: Sequence[str], step: str = "") -> str:
    name = f"real.{step}" if step else "real"
    return state.emit(node, op, tuple(inputs), name)


def _operands(state: State, node: Node) -> list[str]:
    return [real(state, name, node) for name in node.inputs]


def _same(state: State, node: Node) -> str:
    return _emit(state, node, node.op, _operands(state, node))


def _with_constants(state: State, node: Node) -> str:
    """An operator whose operands behind the first are constants, one number a channel."""
    x = real(state, node.inputs[0], node)
    names = [state.constant(f"{node.name}.real.{i}", _wide(state, name)) for i, name in enumerate(node.inputs[1:])]
    return _emit(state, node, node.op, (x, *names))


def _wide(state: State, name: str) -> Array:
    return np.asarray(state.graph.constants[name].astype(np.float64))


def _pair(name: str) -> Callable[[State, Node], str]:
    def rule(state: State, node: Node) -> str:
        return _emit(state, node, Arithmetic(name), [_shaped(state, i, node) for i in node.inputs])

    return rule


def _shaped(state: State, name: str, node: Node) -> str:
    """An operand of a function of two values; a constant may have one number a channel."""
    constant = state.graph.constants.get(name)
    if constant is None:
        return real(state, name, node)
    wide = constant.astype(np.float64)
    return state.constant(f"{node.name}.real.{name}", wide.reshape(-1, 1, 1) if wide.ndim == 1 else wide)


def _affine(state: State, node: Node, scale: Array, offset: Array) -> str:
    names = [state.constant(f"{node.name}.real.{key}", v) for key, v in (("scale", scale), ("offset", offset))]
    return _emit(state, node, Affine(), (real(state, node.inputs[0], node), *names))


def _batch_norm(state: State, node: Node) -> str:
    assert isinstance(node.op, BatchNorm)
    return _affine(state, node, *node.op.affine(*(_wide(state, i) for i in node.inputs[1:])))


def _clip(state: State, node: Node) -> str:
    assert isinstance(node.op, Clip)
    return _emit(state, node, Curve("clip", float(node.op.lo), float(node.op.hi)), _operands(state, node))


def _sigmoid(state: State, node: Node) -> str:
    return _emit(state, node, Curve("sigmoid"), _operands(state, node))


def _pool(state: State, node: Node) -> str:
    """A sum or mean of the whole picture, or of its rows or columns."""
    op, (x,) = node.op, _operands(state, node)
    assert isinstance(op, SumPool2d | AveragePool2d)
    channels, *extents = state.type_of(x).shape
    whole = all(k == n or (k == s == 1) for k, s, n in zip(op.kernel, op.stride, extents, strict=True))
    axes = tuple(axis for axis, k in enumerate(op.kernel, 1) if k > 1) or (1,)
    if not whole or any(op.padding):
        state.fail(node, f"windows of {op.kernel} have no form in floats between integers (allowed: all of {extents})")
    if isinstance(op, SumPool2d):
        return _emit(state, node, Reduce("sum", axes), (x,))
    total = _emit(state, node, Reduce("sum", axes), (x,), "sum")
    names = [
        state.constant(f"{node.name}.real.{key}", np.full(channels, v))
        for key, v in (("scale", 1 / (op.kernel[0] * op.kernel[1])), ("offset", 0.0))
    ]
    return _emit(state, node, Affine(), (total, *names))


RULES: Mapping[type[Op], Callable[[State, Node], str]] = {
    Add: _pair("add"),
    Affine: _with_constants,
    Arithmetic: _same,
    AveragePool2d: _pool,
    BatchNorm: _batch_norm,
    Clip: _clip,
    Concat: _same,
    Curve: _same,
    Interpolate: _same,
    Multiply: _pair("multiply"),
    PRelu: _with_constants,
    Reduce: _same,
    Reshape: _same,
    Sigmoid: _sigmoid,
    Slice: _same,
    Softmax: _same,
    SumPool2d: _pool,
    Transpose: _same,
}


def attempt(state: State, node: Node, rule: Callable[[State, Node], None] | None, allowed: bool) -> None:
    """Freezes a node by its rule, or as part of the fallback where it has no integer form. ModelError where neither
    is possible, or the fallback is not ``allowed``."""
    before = (len(state.nodes), dict(state.constants), dict(state.types))
    try:
        if rule is None:
            state.fail(node, f"{type(node.op).__name__} has no integer form")
        rule(state, node)
    except ModelError as refused:
        del state.nodes[before[0] :]
        state.constants, state.types = before[1:]
        state.values.pop(node.name, None)
        try:
            fall_back(state, node)
        except ModelError as hopeless:
            raise (hopeless if allowed else refused) from None
        if not allowed:
            raise ModelError(f"{refused} (--fallback computes it in floats on the CPU)") from None
