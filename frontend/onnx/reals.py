"""Operators without an integer form: what freezing leaves to the fallback (`frontend.lower.fallback`)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from frontend.onnx.builder import Builder, Value
from frontend.onnx.model import OnnxNode
from frontend.onnx.pairs import split
from frontend.onnx.rule import Rule
from frontend.onnx.shapes import positive, resize, scales_of
from ir.ops import Affine, Arithmetic, Curve, Interpolate, Op, PRelu, Reduce, Reshape, Softmax
from ir.ops.real import POSITIONS
from ir.types import Array

POWERS: Mapping[float, tuple[str, ...]] = {
    -1.0: ("reciprocal",), -0.5: ("sqrt", "reciprocal"), 0.5: ("sqrt",), 2.0: ("square",), 4.0: ("square", "square"),
}  # fmt: skip
"""Exponents and the functions, one after another, that they stand for."""


def curve(name: str) -> Rule:
    def rule(b: Builder, node: OnnxNode) -> None:
        b.define(node, b.map(node, Curve(name), b.value(node)))

    return rule


def _shares(b: Builder, node: OnnxNode) -> Value:
    """The operand with the axis along which shares are taken as its channels. Up to opset 12 they were taken along all
    axes from that one on."""
    x, opset = b.value(node), int(node.attributes.get("opset", b.opset))
    axis = positive(b, node, int(node.attributes.get("axis", -1 if opset >= 13 else 1)), len(x.shape))
    if opset < 13:
        large = [a for a in range(axis, len(x.shape)) if x.shape[a] > 1] or [axis]
        b.require(node, len(large) == 1, f"joins the axes {large} of {x.shape}, as up to opset 12 (allowed: one)")
        axis = large[0]
    return b.arranged(node, x, (axis, *(a for a in range(len(x.shape)) if a != axis and x.shape[a] > 1)))


def _softmax(b: Builder, node: OnnxNode) -> None:
    b.define(node, b.map(node, Softmax(), _shares(b, node)))


def _log_softmax(b: Builder, node: OnnxNode) -> None:
    """``x - max - log(sum(exp(x - max)))``, which no small share underflows."""
    x = _shares(b, node)
    largest = b.emit(node, Reduce("largest", (0,)), x.tensor, name="largest")
    centred = _about(b, node, x, Arithmetic("subtract"), largest, "centred")
    shares = b.map(node, Curve("exp"), centred, name="shares")
    total = b.emit(node, Reduce("sum", (0,)), shares.tensor, name="total")
    y = b.emit(node, Arithmetic("subtract"), centred.tensor, b.emit(node, Curve("log"), total, name="log"))
    b.define(node, Value(y, x.shape, x.axes))


def _power(b: Builder, node: OnnxNode) -> None:
    x, exponent = b.value(node), np.ravel(b.constant(node, 1))
    known = exponent.size == 1 and float(exponent[0]) in POWERS
    b.require(node, known, f"exponent {exponent.tolist()} is not supported (allowed: {', '.join(map(str, POWERS))})")
    *steps, last = POWERS[float(exponent[0])]
    for step in steps:
        x = b.map(node, Curve(step), x, name=step)
    b.define(node, b.map(node, Curve(last), x))


def _negated(b: Builder, node: OnnxNode) -> None:
    b.define(node, b.affine(node, b.value(node), -1.0))


def _extreme(b: Builder, node: OnnxNode) -> None:
    """Of two tensors, or of one and a number."""
    x, other, _ = split(b, node)
    if isinstance(other, Value):
        return b.define(node, couple(b, node, "larger" if node.operator == "Max" else "smaller", x, other))
    number = np.ravel(b.real(node, other, "the constant"))
    b.require(node, number.size == 1, f"a constant of shape {other.shape} is not supported (allowed: one number)")
    ends = (float(number[0]), np.inf) if node.operator == "Max" else (-np.inf, float(number[0]))
    return b.define(node, b.map(node, Curve("clip", *ends), x))


def couple(b: Builder, node: OnnxNode, name: str, x: Value, y: Value) -> Value:
    """A function of two computed tensors, either of which may be the same along axes where it has one element."""
    rank = max(len(x.shape), len(y.shape))
    x, y = (_lifted(v, rank) for v in (x, y))
    fits = all(1 in (n, m) or n == m for n, m in zip(x.shape, y.shape, strict=True))
    b.require(node, fits, f"operands of shapes {x.shape} and {y.shape} do not broadcast")
    shape = tuple(np.broadcast_shapes(x.shape, y.shape))
    axes = [axis for axis in range(rank) if shape[axis] > 1]
    x, y = (b.arranged(node, v, axes) for v in (x, y))
    return Value(b.emit(node, Arithmetic(name), x.tensor, y.tensor), shape, x.axes)


def _lifted(x: Value, rank: int) -> Value:
    more = rank - len(x.shape)
    axes = tuple(axis + more if axis >= 0 else axis for axis in x.axes)
    return Value(x.tensor, (1,) * more + x.shape, axes)  # type: ignore[arg-type]


def _prelu(b: Builder, node: OnnxNode) -> None:
    x, slope = b.value(node), b.real(node, b.constant(node, 1), "slope")
    x, (vector,) = b.per_channel(node, x, _per_channel_slope(slope, x))
    channels = b.types[x.tensor].shape[0]
    b.define(node, b.map(node, PRelu(), x, slope=np.array(np.broadcast_to(vector, channels))))


def _per_channel_slope(slope: Array, x: Value) -> Array:
    """Older exporters leave (C,) beside (1, C, H, W)."""
    old = slope.ndim == 1 and slope.size > 1 and len(x.shape) > 2 and slope.size == x.shape[1]
    return slope.reshape(-1, *[1] * (len(x.shape) - 2)) if old else slope


def _layer_norm(b: Builder, node: OnnxNode) -> None:
    """``(x - mean) / sqrt(mean((x - mean)^2) + epsilon) * scale + bias`` over the last axes."""
    x, rank = b.value(node), len(b.value(node).shape)
    first = positive(b, node, int(node.attributes.get("axis", -1)), rank)
    axes = [axis for axis in range(first, rank) if x.shape[axis] > 1]
    b.require(node, len(axes) == 1, f"normalises {len(axes)} axes of {x.shape} (allowed: one)")
    b.require(node, not [o for o in node.outputs[1:] if o], "has outputs of training")
    x = b.arranged(node, x, (axes[0], *(a for a in range(rank) if a != axes[0] and x.shape[a] > 1)))
    count = x.shape[axes[0]]
    scale = b.real(node, b.constant(node, 1), "scale").ravel()
    bias = b.real(node, b.constant(node, 2, np.zeros(count)), "bias").ravel()
    b.require(node, scale.size == bias.size == count, f"scale and bias need {count} numbers")
    b.define(node, b.map(node, Affine(), _standardised(b, node, x, (0,)), scale=scale, offset=bias))


def _group_norm(b: Builder, node: OnnxNode) -> None:
    """Groups of channels, or each channel, by the mean and the variance of all their pixels; up to opset 20 a group has
    one scale."""
    x = b.value(node)
    b.require(node, len(x.shape) in (3, 4), f"normalises shape {x.shape} (allowed: (1, C, W), (1, C, H, W))")
    x = b.arranged(node, x, tuple(range(1, len(x.shape))))
    channels, *extents = b.types[x.tensor].shape
    groups = int(node.attributes.get("num_groups", channels))
    b.require(node, groups > 0 and channels % groups == 0, f"{groups} groups do not divide {channels} channels")
    grouped = (groups, channels // groups * extents[0], extents[1])
    split = b.emit(node, Reshape(grouped), x.tensor, name="groups") if groups < channels else x.tensor
    normal = _standardised(b, node, Value(split, x.shape, x.axes), (1, 2))
    if groups < channels:
        whole = b.emit(node, Reshape((channels, extents[0], extents[1])), normal.tensor, name="channels")
        normal = Value(whole, x.shape, x.axes)
    scale, bias = (b.real(node, b.constant(node, i), what).ravel() for i, what in ((1, "scale"), (2, "bias")))
    fits = scale.size == bias.size and scale.size in (groups, channels)
    b.require(node, fits, f"scale and bias need {channels} numbers")
    each = channels // scale.size
    b.define(node, b.map(node, Affine(), normal, scale=np.repeat(scale, each), offset=np.repeat(bias, each)))


def _standardised(b: Builder, node: OnnxNode, x: Value, axes: tuple[int, ...]) -> Value:
    """``(x - mean) / sqrt(mean((x - mean)^2) + epsilon)`` along axes of the graph's tensor."""
    epsilon = float(node.attributes.get("epsilon", 1e-5))
    centred = _about(b, node, x, Arithmetic("subtract"), _mean(b, node, x.tensor, axes, "mean"), "centred")
    squares = b.map(node, Curve("square"), centred, name="squares")
    variance = _mean(b, node, squares.tensor, axes, "variance", epsilon)
    deviation = b.emit(node, Curve("sqrt"), variance, name="deviation")
    return _about(b, node, centred, Arithmetic("divide"), deviation, "normal")


def _about(b: Builder, node: OnnxNode, x: Value, op: Op, y: str, name: str) -> Value:
    return Value(b.emit(node, op, x.tensor, y, name=name), x.shape, x.axes)


def _mean(b: Builder, node: OnnxNode, x: str, axes: tuple[int, ...], name: str, plus: float = 0.0) -> str:
    """The mean along axes of the graph's tensor, and a number more."""
    shape = b.types[x].shape
    total = b.emit(node, Reduce("sum", axes), x, name=f"{name}_sum")
    channels = b.types[total].shape[0]
    count = int(np.prod([shape[axis] for axis in axes]))
    constants = {"scale": np.full(channels, 1 / count), "offset": np.full(channels, plus)}
    return b.emit(node, Affine(), total, name=name, constants=constants)


def _resize(b: Builder, node: OnnxNode) -> None:
    """Bilinear ones; others move values."""
    if str(node.attributes.get("mode", "nearest")) != "linear":
        return resize(b, node)
    x = b.value(node)
    scales = scales_of(b, node, x)
    plain = len(x.shape) == len(scales) == 4 and scales[:2] == [1.0, 1.0]
    b.require(node, plain, f"scales {scales} are not supported (allowed: 1, 1, h, w)")
    way = str(node.attributes.get("coordinate_transformation_mode", "half_pixel"))
    way = "asymmetric" if node.operator == "Upsample" else way
    b.require(node, way in POSITIONS, f"{way} is not supported with mode 'linear' (allowed: {', '.join(POSITIONS)})")
    b.require(node, not node.attributes.get("antialias", 0), "antialias is not supported")
    sizes = []
    for scale, extent in zip(scales[2:], x.shape[2:], strict=True):
        size = int(np.rint(scale * extent))
        b.require(node, abs(scale * extent - size) < 1e-4, f"a scale of {scale} makes no whole of {extent} pixels")
        sizes.append(size)
    x = b.arranged(node, x, (1, 2, 3))
    tensor = b.emit(node, Interpolate(sizes[0], sizes[1], way), x.tensor)
    return b.define(node, Value(tensor, (*x.shape[:2], *sizes), x.axes))


RULES: Mapping[str, Rule] = {
    "Erf": curve("erf"),
    "Exp": curve("exp"),
    "GroupNormalization": _group_norm,
    "InstanceNormalization": _group_norm,
    "LayerNormalization": _layer_norm,
    "Log": curve("log"),
    "LogSoftmax": _log_softmax,
    "Max": _extreme,
    "Min": _extreme,
    "Neg": _negated,
    "PRelu": _prelu,
    "Pow": _power,
    "Reciprocal": curve("reciprocal"),
    "Resize": _resize,
    "Softmax": _softmax,
    "Sqrt": curve("sqrt"),
    "Upsample": _resize,
}
