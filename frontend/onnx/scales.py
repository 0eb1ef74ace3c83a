"""Scales and numbers that quantisers are told, and what a quantiser makes of a constant or of a computed tensor."""

from __future__ import annotations

import numpy as np

from frontend.onnx.builder import Builder, Quantised
from frontend.onnx.model import OnnxNode
from ir.ops import Quantize
from ir.rounding import ROUNDINGS
from ir.types import Array

WIDEST = 24
"""Bits of an accumulator that a quantiser may state."""


def scalar(b: Builder, node: OnnxNode, position: int, what: str, default: float | None = None) -> float:
    values = b.constant(node, position, None if default is None else np.array(default))
    flat = np.ravel(values)
    same = flat.size > 0 and bool((flat == flat[0]).all())
    b.require(node, same and bool(np.isfinite(flat[0])), f"{what} has to be one finite number")
    return float(flat[0])


def whole(b: Builder, node: OnnxNode, position: int, what: str, default: float | None = None) -> int:
    number = scalar(b, node, position, what, default)
    b.require(node, number == int(number), f"{what} is {number}, has to be a whole number")
    b.require(node, abs(number) < 1 << WIDEST, f"{what} is {number}, has to stay below {1 << WIDEST}")
    return int(number)


def scale_of(b: Builder, node: OnnxNode, position: int) -> Array:
    scale = b.real(node, b.constant(node, position), "scale")
    b.require(node, scale.size > 0 and bool((scale > 0).all()), "scale has to be above 0")
    return scale


def quantised(b: Builder, node: OnnxNode, op: Quantize, scale: Array) -> None:
    """The quantiser of a constant or of a computed tensor."""
    source = node.inputs[0]
    if source in b.folded:
        values = b.real(node, b.folded[source], "the constant")
        need_scales(b, node, values, scale)
        b.require(node, op.rounding in ROUNDINGS, f"rounding '{op.rounding}' is unknown ({', '.join(ROUNDINGS)})")
        keep(b, node, op.integers(values, scale), scale)
    else:
        x, (vector,) = b.per_channel(node, b.value(node), scale)
        b.define(node, b.map(node, op, x, scale=_narrow(vector)))


def keep(b: Builder, node: OnnxNode, integers: Array, scale: Array) -> None:
    """The node's result is a quantised constant."""
    known = Quantised(integers, np.broadcast_to(scale, integers.shape))
    b.fold(node, known.values, known)


def need_scales(b: Builder, node: OnnxNode, values: Array, scale: Array) -> None:
    """Scales of a constant have to be broadcast to its shape."""
    shape = (1,) * (values.ndim - scale.ndim) + scale.shape
    fits = len(shape) == values.ndim and all(s in (1, n) for s, n in zip(shape, values.shape, strict=True))
    b.require(node, fits, f"scales of shape {scale.shape} do not broadcast to {values.shape}")


def _narrow(vector: Array) -> Array:
    """One number where all are the same."""
    return vector[:1] if (vector == vector[0]).all() else vector
