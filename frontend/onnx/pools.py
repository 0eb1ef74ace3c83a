"""Maxima, sums and means of windows and of whole axes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from frontend.onnx.builder import NONE, Builder, Value
from frontend.onnx.linear import window
from frontend.onnx.model import OnnxNode
from frontend.onnx.rule import Rule
from frontend.onnx.shapes import positive, reshaped
from ir.ops import AveragePool2d, MaxPool2d, MultiplyShift, SumPool2d


def _windows(b: Builder, node: OnnxNode) -> tuple[Value, MaxPool2d]:
    """The operand (1, C, H[, W]) and its windows, as a maximum."""
    x, spatial = b.value(node), len(b.value(node).shape) - 2
    b.require(node, spatial in (1, 2), f"{spatial} spatial axes are not supported (allowed: 1, 2)")
    b.require(node, x.shape[0] == 1, f"a batch of {x.shape[0]} is not supported (allowed: 1)")
    if node.operator.startswith("Global"):
        kernel, strides, pads = x.shape[2:], (1,) * spatial, (0,) * (2 * spatial)
    else:
        given = tuple(int(n) for n in node.attributes.get("kernel_shape", ()))
        b.require(node, len(given) == spatial and min(given) >= 1, f"kernel_shape {given} does not fit {x.shape}")
        kernel, strides, pads = window(b, node, x, given)
        b.require(node, kernel == given, "dilations are not supported (allowed: 1)")
        if node.attributes.get("ceil_mode", 0):
            pads = _ceiled(x, kernel, strides, pads)
    b.require(node, len(node.outputs) == 1 or not any(node.outputs[1:]), "indices of maxima are not supported")
    if spatial == 1:
        kernel, strides, pads = (*kernel, 1), (*strides, 1), (pads[0], 0, pads[1], 0)
    x = b.arranged(node, x, (1, 2, 3) if spatial == 2 else (1, 2))
    return x, MaxPool2d(kernel, strides, pads)  # type: ignore[arg-type]


def _ceiled(x: Value, kernel: tuple[int, ...], strides: tuple[int, ...], pads: tuple[int, ...]) -> tuple[int, ...]:
    """Pads with as many positions behind as the last window that begins inside the tensor needs."""
    spatial, behind = len(kernel), []
    for i, (n, k, s) in enumerate(zip(x.shape[2:], kernel, strides, strict=True)):
        first, last = pads[i], pads[spatial + i]
        windows = -(-(n + first + last - k) // s) + 1
        windows -= (windows - 1) * s >= n + first
        behind.append(max(last, (windows - 1) * s + k - n - first))
    return (*pads[:spatial], *behind)


def _picture(b: Builder, tensor: str, x: Value) -> Value:
    shape = b.types[tensor].shape
    return Value(tensor, (1, *shape[: len(x.shape) - 1]), x.axes)


def _max(b: Builder, node: OnnxNode) -> None:
    x, op = _windows(b, node)
    b.define(node, _picture(b, b.emit(node, op, x.tensor), x))


def _average(b: Builder, node: OnnxNode) -> None:
    x, op = _windows(b, node)
    counted = node.operator.startswith("Global") or bool(node.attributes.get("count_include_pad", 0))
    ceiled = bool(node.attributes.get("ceil_mode", 0)) and counted
    b.require(node, not (ceiled and any(op.padding)), "ceil_mode with padding that counts is not supported")
    if any(op.padding) and not counted:
        b.require(node, not b.whole, "padding that does not count has no integer form (set count_include_pad)")
        tensor = b.emit(node, AveragePool2d(op.kernel, op.stride, op.padding, False), x.tensor)
        return b.define(node, _picture(b, tensor, x))
    tensor = b.emit(node, SumPool2d(op.kernel, op.stride, op.padding), x.tensor, name="sums")
    return b.define(node, divided(b, node, _picture(b, tensor, x), int(np.prod(op.kernel))))


def divided(b: Builder, node: OnnxNode, sums: Value, count: int) -> Value:
    """Sums by their count: exact in networks of real values; of integers rounded to the nearest, ties upwards."""
    channels = b.types[sums.tensor].shape[0]
    if not b.whole:
        return b.affine(node, sums, 1.0 / count)
    type_ = b.types[sums.tensor]
    lo, hi = ((2 * end + count) // (2 * count) for end in (type_.lo, type_.hi))
    mul, add, shift = _reciprocal(count, max(abs(type_.lo), abs(type_.hi)))
    op = MultiplyShift(shift, min(lo, hi - 1), hi)
    return b.map(node, op, sums, mul=np.full(channels, mul), add=np.full(channels, add))


def _reciprocal(count: int, largest: int) -> tuple[int, int, int]:
    """(mul, add, shift) with ``(s * mul + add + 2**(shift-1)) >> shift == floor(s / count + 1/2)`` for |s| <= largest.

    With ``u = 2 s + count`` that is ``floor(u / 2 count)``. Let ``m = ceil(2**shift / 2 count)``, at most 1 too
    large, and ``|u| <= most``: then ``u * m + most`` exceeds ``u * 2**shift / 2 count`` by 0 to ``2 most``, which
    crosses no integer where ``2 most < 2**shift / 2 count`` (after Granlund and Montgomery, PLDI 1994).
    """
    if count & (count - 1) == 0:
        return 1 if count > 1 else 2, 0, max(count.bit_length() - 1, 1)
    most = 2 * largest + count
    shift = (2 * count * (2 * most + 1)).bit_length()
    reciprocal = -(-(1 << shift) // (2 * count))
    return 2 * reciprocal, count * reciprocal + most - (1 << (shift - 1)), shift


def _reduced_axes(b: Builder, node: OnnxNode, x: Value) -> list[int]:
    given = node.attributes.get("axes")
    nothing = int(node.attributes.get("noop_with_empty_axes", 0))
    b.require(node, nothing == 0, f"attribute 'noop_with_empty_axes' is {nothing} (allowed: 0)")
    axes = np.ravel(b.constant(node, 1, np.zeros(0)) if given is None else given)
    return sorted(positive(b, node, int(axis), len(x.shape)) for axis in axes) or list(range(len(x.shape)))


def _reduce(b: Builder, node: OnnxNode) -> None:
    x = b.value(node)
    axes = _reduced_axes(b, node, x)
    large = [axis for axis in axes if x.shape[axis] > 1]
    kept = [axis for axis in range(len(x.shape)) if x.shape[axis] > 1 and axis not in axes]
    b.require(node, len(large) <= 2, f"reduces {len(large)} axes, at most two are supported")
    order = [*(kept or [NONE]), *large]
    order = [order[0], *large, *kept[1:]] if len(large) == 1 else order
    b.require(node, len(order) <= 3, f"a tensor of shape {x.shape} has too many axes")
    source = b.arranged(node, x, order)
    kernel = tuple(n if axis in large else 1 for axis, n in zip(source.axes[1:], source.extents[1:], strict=True))
    mean = node.operator == "ReduceMean"
    kind = MaxPool2d if node.operator == "ReduceMax" else SumPool2d
    tensor = b.emit(node, kind(kernel, (1, 1)), source.tensor, name="sums" if mean else "")  # type: ignore[arg-type]
    shape = tuple(1 if axis in axes else n for axis, n in enumerate(x.shape))
    made = Value(tensor, shape, tuple(NONE if a in large else a for a in source.axes))  # type: ignore[arg-type]
    if mean:
        made = divided(b, node, made, int(np.prod([x.shape[axis] for axis in axes])))
    if not node.attributes.get("keepdims", 1):
        less = reshaped(b, node, made, [n for axis, n in enumerate(shape) if axis not in axes])
        assert less is not None  # no more axes than before
        made = less
    b.define(node, made)


RULES: Mapping[str, Rule] = {
    "AveragePool": _average,
    "GlobalAveragePool": _average,
    "GlobalMaxPool": _max,
    "MaxPool": _max,
    "ReduceMax": _reduce,
    "ReduceMean": _reduce,
    "ReduceSum": _reduce,
}
