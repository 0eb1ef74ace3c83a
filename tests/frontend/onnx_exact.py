"""ONNX's definitions of quantised operators in float64, operator by operator, on the integers that a file holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper

from ir.types import Array

Attributes = Mapping[str, Any]


def evaluate(path: Path, x: Array, until: str = "") -> dict[str, Array]:
    """Every tensor of a file with one input called x; those before the first operator called ``until``."""
    model = onnx.load(path)
    values: dict[str, Array] = {c.name: numpy_helper.to_array(c) for c in model.graph.initializer} | {"x": x, "": None}
    for node in model.graph.node:
        if node.op_type == until:
            break
        attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        values[node.output[0]] = OPERATORS[node.op_type](attributes, *(values[name] for name in node.input))
    return values


def _along(v: Array, rank: int, axis: int) -> Array:
    """A vector of numbers along an axis, in double precision."""
    wide = np.asarray(v, np.float64)
    return wide.reshape([-1 if i == axis % rank else 1 for i in range(rank)]) if wide.size > 1 else wide.reshape(())


def quantize(a: Attributes, x: Array, scale: Array, zero: Array) -> Array:
    """``saturate(round(x / scale) + zero)``, ties to the even number."""
    info, axis = np.iinfo(zero.dtype), int(a.get("axis", 1))
    levels = np.rint(x / _along(scale, x.ndim, axis)) + _along(zero, x.ndim, axis)
    return np.asarray(np.clip(levels, info.min, info.max).astype(zero.dtype))


def dequantize(a: Attributes, x: Array, scale: Array, zero: Array | None = None) -> Array:
    axis = int(a.get("axis", 1))
    offset = 0.0 if zero is None else _along(zero, x.ndim, axis)
    return np.asarray((x.astype(np.float64) - offset) * _along(scale, x.ndim, axis))


def conv(a: Attributes, x: Array, w: Array, bias: Array | None = None) -> Array:
    top, left, bottom, right = a.get("pads", (0, 0, 0, 0))
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    tensors = [None if v is None else torch.from_numpy(np.asarray(v, np.float64)) for v in (padded, w, bias)]
    strides, dilations = (tuple(a.get(key, (1, 1))) for key in ("strides", "dilations"))
    return np.asarray(torch.conv2d(*tensors, strides, 0, dilations, a.get("group", 1)).numpy())  # type: ignore[arg-type]


def gemm(a: Attributes, x: Array, w: Array, bias: Array | None = None) -> Array:
    product = x @ (w.T if a.get("transB", 0) else w) * a.get("alpha", 1.0)
    return np.asarray(product if bias is None else product + bias)


def _less(x: Array, zero: Array | None) -> Array:
    return np.asarray(x.astype(np.float64) - (0.0 if zero is None else zero.astype(np.float64)))


def _weights(w: Array, scale: Array, zero: Array, axis: int) -> tuple[Array, Array]:
    """(integers less their zero point, scale) with the scales along an axis."""
    return w.astype(np.float64) - _along(zero, w.ndim, axis), np.asarray(scale, np.float64)


def _requantised(sums: Array, scale: Array, ys: Array, yz: Array, axis: int) -> Array:
    return quantize({}, sums * _along(scale, sums.ndim, axis), ys, yz)


def q_linear_conv(a: Attributes, x: Array, xs: Array, xz: Array, w: Array, ws: Array, wz: Array, ys: Array, yz: Array,
                  bias: Array | None = None) -> Array:  # fmt: skip
    integers, scale = _weights(w, ws, wz, 0)
    return _requantised(conv(a, _less(x, xz), integers, bias), np.float64(xs) * scale, ys, yz, 1)


def q_linear_matmul(a: Attributes, x: Array, xs: Array, xz: Array, w: Array, ws: Array, wz: Array, ys: Array,
                    yz: Array) -> Array:  # fmt: skip
    integers, scale = _weights(w, ws, wz, -1)
    return _requantised(_less(x, xz) @ integers, np.float64(xs) * scale, ys, yz, -1)


def q_gemm(a: Attributes, x: Array, xs: Array, xz: Array, w: Array, ws: Array, wz: Array, bias: Array | None = None,
           ys: Array | None = None, yz: Array | None = None) -> Array:  # fmt: skip
    integers, scale = _weights(w, ws, wz, 0 if a.get("transB", 0) else 1)
    sums = gemm({**a, "alpha": 1.0}, _less(x, xz), integers, bias)
    scale = np.float64(xs) * scale * a.get("alpha", 1.0)
    if ys is None:
        return np.asarray(sums * _along(scale, 2, -1))
    return _requantised(sums, scale, ys, yz, -1)


def _of(real: Callable[..., Array], operands: int) -> Callable[..., Array]:
    """An operator of real values between its DequantizeLinears and its QuantizeLinear."""

    def operator(a: Attributes, *v: Array) -> Array:
        parts = [dequantize({}, *v[i : i + 3]) for i in range(0, 3 * operands, 3)]
        return quantize({}, real(a, *parts), *v[3 * operands :])

    return operator


def _concat(a: Attributes, scale: Array, zero: Array, *v: Array) -> Array:
    parts = [dequantize({}, *v[i : i + 3]) for i in range(0, len(v), 3)]
    return quantize({}, np.concatenate(parts, a["axis"]), scale, zero)


def conv_integer(a: Attributes, x: Array, w: Array, xz: Array | None = None, wz: Array | None = None) -> Array:
    zero = 0.0 if wz is None else _along(wz, w.ndim, 0)
    return conv(a, _less(x, xz), w - zero).astype(np.int32)


def matmul_integer(a: Attributes, x: Array, w: Array, xz: Array | None = None, wz: Array | None = None) -> Array:
    zero = 0.0 if wz is None else _along(wz, w.ndim, -1)
    return np.asarray((_less(x, xz) @ (w - zero)).astype(np.int32))


def _mean(a: Attributes, x: Array) -> Array:
    return np.asarray(x.sum((2, 3), keepdims=True) / (x.shape[2] * x.shape[3]))


def _pool(a: Attributes, x: Array, kind: str) -> Array:
    kernel, stride = tuple(a["kernel_shape"]), tuple(a.get("strides", (1, 1)))
    pool = {"max": torch.nn.functional.max_pool2d, "mean": torch.nn.functional.avg_pool2d}[kind]
    return np.asarray(pool(torch.from_numpy(x.astype(np.float64)), kernel, stride).numpy().astype(x.dtype))


def _cast(a: Attributes, x: Array) -> Array:
    return x.astype(np.float64 if a["to"] == onnx.TensorProto.FLOAT else helper.tensor_dtype_to_np_dtype(a["to"]))


def _padded(a: Attributes, x: Array, pads: Array, value: Array) -> Array:
    half = len(pads) // 2
    return np.pad(x, list(zip(pads[:half], pads[half:], strict=True)), constant_values=value)


OPERATORS: Mapping[str, Callable[..., Array]] = {
    "Add": lambda a, x, y: x + y,
    "Cast": _cast,
    "Clip": lambda a, x, lo, hi: np.clip(x, np.float64(lo), np.float64(hi)),
    "Conv": conv,
    "ConvInteger": conv_integer,
    "DequantizeLinear": dequantize,
    "Flatten": lambda a, x: x.reshape(len(x), -1),
    "Gemm": gemm,
    "GlobalAveragePool": _mean,
    "LeakyRelu": lambda a, x: np.where(x < 0, x * a["alpha"], x),
    "MatMul": lambda a, x, w: x @ w,
    "MatMulInteger": matmul_integer,
    "MaxPool": lambda a, x: _pool(a, x, "max"),
    "Mul": lambda a, x, y: x * y.astype(np.float64),
    "Pad": _padded,
    "QGemm": q_gemm,
    "QLinearAdd": _of(lambda a, x, y: x + y, 2),
    "QLinearAveragePool": _of(lambda a, x: _pool(a, x, "mean"), 1),
    "QLinearConcat": _concat,
    "QLinearConv": q_linear_conv,
    "QLinearGlobalAveragePool": _of(_mean, 1),
    "QLinearLeakyRelu": _of(lambda a, x: np.where(x < 0, x * a["alpha"], x), 1),
    "QLinearMatMul": q_linear_matmul,
    "QLinearMul": _of(lambda a, x, y: x * y, 2),
    "QLinearReduceMean": _of(lambda a, x: x.mean(tuple(a["axes"]), keepdims=bool(a["keepdims"])), 1),
    "QLinearSigmoid": _of(lambda a, x: 1 / (1 + np.exp(-x)), 1),
    "QuantizeLinear": quantize,
    "Reshape": lambda a, x, shape: x.reshape(shape),
    "Transpose": lambda a, x: x.transpose(a["perm"]),
}
