"""Tensors of more than three axes, which exporters need on the way only: a channel shuffle, a detector's last view.

Such a tensor is kept as the one that it was reshaped from and an order of axes. Its elements are moved when it is
reshaped to three axes again: by transpositions of three blocks of neighbouring axes, as few as do it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations, permutations

import numpy as np

from frontend.onnx.builder import Builder, Unfolded, Value
from frontend.onnx.model import OnnxNode
from frontend.onnx.shapes import flattened_shape, in_order, reshaped, squeezed_shape, target_shape, unsqueezed_shape
from ir.ops import Reshape, Transpose

MOST_AXES = 6
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
    alike = all((view.split, view.order) == (views[0].split, views[0].order) for view in views)
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
    x = in_order(b, node, b.values[view.source])
    tensor = x.tensor
    extents = [view.split[axis] for axis in range(len(view.split)) if view.split[axis] > 1]
    large = [axis for axis in range(len(view.split)) if view.split[axis] > 1]
    order = [large.index(axis) for axis in view.order if axis in large]
    groups = _merged(order)
    sizes = [int(np.prod([extents[axis] for axis in group])) for group in sorted(groups)]
    wanted = tuple(sorted(groups).index(group) for group in groups)
    b.require(node, len(sizes) <= MOST_AXES, f"moves {len(sizes)} axes of {view.shape} (allowed: {MOST_AXES})")
    now = tuple(range(len(sizes)))
    for first, second, turn in _moves(len(sizes), wanted):
        blocks = (now[:first], now[first:second], now[second:])
        shape = tuple(int(np.prod([sizes[axis] for axis in block])) for block in blocks)
        if b.types[tensor].shape != shape:
            tensor = b.emit(node, Reshape(shape), tensor, name="split")  # type: ignore[arg-type]
        tensor = b.emit(node, Transpose(turn), tensor, name="moved")
        now = tuple(axis for block in turn for axis in blocks[block])
    return Value(tensor, (1, *b.types[tensor].shape), (1, 2, 3))


def _merged(order: Sequence[int]) -> list[tuple[int, ...]]:
    """The axes, where neighbours that stay neighbours are one."""
    groups: list[tuple[int, ...]] = []
    for axis in order:
        if groups and groups[-1][-1] + 1 == axis:
            groups[-1] = (*groups[-1], axis)
        else:
            groups.append((axis,))
    return groups


Move = tuple[int, int, tuple[int, int, int]]
"""Where the second and the third block begin, and the order in which the blocks come then."""


def _moves(count: int, wanted: tuple[int, ...]) -> list[Move]:
    """The fewest transpositions of three blocks that bring ``0, 1, ...`` to this order."""
    start = tuple(range(count))
    known: dict[tuple[int, ...], list[Move]] = {start: []}
    waiting = [start]
    for now in waiting:
        if now == wanted:
            break
        for first, second in combinations(range(count + 1), 2):
            blocks = (now[:first], now[first:second], now[second:])
            for turn in permutations(range(3)):
                following = tuple(axis for block in turn for axis in blocks[block])
                if following not in known:
                    known[following] = [*known[now], (first, second, turn)]  # type: ignore[list-item]
                    waiting.append(following)
    return known[wanted]
