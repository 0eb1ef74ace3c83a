"""Shapes of PyTorch's tensors that the graph has not, on the way from one that it has to another: a channel shuffle.

A view is a tensor of the graph, the shape that its elements are read in, and an order of that shape's axes.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from torch.fx import Node as FxNode

from frontend.builder import Builder, Imported, View, arguments, shape_of
from frontend.transpositions import MOST_AXES, transpositions
from ir.ops import Reshape, Transpose


def view_of(b: Builder, argument: object) -> View:
    """The operand as a view."""
    assert isinstance(argument, FxNode)
    shape = shape_of(argument)
    return b.views.get(argument) or View(b.names[argument], shape, tuple(range(len(shape))), own=True)


def reshaped(b: Builder, node: FxNode) -> Imported | View:
    """In the shape (1, C, H, W) or (1, C) a tensor of the graph, in any other a view."""
    view, before, after = view_of(b, node.args[0]), shape_of(node.args[0]), shape_of(node)
    in_order = view.order == tuple(range(len(view.order)))
    known = after[0] == 1 and len(after) in (2, 4)
    if in_order and before == after and node.args[0] not in b.views:
        return view.tensor
    if in_order and not known:
        return View(view.tensor, after, tuple(range(len(after))))
    one_pixel = in_order and node.args[0] not in b.views and before[1] == after[1] == int(np.prod(after))
    if one_pixel:
        return view.tensor
    tensor = view.tensor if in_order else folded(b, node, view)
    if not known:
        return View(tensor, after, tuple(range(len(after))))
    c, h, w = (*after[1:], 1, 1)[:3]
    return Reshape((c, h, w)), (tensor,)


def folded(b: Builder, node: FxNode, view: View) -> str:
    """The view's elements in order, in some shape."""
    steps = transpositions(view.split, view.order)
    b.require(node, steps is not None, f"moves too many axes of {view.split} (allowed: {MOST_AXES})")
    tensor = view.tensor
    for i, (shape, turn) in enumerate(steps or []):
        tensor = b.step(node, f"split{i}", Reshape(shape), tensor)
        tensor = b.step(node, f"moved{i}", Transpose(turn), tensor)
    return tensor


def permuted(b: Builder, node: FxNode) -> str | View:
    view = view_of(b, node.args[0])
    order = [int(n) % len(view.order) for n in node.args[1]]  # type: ignore[union-attr, arg-type]
    return _in_order(view, tuple(view.order[axis] for axis in order))


def _in_order(view: View, order: tuple[int, ...]) -> str | View:
    """The tensor itself where its axes are back where they were."""
    back = view.own and order == tuple(range(len(order))) and len(order) in (2, 4)
    return view.tensor if back else replace(view, order=order)


def transposed(b: Builder, node: FxNode) -> str | View:
    view = view_of(b, node.args[0])
    order = list(view.order)
    first, second = (int(n) % len(order) for n in arguments(node, None, 0, 1)[1:3])
    order[first], order[second] = order[second], order[first]
    return _in_order(view, tuple(order))


def same(b: Builder, node: FxNode) -> str | View:
    argument = node.args[0]
    assert isinstance(argument, FxNode)
    return b.views.get(argument) or b.names[argument]
