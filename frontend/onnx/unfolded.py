"""Tensors of more than three axes, which exporters need on the way only: a channel shuffle, a detector's last view.

Such a tensor is kept as the one that it was reshaped from and an order of axes. Its elements are moved when it is
reshaped to three axes again: by transpositions of three blocks of neighbouring axes, as few as do it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from frontend.onnx.builder import Builder, Unfolded, Value
from frontend.onnx.model import OnnxNode
from frontend.onnx.shapes import (
    define_view,
    flattened_shape,
    in_order,
    positive,
    reshaped,
    squeezed_shape,
    target_shape,
    unsqueezed_shape,
)
from frontend.transpositions import MOST_AXES, transpositions
from ir.ops import Reshape, Transpose

POINTWISE = {
    "Abs", "Add", "Cast", "Ceil", "Clip", "DequantizeLinear", "Div", "Dropout", "Elu", "Erf", "Exp", "Floor", "Gelu",
    "HardSigmoid", "HardSwish", "Identity", "LeakyRelu", "IntQuant", "Log", "Mul", "Neg", "Pow", "QLinearAdd",
    "QLinearLeakyRelu", "QLinearMul", "QLinearSigmoid", "Quant", "QuantizeLinear",
    "Reciprocal", "Relu", "Round", "Sigmoid", "Sign", "Softplus", "Softsign", "Sqrt", "Sub", "Swish", "Tanh",
}  # fmt: skip
"""Operators of each element by itself, where their constants are one number: they may as well come before the view."""
Convert = Callable[[OnnxNode], None]


def unfolds(b: Builder, node: OnnxNode, convert: Convert) -> bool:
    """Converts a node that reads a tensor of more than three axes; whether it does."""
    views = [b.unfolded[name] for name in node.inputs if name in b.unfolded]
    if not views or (node.domain and node.operator not in POINTWISE):
        return False
    view, grid = views[0], b.grids.get(node.inputs[0])
    if node.operator in POINTWISE:
        return _pointwise(b, node, views, convert)
    shape = SHAPES.get(node.operator)
    if node.operator == "Transpose":
        order = [int(n) for n in node.attributes.get("perm", range(len(view.order))[::-1])]
        fits = sorted(order) == list(range(len(view.order)))
        b.require(node, fits, f"perm {order} is no order of {len(view.order)} axes")
        b.unfolded[node.outputs[0]] = replace(view, order=tuple(view.order[axis] for axis in order))
    elif shape is not None:
        _reshaped(b, node, view, shape(b, node, view.shape))
    elif node.operator in ALONG:
        return _along(b, node, view.shape, convert)
    else:
        return False
    if grid is not None and grid[0].size == 1:
        b.grids[node.outputs[0]] = grid
    return True


def _beside_constants(b: Builder, node: OnnxNode, view: Unfolded, inputs: list[str]) -> Unfolded:
    """The view with its elements in order, and the constants that are broadcast against it in the shape that they have
    there; both replace the node's ``inputs``."""
    source = _in_order(b, node, view)
    for i, name in enumerate(inputs):
        if name in b.folded:
            values = b.folded[name]
            fits = np.broadcast_shapes(values.shape, view.shape) == view.shape
            b.require(node, fits, f"a constant of shape {values.shape} does not broadcast to {view.shape}")
            inputs[i] = f"{node.outputs[0]}.constant"
            b.folded[inputs[i]] = np.broadcast_to(values, view.shape).reshape(source.shape)
        else:
            inputs[i] = f"{node.outputs[0]}.ordered"
            b.values[inputs[i]] = source
            _copy_grid(b, name, inputs[i])
    return Unfolded(inputs[0], view.shape, tuple(range(len(view.shape))))


ALONG = {"Concat": 1, "LogSoftmax": -1, "Softmax": -1, "Split": 0}
"""Operators along one axis, and which it is where they do not say."""


def _along(b: Builder, node: OnnxNode, shape: Sequence[int], convert: Convert) -> bool:
    """On three blocks of axes: those before that axis, itself, those behind it."""
    if node.operator.endswith("Softmax") and int(node.attributes.get("opset", b.opset)) < 13:
        return False  # which joined all axes from that one on
    axis = positive(b, node, int(node.attributes.get("axis", ALONG[node.operator])), len(shape))
    inputs = list(node.inputs)
    for i, name in enumerate(node.inputs):
        x = b.unfolded.get(name) or b.values.get(name)
        if x is None:
            continue
        if len(x.shape) != len(shape):
            return False
        inputs[i] = f"{node.outputs[0]}.blocks{i}"
        whole = _in_order(b, node, x)
        before, behind = (int(np.prod(part)) for part in (shape[:axis], shape[axis + 1 :]))
        made = reshaped(b, node, whole, (before, x.shape[axis], behind))
        assert made is not None  # three axes
        b.values[inputs[i]] = made
        _copy_grid(b, name, inputs[i])
    inner = [f"{name}.blocks" for name in node.outputs]
    attributes = {**node.attributes, "axis": 1}
    convert(replace(node, inputs=tuple(inputs), outputs=tuple(inner), attributes=attributes))
    for name, part in zip(node.outputs, inner, strict=True):
        extent = b.values[part].shape[1]
        result = (*shape[:axis], extent, *shape[axis + 1 :])
        define_view(b, replace(node, inputs=(part,), outputs=(name,)), b.values[part], result)
        _copy_grid(b, part, name)
    return True


def _copy_grid(b: Builder, source: str, target: str) -> None:
    if source in b.grids:
        b.grids[target] = b.grids[source]


def _in_order(b: Builder, node: OnnxNode, x: Unfolded | Value) -> Value:
    """A tensor's elements in order, in some shape."""
    if isinstance(x, Value):
        return in_order(b, node, x)
    return b.values[x.source] if x.order == tuple(range(len(x.order))) else folded(b, node, x)


SHAPES = {
    "Flatten": flattened_shape,
    "Reshape": target_shape,
    "Squeeze": squeezed_shape,
    "Unsqueeze": unsqueezed_shape,
}


def _pointwise(b: Builder, node: OnnxNode, views: Sequence[Unfolded], convert: Convert) -> bool:
    constants = [b.folded[name] for name in node.inputs if name in b.folded]
    alike = len({(b.values[view.source].shape, view.split, view.order) for view in views}) == 1
    if not alike or len(views) + len(constants) != len([n for n in node.inputs if n]):
        return False
    inner = f"{node.outputs[0]}.folded"
    inputs = [b.unfolded[name].source if name in b.unfolded else name for name in node.inputs]
    view = views[0]
    if any(values.size != 1 for values in constants):
        if len(views) > 1 or node.operator not in ("Add", "Div", "Mul", "Sub"):
            return False
        view = _beside_constants(b, node, view, inputs)
    convert(replace(node, inputs=tuple(inputs), outputs=(inner,)))
    b.unfolded[node.outputs[0]] = replace(view, source=inner)
    _copy_grid(b, inner, node.outputs[0])
    return True


def _reshaped(b: Builder, node: OnnxNode, view: Unfolded, shape: Sequence[int]) -> None:
    moved = _in_order(b, node, view)
    made = reshaped(b, node, moved, shape)
    if made is not None:
        return b.define(node, made)
    inner = f"{node.outputs[0]}.moved"
    b.values[inner] = moved
    _copy_grid(b, node.inputs[0], inner)
    b.unfolded[node.outputs[0]] = Unfolded(inner, tuple(shape), tuple(range(len(shape))))
    return None


def folded(b: Builder, node: OnnxNode, view: Unfolded) -> Value:
    """The view's elements in order, in some shape of three axes behind a batch of 1."""
    tensor = in_order(b, node, b.values[view.source]).tensor
    steps = transpositions(view.split, view.order)
    if steps is None:
        b.fail(node, f"moves too many axes of {view.shape} (allowed: {MOST_AXES})")
    for shape, turn in steps:
        if b.types[tensor].shape != shape:
            tensor = b.emit(node, Reshape(shape), tensor, name="split")
        tensor = b.emit(node, Transpose(turn), tensor, name="moved")
    return Value(tensor, (1, *b.types[tensor].shape), (1, 2, 3))
