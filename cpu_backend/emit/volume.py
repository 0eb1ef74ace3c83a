"""Tables, and whole tensors transposed, cut, padded or reshaped."""

from __future__ import annotations

import numpy as np

from cpu_backend.emit.base import Destination, LayerCode, function, pixels_of, record
from cpu_backend.emit.constants import Constant
from cpu_backend.layers import Layer
from cpu_backend.requantise import kernel_type
from ir.ops import Lookup, Pad, Reshape, Slice, Transpose
from ir.ops.base import need
from ir.types import TensorType

KERNELS = ("hck_volume.c",)
PARAMETERS = "const void *x, void *y"


def lookup(layer: Layer, name: str, to: Destination) -> LayerCode:
    op, table = layer.first.op, layer.first.operands[1].constant
    assert isinstance(op, Lookup)
    need(table.min() >= -(1 << 31) and table.max() < 1 << 31, "has a table that leaves 32 bits")
    pixels, channels = pixels_of(layer.y)
    types = f"x, {kernel_type(layer.x)}, y, {kernel_type(layer.y)}"
    body = [f"hck_lookup({name}_table, {op.first}, {types}, {to.stride}, {pixels}, {channels});"]
    arrays = (Constant(f"{name}_table", table.astype(np.int32)),)
    return LayerCode(function(layer, name, PARAMETERS, body), arrays, KERNELS)


def _steps(type_: TensorType) -> tuple[int, int, int]:
    """Elements from channel to channel, row to row, pixel to pixel."""
    channels, _, width = type_.shape
    return 1, width * channels, channels


def _copy(
    layer: Layer, to: Destination, extents: tuple[int, ...], first: int, steps: tuple[int, ...], at: int
) -> list[str]:
    """The lines of a copy of (C, H, W) ``extents``: ``first`` and ``steps`` (C, H, W) in x, ``at`` in y."""
    c, h, w = extents
    fields: dict[str, int | str] = {
        "x_type": kernel_type(layer.x),
        "y_type": kernel_type(layer.y),
        "h": h,
        "w": w,
        "c": c,
        "x_first": first,
        "x_h": steps[1],
        "x_w": steps[2],
        "x_c": steps[0],
        "y_first": at,
        "y_h": layer.y.shape[2] * to.stride,
        "y_w": to.stride,
    }
    return [*record("hck_volume", "volume", fields), "hck_copy_volume(&volume, x, y);"]


def transpose(layer: Layer, name: str, to: Destination) -> LayerCode:
    op = layer.first.op
    assert isinstance(op, Transpose)
    steps = _steps(layer.x)
    body = _copy(layer, to, layer.y.shape, 0, tuple(steps[axis] for axis in op.order), 0)
    return LayerCode(function(layer, name, PARAMETERS, body), kernels=KERNELS)


def cut(layer: Layer, name: str, to: Destination) -> LayerCode:
    op = layer.first.op
    assert isinstance(op, Slice)
    steps = _steps(layer.x)
    first = sum(f * s for f, s in zip(op.first, steps, strict=True))
    body = _copy(layer, to, op.shape, first, tuple(a * b for a, b in zip(op.step, steps, strict=True)), 0)
    return LayerCode(function(layer, name, PARAMETERS, body), kernels=KERNELS)


def pad(layer: Layer, name: str, to: Destination) -> LayerCode:
    op = layer.first.op
    assert isinstance(op, Pad)
    pixels, channels = pixels_of(layer.y)
    top, left, _, _ = op.extent
    at = (top * layer.y.shape[2] + left) * to.stride + op.channels[0]
    body = [
        f"hck_fill({op.value}, y, {kernel_type(layer.y)}, {to.stride}, {pixels}, {channels});",
        *_copy(layer, to, layer.x.shape, 0, _steps(layer.x), at),
    ]
    return LayerCode(function(layer, name, PARAMETERS, body), kernels=KERNELS)


def reshape(layer: Layer, name: str, to: Destination) -> LayerCode:
    assert isinstance(layer.first.op, Reshape)
    shapes = [", ".join(map(str, type_.shape)) for type_ in (layer.x, layer.y)]
    call = f"hck_reshape({kernel_type(layer.x)}, from, to, x, y, {to.stride});"
    body = [f"static const size_t from[3] = {{{shapes[0]}}}, to[3] = {{{shapes[1]}}};", call]
    return LayerCode(function(layer, name, PARAMETERS, body), kernels=KERNELS)
