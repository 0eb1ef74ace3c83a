"""Operators on (1, H, W, C), which PyTorch's networks permute to where an operator works on the last axis: the graph's
tensor stays (C, H, W), and the operator works on its channels."""

from __future__ import annotations

import numpy as np
from torch.fx import Node as FxNode

from frontend.builder import Builder, View, shape_of
from ir.ops import Add, Affine, Conv2d, Multiply
from ir.types import Array

ORDER = (0, 2, 3, 1)


def is_viewed(b: Builder, *arguments: object) -> bool:
    """Whether an operand is a view."""
    return any(isinstance(argument, FxNode) and argument in b.views for argument in arguments)


def tensor_of(b: Builder, node: FxNode, argument: object) -> str:
    """The tensor (C, H, W) of an operand (1, H, W, C); ModelError for any other view."""
    assert isinstance(argument, FxNode)
    view = b.views.get(argument)
    known = view is not None and view.own and view.order == ORDER and view.split[0] == 1
    b.require(node, known, f"reads shape {shape_of(argument)}: no (1, C[, H, W]), and not such a tensor permuted")
    assert view is not None
    return view.tensor


def result(b: Builder, node: FxNode, tensor: str) -> View:
    """What the node gives, (1, H, W, C), of a tensor (C, H, W)."""
    _, height, width, channels = shape_of(node)
    return View(tensor, (1, channels, height, width), ORDER, own=True)


def linear(b: Builder, node: FxNode, weights: Array | str, bias: object) -> View:
    """A linear layer of every pixel: a convolution 1x1."""
    x = tensor_of(b, node, node.args[0])
    values = {} if isinstance(weights, str) else {"weight": weights.reshape(*weights.shape, 1, 1)}
    if bias is not None:
        values["bias"] = b.constant(node, bias, "the bias")
    named = b.constants_of(node.name, **values)
    operands = (weights, *named) if isinstance(weights, str) else named
    return result(b, node, b.made(node, Conv2d(), x, *operands))


def affine(b: Builder, node: FxNode, x: object, scale: Array, offset: Array) -> View:
    """Times and plus a number, or one for each element of the last axis."""
    channels, both = shape_of(node)[-1], []
    for value in (scale, offset):
        numbers = np.squeeze(value).astype(np.float64)
        fits = numbers.ndim == 0 or value.shape[-1] == numbers.size == channels
        b.require(node, fits, f"constant of shape {value.shape} (allowed: one number, one per channel: {channels})")
        both.append(np.array(np.broadcast_to(numbers, channels)))
    constants = b.constants_of(node.name, scale=both[0], offset=both[1])
    return result(b, node, b.made(node, Affine(), tensor_of(b, node, x), *constants))


def joined(b: Builder, node: FxNode, op: Add | Multiply) -> View:
    """A function of two tensors of one shape."""
    x, y = node.args[:2]
    b.require(node, shape_of(x) == shape_of(y), f"joins tensors of shapes {shape_of(x)} and {shape_of(y)}")
    return result(b, node, b.made(node, op, tensor_of(b, node, x), tensor_of(b, node, y)))
