"""Products of computed matrices, and what runs along a row of channels."""

from __future__ import annotations

import numpy as np

from cpu_backend.emit.base import Destination, Fields, LayerCode, function, pixels_of, record
from cpu_backend.emit.constants import Constant
from cpu_backend.layers import Layer
from cpu_backend.ranges import I32
from cpu_backend.requantise import kernel_type
from ir.ops import IntegerRmsNorm, IntegerSoftmax, MatMul
from ir.ops.base import need

KERNELS = ("hck_rows.c",)


def matmul(layer: Layer, name: str, to: Destination) -> LayerCode:
    assert isinstance(layer.first.op, MatMul)
    x, w = layer.first.operands
    need(x.value is None and w.value is None, "multiplies a constant, which a convolution does")
    largest = max(abs(a * b) for a in (x.type.lo, x.type.hi) for b in (w.type.lo, w.type.hi)) * x.type.shape[0]
    need(largest <= I32[1], f"sums reach {largest}, which leaves 32 bits")
    fields: Fields = {
        "x_type": kernel_type(x.type),
        "w_type": kernel_type(w.type),
        "y_type": kernel_type(layer.y),
        "m": x.type.shape[1],
        "batch": x.type.shape[2],
        "k": x.type.shape[0],
        "n": w.type.shape[0],
    }
    body = [*record("hck_matmul", "matmul", fields), f"hck_matmul_rows(&matmul, x, w, y, {to.stride});"]
    twice = layer.first.node.inputs[0] == layer.first.node.inputs[1]
    need(not twice, "multiplies a tensor by itself")
    return LayerCode(function(layer, name, "const void *x, const void *w, void *y", body), kernels=KERNELS)


def _row_fields(layer: Layer) -> dict[str, int | str]:
    pixels, channels = pixels_of(layer.y)
    return {"x_type": kernel_type(layer.x), "y_type": kernel_type(layer.y), "pixels": pixels, "channels": channels}


def softmax(layer: Layer, name: str, to: Destination) -> LayerCode:
    op = layer.first.op
    assert isinstance(op, IntegerSoftmax)
    fields = _row_fields(layer) | {"b": op.b, "c": op.c, "log2": op.log2, "levels": op.levels}
    body = [*record("hck_softmax", "softmax", fields), f"hck_softmax_rows(&softmax, x, y, {to.stride});"]
    return LayerCode(function(layer, name, "const void *x, void *y", body), kernels=KERNELS)


def rms_norm(layer: Layer, name: str, to: Destination) -> LayerCode:
    op, weight = layer.first.op, layer.first.operands[1].constant
    assert isinstance(op, IntegerRmsNorm)
    need(weight.min() >= I32[0] and weight.max() <= I32[1], "has weights that leave 32 bits")
    fields = _row_fields(layer) | {"shift": op.shift, "lo": op.lo, "hi": op.hi, "weight": f"{name}_weight"}
    body = [*record("hck_rms_norm", "norm", fields), f"hck_rms_norm_rows(&norm, x, y, {to.stride});"]
    arrays = (Constant(f"{name}_weight", weight.astype(np.int32)),)
    return LayerCode(function(layer, name, "const void *x, void *y", body), arrays, KERNELS)
