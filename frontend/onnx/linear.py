"""Convolutions and matrix products by constant weights. A matrix product is a 1x1 convolution whose pixels are the
rows; behind a flattened picture it is a convolution as large as the picture, so that nothing is moved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from frontend.dilation import dilated, dilated_shape
from frontend.onnx.builder import NONE, Builder, Quantised, Value
from frontend.onnx.model import OnnxNode, check_shape
from frontend.onnx.pairs import plus_constant
from frontend.onnx.rule import Rule
from ir.ops import Conv2d, Dequantize, MatMul, Reshape
from ir.types import Array


@dataclass(frozen=True, eq=False)
class Weights:
    """(O, I, KH, KW) integers and their ``scale`` (O,), which is None in a network of integers. In one of floats, where
    it is None too, ``integers`` are the weights themselves."""

    integers: Array
    scale: Array | None = None


def weights_of(b: Builder, node: OnnxNode, position: int, swap: bool = False) -> Weights:
    """A constant operand with the output channels first (``swap``: they are second)."""
    name = node.inputs[position] if position < len(node.inputs) else ""
    values = b.constant(node, position)
    b.require(node, values.size > 0 and values.ndim >= 2, f"weights of shape {values.shape}")
    if b.whole:
        integers = b.integers(node, values, f"'{name}'")
        return Weights(integers.swapaxes(0, 1) if swap else integers)
    known = b.quantised.get(name)
    if known is None and b.floats:
        values = b.real(node, values, f"weights '{name}'")
        return Weights(values.swapaxes(0, 1) if swap else values)
    if known is None:
        finite = bool(np.isfinite(values).all())
        b.require(node, finite, f"weights '{name}' are not finite")
        exact = bool((np.rint(values) == values).all() and np.abs(values).max() < 1 << 15)
        b.require(node, exact, f"weights '{name}' are not quantised, in a network of quantised values")
        known = Quantised(values.astype(np.int64), np.ones((1,) * values.ndim))
    integers, scale = known.integers, np.broadcast_to(known.scale, known.integers.shape)
    if swap:
        integers, scale = integers.swapaxes(0, 1), scale.swapaxes(0, 1)
    flat = scale.reshape(len(scale), -1)
    b.require(node, bool((flat == flat[:, :1]).all()), f"weights '{name}' have a scale that varies inside an output")
    return Weights(integers, flat[:, 0])


def convolved(b: Builder, node: OnnxNode, x: str, op: Conv2d, weights: Weights, bias: Array | None) -> str:
    """The graph's tensor of a convolution; (O,) bias in real values or, in a network of integers, in integers."""
    if b.floats:
        more = {} if bias is None else {"bias": bias}
        return b.emit(node, op, x, constants={"weights": weights.integers, **more})
    if weights.scale is None:
        biased = bias is not None and bool(bias.any())
        tensor = b.emit(node, op, x, name="sums" if biased else "", constants={"weights": weights.integers})
        return plus_constant(b, node, tensor, bias) if bias is not None and biased else tensor
    w = b.emit(node, Dequantize(), name="weights", constants={"integers": weights.integers, "scale": weights.scale})
    constants = {} if bias is None else {"bias": bias.astype(np.float64)}
    return b.emit(node, op, x, w, constants=constants)


def _convolution(b: Builder, node: OnnxNode) -> None:
    x, weights = b.value(node), weights_of(b, node, 1)
    spatial = weights.integers.ndim - 2
    b.require(node, spatial in (1, 2), f"{spatial} spatial axes are not supported (allowed: 1, 2)")
    b.require(node, len(x.shape) == spatial + 2, f"takes {spatial + 2} axes, got shape {x.shape}")
    b.require(node, x.shape[0] == 1, f"a batch of {x.shape[0]} is not supported (allowed: 1)")
    kernel = weights.integers.shape[2:]
    stated = tuple(node.attributes.get("kernel_shape", kernel))
    b.require(node, stated == kernel, f"kernel_shape {stated} is not that of its weights, {kernel}")
    _, strides, pads = window(b, node, x, kernel)
    wide = _dilated(b, node, weights.integers, spatial)
    if spatial == 1:
        wide, strides, pads = wide[..., None], (*strides, 1), (pads[0], 0, pads[1], 0)
    x = b.arranged(node, x, (1, 2, 3) if spatial == 2 else (1, 2))
    op = Conv2d(strides, pads, int(node.attributes.get("group", 1)))  # type: ignore[arg-type]
    bias = bias_of(b, node, 2, len(wide))
    tensor = convolved(b, node, x.tensor, op, Weights(wide, weights.scale), bias)
    made = b.types[tensor].shape
    b.define(node, Value(tensor, (1, *made[: spatial + 1]), (1, 2, 3 if spatial == 2 else NONE)))


def bias_of(b: Builder, node: OnnxNode, position: int, outputs: int) -> Array | None:
    if position >= len(node.inputs) or not node.inputs[position]:
        return None
    bias = b.constant(node, position)
    b.require(node, bias.shape == (outputs,), f"bias has shape {bias.shape}, needs ({outputs},)")
    return b.integers(node, bias, "bias") if b.whole else b.real(node, bias, "bias")


def window(
    b: Builder, node: OnnxNode, x: Value, kernel: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """(kernel with its dilation, strides, pads: all that come first, then all that come last)."""
    spatial = len(kernel)

    def numbers(key: str, default: int, count: int) -> tuple[int, ...]:
        given = tuple(int(n) for n in node.attributes.get(key, (default,) * count))
        b.require(node, len(given) == count, f"{key} {given} has to be {count} numbers")
        b.require(node, all(abs(n) < 1 << 16 for n in given), f"{key} {given} is out of bounds")
        return given

    strides, dilations = numbers("strides", 1, spatial), numbers("dilations", 1, spatial)
    b.require(node, min(*strides, *dilations) >= 1, f"strides {strides} and dilations {dilations} need to be positive")
    reach = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True))
    auto = str(node.attributes.get("auto_pad", "NOTSET"))
    b.require(node, auto in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"), f"auto_pad '{auto}' is unknown")
    if auto in ("NOTSET", "VALID"):
        pads = numbers("pads", 0, 2 * spatial) if auto == "NOTSET" else (0,) * (2 * spatial)
    else:
        totals = [max(0, (-(-n // s) - 1) * s + k - n) for n, s, k in zip(x.shape[2:], strides, reach, strict=True)]
        small, large = tuple(t // 2 for t in totals), tuple(t - t // 2 for t in totals)
        pads = (*small, *large) if auto == "SAME_UPPER" else (*large, *small)
    return reach, strides, pads


def _dilated(b: Builder, node: OnnxNode, weights: Array, spatial: int) -> Array:
    dilations = [int(n) for n in node.attributes.get("dilations", (1,) * spatial)]
    if set(dilations) == {1}:
        return weights
    check_shape(f"{b.graph}: {node}: its kernel", dilated_shape(weights.shape, dilations))
    return dilated(weights, dilations)


def _matrix(b: Builder, node: OnnxNode, x: Value, weights: Weights, bias: Array | None) -> Value:
    """x (..., K) times (N, K) weights: (..., N)."""
    last = len(x.shape) - 1
    n, k = weights.integers.shape
    b.require(node, x.shape[last] == k, f"{x.shape} does not meet weights for {k} channels")
    rows = [axis for axis in range(last) if x.shape[axis] > 1]
    vector = bias if bias is None or bias.ndim == 1 else None
    shape = (*x.shape[:last], n)
    source = None if rows else _flattened(b, x)
    if source is not None:
        kernel = weights.integers.reshape(n, *b.types[source].shape)
        root, order = b.origins.get(source, (source, (0, 1, 2)))  # weights are transposed instead of a picture
        kernel = kernel.transpose(0, *(order.index(axis) + 1 for axis in range(3)))
        tensor = convolved(b, node, root, Conv2d(), Weights(kernel, weights.scale), vector)
    else:
        tensor = b.arranged(node, x, (last, *rows)).tensor
        kernel = weights.integers.reshape(n, k, 1, 1)
        tensor = convolved(b, node, tensor, Conv2d(), Weights(kernel, weights.scale), vector)
    y = Value(tensor, shape, (last, *rows, *[NONE] * (2 - len(rows))))  # type: ignore[arg-type]
    if bias is not None and vector is None:
        return Value(plus_constant(b, node, tensor, b.laid_out(node, y, bias)), shape, y.axes)
    return y


def _flattened(b: Builder, x: Value) -> str | None:
    """The picture that x is the flattened form of; None if it is none, or an input (whose shape is free to choose)."""
    made = b.by_name.get(x.tensor)
    if made is None or not isinstance(made.op, Reshape) or made.op.shape[1:] != (1, 1):
        return None
    source = made.inputs[0]
    while source in b.by_name:
        before = b.by_name[source]
        if isinstance(before.op, Conv2d) or len([i for i in before.inputs if i in b.types]) != 1:
            return made.inputs[0]
        source = next(i for i in before.inputs if i in b.types)
    return None


def _gemm(b: Builder, node: OnnxNode) -> None:
    x = b.value(node)
    b.require(node, len(x.shape) == 2, f"takes a matrix, got shape {x.shape}")
    if node.attributes.get("transA", 0):
        axes = tuple(axis if axis == NONE else 1 - axis for axis in x.axes)
        x = Value(x.tensor, x.shape[::-1], axes)  # type: ignore[arg-type]
    weights = weights_of(b, node, 1, swap=not node.attributes.get("transB", 0))
    b.require(node, weights.integers.ndim == 2, f"takes a matrix of weights, got {weights.integers.shape}")
    alpha, beta = (float(node.attributes.get(key, 1.0)) for key in ("alpha", "beta"))
    bias = b.constant(node, 2, np.zeros(0))
    shape = (x.shape[0], weights.integers.shape[0])
    if b.whole:
        b.require(node, alpha == int(alpha) and beta == int(beta), "alpha and beta have to be whole numbers")
        weights = Weights(weights.integers * int(alpha))
        bias = b.integers(node, bias, "bias") * int(beta)
    else:
        if weights.scale is None:
            weights = Weights(weights.integers * alpha)
        else:
            weights = Weights(weights.integers, weights.scale * alpha)
        bias = b.real(node, bias, "bias") * beta
    spread = None if bias.size == 0 else _per_output(b, node, bias, shape)
    b.define(node, _matrix(b, node, x, weights, spread))


def _per_output(b: Builder, node: OnnxNode, bias: Array, shape: tuple[int, int]) -> Array:
    """(N,) if the bias is the same in all rows, else as it is."""
    whole = np.ones((1,) * (2 - bias.ndim) + bias.shape, bias.dtype) * bias
    fits = whole.ndim == 2 and whole.shape[0] in (1, shape[0]) and whole.shape[1] in (1, shape[1])
    b.require(node, fits, f"bias of shape {bias.shape} does not fit {shape}")
    return np.broadcast_to(whole[0], shape[1:]) if (whole == whole[:1]).all() else whole


def _matmul(b: Builder, node: OnnxNode) -> None:
    if node.inputs[0] in b.values and len(node.inputs) == 2 and node.inputs[1] in b.values:
        return b.define(node, _product(b, node, b.value(node), b.value(node, 1)))
    x, weights = b.value(node), weights_of(b, node, 1, swap=True)
    b.require(node, weights.integers.ndim == 2, f"takes a matrix of weights, got {weights.integers.shape}")
    return b.define(node, _matrix(b, node, x, weights, None))


def _product(b: Builder, node: OnnxNode, x: Value, w: Value) -> Value:
    b.require(node, b.whole, "a product of two computed tensors has no form in quantised networks yet")
    rank = len(x.shape)
    meet = rank == len(w.shape) >= 2 and x.shape[:-2] == w.shape[:-2] and x.shape[-1] == w.shape[-2]
    b.require(node, meet, f"matrices {x.shape} and {w.shape} do not meet")
    batch = [axis for axis in range(rank - 2) if x.shape[axis] > 1]
    b.require(node, len(batch) < 2, f"{x.shape} has more than one axis of matrices")
    m, k = rank - 2, rank - 1
    left = b.arranged(node, x, (k, m, *batch))
    right = b.arranged(node, w, (k, m, *batch))
    tensor = b.emit(node, MatMul(), left.tensor, right.tensor)
    return Value(tensor, (*x.shape[:-1], w.shape[-1]), left.axes)


RULES: Mapping[str, Rule] = {"Conv": _convolution, "Gemm": _gemm, "MatMul": _matmul}
