"""Sums and products of two tensors, in networks of integers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from frontend.onnx.builder import Builder, Value, varying_axes
from frontend.onnx.model import OnnxNode
from frontend.onnx.rule import Rule
from ir.ops import Add, Multiply, MultiplyShift
from ir.types import Array


def plus_constant(b: Builder, node: OnnxNode, tensor: str, values: Array) -> str:
    """``tensor + values`` with values (C,) or (C, H, W); whatever is the same for all pixels becomes (C,)."""
    if values.ndim == 3 and (values == values[:, :1, :1]).all():
        values = values[:, 0, 0]
    return b.emit(node, Add(), tensor, constants={"addend": values})


def split(b: Builder, node: OnnxNode) -> tuple[Value, Value | Array, bool]:
    """(computed operand, other operand, whether they were given the other way round)."""
    b.require(node, len(node.inputs) == 2, f"takes two operands, got {len(node.inputs)}")
    first, second = node.inputs
    turned = first not in b.values
    x = b.value(node, 1 if turned else 0)
    other = first if turned else second
    return x, b.values[other] if other in b.values else b.constant(node, 0 if turned else 1), turned


def together(b: Builder, node: OnnxNode, x: Value, y: Value) -> tuple[Value, Value]:
    """Both with the same axes as C, H, W; they have to be of one shape but for ones in front."""
    rank = max(len(x.shape), len(y.shape))
    x, y = (_lifted(v, rank) for v in (x, y))
    b.require(node, x.shape == y.shape, f"operands of shapes {x.shape} and {y.shape} are not supported (allowed: one)")
    axes = [axis for axis in x.axes if axis >= 0]
    return b.arranged(node, x, axes), b.arranged(node, y, axes)


def gated(b: Builder, node: OnnxNode, x: Value, y: Value) -> tuple[Value, Value] | None:
    """The larger operand and a gate for it, with the same axes as C, H, W: one number for each of its channels or
    pixels. None where neither operand is one."""
    rank = max(len(x.shape), len(y.shape))
    x, y = (_lifted(v, rank) for v in (x, y))
    if np.prod(x.shape) < np.prod(y.shape):
        x, y = y, x
    if any(m not in (1, n) for n, m in zip(x.shape, y.shape, strict=True)):
        return None
    extents = tuple(1 if axis < 0 else y.shape[axis] for axis in x.axes)
    c, h, w = x.extents
    if extents not in ((c, 1, 1), (1, h, w)):
        return None
    return x, b.arranged(node, y, [axis for axis in x.axes if axis >= 0])


def _lifted(x: Value, rank: int) -> Value:
    more = rank - len(x.shape)
    axes = tuple(axis + more if axis >= 0 else axis for axis in x.axes)
    return Value(x.tensor, (1,) * more + x.shape, axes)  # type: ignore[arg-type]


def _add(b: Builder, node: OnnxNode) -> None:
    x, other, _ = split(b, node)
    if isinstance(other, Value):
        x, y = together(b, node, x, other)
        return b.define(node, Value(b.emit(node, Add(), x.tensor, y.tensor), x.shape, x.axes))
    return b.define(node, _plus(b, node, x, b.integers(node, other, "the constant")))


def _plus(b: Builder, node: OnnxNode, x: Value, values: Array) -> Value:
    if len(varying_axes(values, len(x.shape))) < 2:
        x, (vector,) = b.per_channel(node, x, values)
        return Value(plus_constant(b, node, x.tensor, vector), x.shape, x.axes)
    return Value(plus_constant(b, node, x.tensor, b.laid_out(node, x, values)), x.shape, x.axes)


def negated(b: Builder, node: OnnxNode, x: Value) -> Value:
    """``-x`` as a multiply-shift."""
    type_ = b.types[x.tensor]
    channels = type_.shape[0]
    op = MultiplyShift(1, -max(type_.hi, 1 - type_.lo), -type_.lo if type_.lo < 0 else 1)
    return b.map(node, op, x, name="negated", mul=np.full(channels, -2), add=np.zeros(channels, np.int64))


def _subtract(b: Builder, node: OnnxNode) -> None:
    x, other, turned = split(b, node)
    if isinstance(other, Value):
        x, y = together(b, node, x, other)
        return b.define(node, Value(b.emit(node, Add(), x.tensor, negated(b, node, y).tensor), x.shape, x.axes))
    values = b.integers(node, other, "the constant")
    return b.define(node, _plus(b, node, negated(b, node, x) if turned else x, values if turned else -values))


def _multiply(b: Builder, node: OnnxNode) -> None:
    x, other, _ = split(b, node)
    if isinstance(other, Value):
        x, y = gated(b, node, x, other) or together(b, node, x, other)
        return b.define(node, Value(b.emit(node, Multiply(), x.tensor, y.tensor), x.shape, x.axes))
    return b.define(node, times(b, node, x, b.integers(node, other, "the constant")))


def times(b: Builder, node: OnnxNode, x: Value, values: Array, name: str = "") -> Value:
    """x times integers that are broadcast against it."""
    factors = b.laid_out(node, x, values)
    return Value(b.emit(node, Multiply(), x.tensor, name=name, constants={"factors": factors}), x.shape, x.axes)


RULES: Mapping[str, Rule] = {"Add": _add, "Mul": _multiply, "Sub": _subtract}
