"""Operators of networks without quantisers, from PyTorch's names to the graph's.

PyTorch's (1, C, H, W) is the graph's (C, H, W), and its (1, C) is (C, 1, 1): a linear layer is a 1x1 convolution, and
flattening one pixel is nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from torch.fx import Node as FxNode

from frontend import channels_last, torch_views
from frontend.builder import Builder, Imported, Importer, arguments, pair, shape_of
from frontend.norms import NORM_IMPORTERS
from frontend.real_importers import REAL_IMPORTERS, cut
from ir.ops import (
    Add,
    Affine,
    AveragePool2d,
    Clip,
    Conv2d,
    DepthToSpace,
    MaxPool2d,
    Multiply,
    Pad,
    PRelu,
    Sigmoid,
    Softmax,
    Upsample,
)
from ir.types import Array

INF = float("inf")


def _dropout(b: Builder, node: FxNode) -> Imported:
    _, _, training = arguments(node, None, 0.5, False)
    b.require(node, not training, "exported in training mode (call model.eval() first)")
    return b.tensor(node, 0)


def _relu(b: Builder, node: FxNode) -> Imported:
    return Clip(0.0, INF), (b.tensor(node, 0),)


def _relu6(b: Builder, node: FxNode) -> Imported:
    return Clip(0.0, 6.0), (b.tensor(node, 0),)


def _hardtanh(b: Builder, node: FxNode) -> Imported:
    _, lo, hi = arguments(node, None, -1.0, 1.0)
    return Clip(float(lo), float(hi)), (b.tensor(node, 0),)


def _clamp(b: Builder, node: FxNode) -> Imported:
    _, lo, hi = arguments(node, None, None, None)
    return Clip(-INF if lo is None else float(lo), INF if hi is None else float(hi)), (b.tensor(node, 0),)


def _leaky_relu(b: Builder, node: FxNode) -> Imported:
    _, slope = arguments(node, None, 0.01)
    return _bent(b, node, np.asarray(slope))


def _prelu(b: Builder, node: FxNode) -> Imported:
    return _bent(b, node, b.constant(node, node.args[1], "the slope"))


def _bent(b: Builder, node: FxNode, slope: Array) -> Imported:
    channels = shape_of(node)[1]
    return PRelu(), (b.tensor(node, 0), *b.constants_of(node.name, slope=np.array(np.broadcast_to(slope, channels))))


def _sigmoid(b: Builder, node: FxNode) -> Imported:
    return Sigmoid(), (b.tensor(node, 0),)


def _softmax(b: Builder, node: FxNode) -> Imported:
    axis = int(node.args[1]) % len(shape_of(node))  # type: ignore[arg-type]
    b.require(node, axis == 1, f"axis {axis} is not supported (allowed: 1, the channels)")
    return Softmax(), (b.tensor(node, 0),)


def _add(b: Builder, node: FxNode) -> Imported:
    _two(b, node)
    if not _is_constant(b, node.args[0]) and not _is_constant(b, node.args[1]):
        if channels_last.is_viewed(b, *node.args):
            return channels_last.joined(b, node, Add())
        _need_one_shape(b, node)
        return Add(), (b.tensor(node, 0), b.tensor(node, 1))
    x, number = _with_constant(b, node)
    return _affine(b, node, x, np.ones(()), number)


def _subtract(b: Builder, node: FxNode) -> Imported:
    _two(b, node)
    return _affine(b, node, node.args[0], np.ones(()), -b.constant(node, node.args[1], "what is subtracted"))


def _multiply(b: Builder, node: FxNode) -> Imported:
    if not _is_constant(b, node.args[0]) and not _is_constant(b, node.args[1]):
        if channels_last.is_viewed(b, *node.args):
            return channels_last.joined(b, node, Multiply())
        x, y = sorted((node.args[0], node.args[1]), key=lambda arg: -int(np.prod(shape_of(arg))))
        return Multiply(), (b.names[x], b.names[y])  # type: ignore[index]
    whole, number = _with_constant(b, node)
    return _affine(b, node, whole, number, np.zeros(()))


def _divide(b: Builder, node: FxNode) -> Imported:
    _two(b, node)
    divisor = b.constant(node, node.args[1], "the divisor").astype(np.float64)
    b.require(node, np.count_nonzero(divisor) == divisor.size, "divides by zero")
    return _affine(b, node, node.args[0], 1 / divisor, np.zeros(()))


def _two(b: Builder, node: FxNode) -> None:
    plain = not node.kwargs and len(node.args) == 2
    b.require(node, plain, "alpha and rounding modes are not supported")


def _is_constant(b: Builder, argument: object) -> bool:
    return not isinstance(argument, FxNode) or b.names.get(argument) in b.constants


def _with_constant(b: Builder, node: FxNode) -> tuple[object, Array]:
    """The tensor and the number of a commutative operator, whichever comes first."""
    first, second = node.args[:2]
    if _is_constant(b, first):
        first, second = second, first
    b.require(node, not _is_constant(b, first), "computes on constants alone")
    return first, b.constant(node, second, "an operand")


def _need_one_shape(b: Builder, node: FxNode) -> None:
    x, y = (shape_of(argument) for argument in node.args[:2])
    b.require(node, x == y, f"adds tensors of shapes {x} and {y} (allowed: one shape)")


def _affine(b: Builder, node: FxNode, x: object, scale: Array, offset: Array) -> Imported:
    if channels_last.is_viewed(b, x):
        return channels_last.affine(b, node, x, scale, offset)
    channels = shape_of(node)[1]
    both = []
    for value in (scale, offset):
        numbers = np.squeeze(value).astype(np.float64)
        b.require(node, numbers.ndim == 0 or numbers.shape == (channels,), f"constant of shape {value.shape}: "
                  f"one number or one per channel ({channels}) is supported")  # fmt: skip
        both.append(np.array(np.broadcast_to(numbers, channels)))
    return Affine(), (b.names[x], *b.constants_of(node.name, scale=both[0], offset=both[1]))  # type: ignore[index]


def _average_pool(b: Builder, node: FxNode) -> Imported:
    _, kernel, stride, padding, ceil, counted, divisor = arguments(node, None, None, [], 0, False, True, None)
    b.require(node, not ceil and divisor is None, "ceil_mode and divisor_override are not supported")
    ph, pw = pair(padding)
    return AveragePool2d(pair(kernel), pair(stride or kernel), (ph, pw, ph, pw), bool(counted)), (b.tensor(node, 0),)


def _adaptive_average_pool(b: Builder, node: FxNode) -> Imported:
    extent, wanted = shape_of(node.args[0])[2:], pair(node.args[1])
    whole = all(have % want == 0 for have, want in zip(extent, wanted, strict=True))
    b.require(node, whole, f"{wanted} windows do not divide the extent {extent}")
    kernel = (extent[0] // wanted[0], extent[1] // wanted[1])
    return AveragePool2d(kernel, kernel), (b.tensor(node, 0),)


def _mean(b: Builder, node: FxNode) -> Imported:
    axes = sorted(int(axis) % 4 for axis in arguments(node, None, [])[1])
    shape = shape_of(node.args[0])
    b.require(node, len(shape) == 4 and axes == [2, 3], f"axes {node.args[1]} are not supported (allowed: [2, 3])")
    return AveragePool2d((shape[2], shape[3]), (shape[2], shape[3])), (b.tensor(node, 0),)


def _linear(b: Builder, node: FxNode) -> Imported:
    x, weights, bias = arguments(node, None, None, None)
    if isinstance(weights, FxNode) and b.names[weights] in {n.name for n in b.nodes}:  # quantised, a 1x1 kernel already
        matrix: Array | str = b.names[weights]
    else:
        matrix = b.constant(node, weights, "the weight")
    if channels_last.is_viewed(b, x):
        return channels_last.linear(b, node, matrix, bias)
    return _dense(b, node, b.names[x], matrix, bias)


def _addmm(b: Builder, node: FxNode) -> Imported:
    bias, x, weights = node.args[:3]
    b.require(node, not node.kwargs, "beta and alpha are not supported (allowed: 1)")
    return _dense(b, node, b.names[x], b.constant(node, weights, "the weight").T, bias)  # type: ignore[index]


def _dense(b: Builder, node: FxNode, x: str, weights: Array | str, bias: object) -> Imported:
    b.require(node, len(shape_of(node)) == 2, f"gives shape {shape_of(node)}, needs (1, C)")
    if isinstance(weights, str):
        operands: tuple[str, ...] = (weights,)
    else:
        operands = b.constants_of(node.name, weight=weights.reshape(*weights.shape, 1, 1))
    if bias is not None:
        operands += b.constants_of(node.name, bias=b.constant(node, bias, "the bias"))
    return Conv2d(), (x, *operands)


def _transpose(b: Builder, node: FxNode) -> Imported:
    """Of a weight only."""
    weights = b.constant(node, node.args[0], "what is transposed")
    b.require(node, weights.ndim == 2, f"transposes shape {weights.shape}, needs a matrix")
    return b.constants_of(node.name, transposed=weights.T)[0]


def _slice(b: Builder, node: FxNode) -> Imported:
    """Every n-th row or column, as a maximum of one pixel; else a part of an axis."""
    _, axis, start, end, step = arguments(node, None, 0, None, None, 1)
    extent = shape_of(node.args[0])
    axis = int(axis) % len(extent)
    whole = (start or 0) == 0 and (end is None or int(end) >= extent[axis])
    if step == 1 or axis < 2 or not whole:
        return cut(b, node, node.args[0], axis, range(*slice(start, end, int(step)).indices(extent[axis])))
    stride = (step, 1) if axis == 2 else (1, step)
    source = next((n for n in b.nodes if n.name == b.tensor(node, 0)), None)
    if source and isinstance(source.op, MaxPool2d) and source.op.kernel == (1, 1):  # rows and columns at once
        both = (source.op.stride[0] * stride[0], source.op.stride[1] * stride[1])
        return MaxPool2d((1, 1), both), source.inputs
    return MaxPool2d((1, 1), stride), (b.tensor(node, 0),)


def _pad(b: Builder, node: FxNode) -> Imported:
    _, widths, mode, value = arguments(node, None, None, "constant", None)
    b.require(node, mode == "constant", f"mode '{mode}' is not supported (allowed: constant)")
    return _padded(b, node, widths, value)


def _constant_pad(b: Builder, node: FxNode) -> Imported:
    _, widths, value = arguments(node, None, None, 0)
    return _padded(b, node, widths, value)


def _padded(b: Builder, node: FxNode, widths: list[int], value: float | None) -> Imported:
    left, right, top, bottom, front, behind = [*widths, *[0] * (6 - len(widths))][:6]
    fits = len(widths) <= 6 and min(widths) >= 0 and not value
    b.require(node, fits, f"pads {widths} with {value} (allowed: zeros, 0 or more, around channels and pixels)")
    return Pad((top, left, bottom, right), (front, behind)), (b.tensor(node, 0),)


def _upsample_nearest(b: Builder, node: FxNode) -> Imported:
    before, after = shape_of(node.args[0])[2:], shape_of(node)[2:]
    factor = after[0] // before[0]
    whole = after == (before[0] * factor, before[1] * factor) and factor >= 1
    b.require(node, whole, f"{before} to {after} is no whole factor for both")
    return Upsample(factor), (b.tensor(node, 0),)


def _pixel_shuffle(b: Builder, node: FxNode) -> Imported:
    return DepthToSpace(int(node.args[1]), "crd"), (b.tensor(node, 0),)  # type: ignore[arg-type]


FLOAT_IMPORTERS: Mapping[str, Importer] = {
    "aten.adaptive_avg_pool2d.default": _adaptive_average_pool,
    "aten.add.Tensor": _add,
    "aten.add_.Tensor": _add,
    "aten.addmm.default": _addmm,
    "aten.avg_pool2d.default": _average_pool,
    "aten.clamp.default": _clamp,
    "aten.clone.default": torch_views.same,
    "aten.constant_pad_nd.default": _constant_pad,
    "aten.contiguous.default": torch_views.same,
    "aten.detach.default": torch_views.same,
    "aten.div.Tensor": _divide,
    "aten.dropout.default": _dropout,
    "aten.dropout_.default": _dropout,
    "aten.flatten.using_ints": torch_views.reshaped,
    "aten.hardtanh.default": _hardtanh,
    "aten.hardtanh_.default": _hardtanh,
    "aten.leaky_relu.default": _leaky_relu,
    "aten.leaky_relu_.default": _leaky_relu,
    "aten.linear.default": _linear,
    "aten.mean.dim": _mean,
    "aten.mul.Tensor": _multiply,
    "aten.pad.default": _pad,
    "aten.permute.default": torch_views.permuted,
    "aten.pixel_shuffle.default": _pixel_shuffle,
    "aten.prelu.default": _prelu,
    "aten.relu.default": _relu,
    "aten.relu6.default": _relu6,
    "aten.relu6_.default": _relu6,
    "aten.relu_.default": _relu,
    "aten.reshape.default": torch_views.reshaped,
    "aten.sigmoid.default": _sigmoid,
    "aten.slice.Tensor": _slice,
    **NORM_IMPORTERS,
    **REAL_IMPORTERS,
    "aten.softmax.int": _softmax,
    "aten.squeeze.default": torch_views.reshaped,
    "aten.squeeze.dim": torch_views.reshaped,
    "aten.squeeze.dims": torch_views.reshaped,
    "aten.sub.Tensor": _subtract,
    "aten.t.default": _transpose,
    "aten.transpose.int": torch_views.transposed,
    "aten.unsqueeze.default": torch_views.reshaped,
    "aten.upsample_nearest2d.vec": _upsample_nearest,
    "aten.view.default": torch_views.reshaped,
}
