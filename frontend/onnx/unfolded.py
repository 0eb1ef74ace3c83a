"""Tensors of more than three axes, which exporters need on the way only: a channel shuffle, a detector's last view.

Such a tensor is kept as the one that it was reshaped from and an order of axes. Its elements are moved when it is
reshaped to three axes again: by transpositions of three blocks of neighbouring axes, as few as do it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from frontend.onnx.builder import Builder, Unfolded, Value
from frontend.onnx.model import OnnxNode
from frontend.onnx.shapes import flattened_shape, in_order, reshaped, squeezed_shape, target_shape, unsqueezed_shape
from frontend.transpositions import MOST_AXES, transpositions
from ir.ops import Reshape, Transpose

POINTWISE = {
    "Abs", "Add", "Cast", "Ceil", "Clip", "DequantizeLinear", "Div", "Dropout", "Elu", "Erf", "Exp", "Floor", "Gelu",
    "HardSigmoid", "HardSwish", "Identity", "LeakyRelu", "Log", "Mul", "Neg", "Pow", "QLinearAdd",
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
    else:
        return False
    if grid is not None and grid[0].size == 1:
        b.grids[node.outputs[0]] = grid
    return True


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
    if any(values.size != 1 for values in constants):
        return False
    inner = f"{node.outputs[0]}.folded"
    inputs = (b.unfolded[name].source if name in b.unfolded else name for name in node.inputs)
    convert(replace(node, inputs=tuple(inputs), outputs=(inner,)))
    b.unfolded[node.outputs[0]] = replace(views[0], source=inner)
    if inner in b.grids:
        b.grids[node.outputs[0]] = b.grids[inner]
    return True


def _reshaped(b: Builder, node: OnnxNode, view: Unfolded, shape: Sequence[int]) -> None:
    moved = b.values[view.source] if view.order == tuple(range(len(view.order))) else folded(b, node, view)
    made = reshaped(b, node, moved, shape)
    if made is not None:
        return b.define(node, made)
    inner = f"{node.outputs[0]}.moved"
    b.values[inner] = moved
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
