"""float32 layers: convolution, maps, pairs, pooling and moves, each with the map that ends it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from cpu_backend.emit import reals
from cpu_backend.emit.base import (
    Destination,
    Fields,
    LayerCode,
    Rows,
    element_bytes,
    extents,
    function,
    pixels_of,
    record,
)
from cpu_backend.emit.constants import Constant
from cpu_backend.emit.convolution import BLOCK, is_depthwise, scratch_check
from cpu_backend.emit.elementwise import pair_function
from cpu_backend.emit.movement import concat, depth_to_space, space_to_depth, upsample
from cpu_backend.emit.pooling import pool
from cpu_backend.layers import Layer
from cpu_backend.memory import aligned
from cpu_backend.requantise import kernel_type
from ir.layouts import pixels_first
from ir.ops import (
    Add,
    Affine,
    Arithmetic,
    AveragePool2d,
    Clip,
    Concat,
    Conv2d,
    Curve,
    DepthToSpace,
    Interpolate,
    MaxPool2d,
    Multiply,
    Op,
    Pad,
    PRelu,
    Reduce,
    Reshape,
    Sigmoid,
    Slice,
    Softmax,
    SpaceToDepth,
    Transpose,
    Upsample,
)
from ir.ops.base import need
from ir.types import Array

ELEMENTWISE = ("hck_f32_elementwise.c",)
POOL = ("hck_f32_pool.c",)
KERNELS = ("hck_f32_conv.c", "hck_f32_conv_rvv.c")

FloatRule = Callable[[Layer, str, Destination], LayerCode]


def conv(layer: Layer, name: str, to: Destination) -> LayerCode:
    op, w = layer.first.op, weights_of(layer)
    assert isinstance(op, Conv2d)
    end, arrays = _end(layer, name)
    kh, kw = w.shape[2:]
    fields: Fields = {
        **conv_fields(layer),
        "weights": f"{name}_weights",
        "bias": f"{name}_bias",
        "zeros": "zeros",
        "end": end,
    }
    scratch = BLOCK * 8 * kh * kw
    rows = Rows.of(layer)
    conv, part = rows.part("hck_f32_conv", "conv")
    body = [*record("hck_f32_conv", "conv", fields), *part, f"hck_f32_conv2d({conv}, x, y, {to.stride}, scratch);"]
    note = f"sums of {w[0].size} products in float32"
    return LayerCode(
        function(layer, name, f"const void *x, void *y, void *scratch{rows.parameters}", body, (note,)),
        (
            Constant(f"{name}_weights", pack_weights(w, op.groups, is_depthwise(layer))),
            Constant(f"{name}_bias", bias_of(layer)),
            *arrays,
        ),
        KERNELS,
        aligned(scratch),
        4 * kw * layer.x.shape[0],
        note,
        (scratch_check(name, f"HCK_F32_CONV_SCRATCH({kh}, {kw})", scratch),),
    )


def conv_fields(layer: Layer) -> dict[str, int]:
    """The numbers of ``hck_f32_conv``, in the record's order."""
    op, sums = layer.first.op, layer.first.type
    assert isinstance(op, Conv2d)
    return {
        **extents("in", (*layer.x.shape[1:], layer.x.shape[0])),
        **extents("out", (*sums.shape[1:], sums.shape[0])),
        **extents("kernel", weights_of(layer).shape[2:]),
        **extents("stride", op.stride),
        "pad_top": op.padding[0],
        "pad_left": op.padding[1],
        "groups": op.groups,
        "pool": 2 if layer.find(MaxPool2d) else 1,
    }


def weights_of(layer: Layer) -> Array:
    return layer.first.operands[1].constant


def bias_of(layer: Layer) -> Array:
    operands = layer.first.operands
    return operands[2].constant if len(operands) == 3 else np.zeros(layer.first.type.shape[0], np.float32)


def pack_weights(w: Array, groups: int, depthwise: bool) -> Array:
    """(O, I/G, KH, KW) -> [G][KH][KW][I/G][O/G], depthwise ones -> [KH][KW][C]: output channels are neighbours."""
    if depthwise:
        return np.ascontiguousarray(w[:, 0].transpose(1, 2, 0))
    split = w.reshape(groups, w.shape[0] // groups, *w.shape[1:])
    return np.ascontiguousarray(split.transpose(0, 3, 4, 2, 1))


def _end(layer: Layer, name: str) -> tuple[str, list[Constant]]:
    """The layer's `hck_f32_end` as an initialiser, and its slopes."""
    slope, arrays = "NULL", list[Constant]()
    if bent := layer.find(PRelu):
        slope, arrays = f"{name}_slope", [Constant(f"{name}_slope", bent.operands[1].constant)]
    return f"{{{', '.join(bounds(layer))}, {slope}}}", arrays


def bounds(layer: Layer) -> tuple[str, str]:
    """The least and the largest result that a layer's own `Clip` leaves, in C."""
    clip = layer.find(Clip)
    if clip is None:
        return "-HCK_INFINITY", "HCK_INFINITY"
    assert isinstance(clip.op, Clip)
    return _number(float(clip.op.lo)), _number(float(clip.op.hi))


def _number(value: float) -> str:
    if np.isinf(value):
        return "HCK_INFINITY" if value > 0 else "-HCK_INFINITY"
    return f"{value!r}f"


def map_rows(layer: Layer, name: str, to: Destination) -> LayerCode:
    """A map of each value by itself."""
    end, arrays = _end(layer, name)
    rows, (pixels, channels) = Rows.of(layer), pixels_of(layer.x)
    x = rows.at("x", layer.x.elements // rows.total * element_bytes(layer.x))
    names: dict[str, int | str] = {}
    if isinstance(layer.first.op, Affine):
        for key, operand in zip(("scale", "offset"), layer.first.operands[1:], strict=True):
            arrays.append(Constant(f"{name}_{key}", operand.constant))
            names[key] = f"{name}_{key}"
    elif to.stride == channels and not layer.find(PRelu):  # one row of all elements fills vectors
        pixels, channels = 1, pixels * channels
    fields: Fields = {"x_type": kernel_type(layer.x), "pixels": pixels, "channels": channels, **names, "end": end}
    body = record("hck_f32_map", "map", fields)
    if rows.split:
        extent, each = ("channels", channels) if pixels == 1 else ("pixels", pixels)
        body += ["hck_f32_map part = map;", f"part.{extent} = {rows.times(each // rows.total)};"]
    body.append(f"hck_f32_map_rows(&{'part' if rows.split else 'map'}, {x}, y, {to.stride});")
    code = function(layer, name, f"const void *x, void *y{rows.parameters}", body)
    return LayerCode(code, tuple(arrays), ELEMENTWISE)


def pair(layer: Layer, name: str, to: Destination) -> LayerCode:
    operands = dict(zip("ab", layer.first.operands, strict=True))
    need(any(o.value is None for o in operands.values()), "computes on constants alone")
    end, arrays = _end(layer, name)
    fields: Fields = {**pair_fields(layer, to.stride), "end": end}
    for key, operand in operands.items():
        if operand.value is not None:
            arrays.append(Constant(f"{name}_{key}", np.ascontiguousarray(pixels_first(operand.value))))
    kernel = "hck_f32_add" if isinstance(layer.first.op, Add) else "hck_f32_multiply"
    code = pair_function(layer, name, to, "hck_f32_pair", fields, kernel)
    return LayerCode(code, tuple(arrays), ELEMENTWISE)


def pair_fields(layer: Layer, y_stride: int) -> dict[str, int]:
    """The numbers of ``hck_f32_pair``; tensors whose elements are all neighbours are one pixel of many channels."""
    a, b = (operand.type for operand in layer.first.operands)
    pixels, channels = pixels_of(layer.first.type)
    if b.shape == a.shape and y_stride == channels and not layer.find(PRelu):
        pixels, channels = 1, pixels * channels
    per_pixel = b.shape != a.shape and len(b.shape) == 3 and b.shape[0] == 1 and a.shape[0] > 1
    per_channel = b.shape != a.shape and not per_pixel
    return {
        "pixels": pixels,
        "channels": channels,
        "b_pixel": 0 if per_channel else 1 if per_pixel else channels,
        "b_channel": 0 if per_pixel else 1,
    }


def pad(layer: Layer, name: str, to: Destination) -> LayerCode:
    rows = Rows.of(layer)
    address, part = rows.part("hck_f32_pad", "pad")
    body = [
        *record("hck_f32_pad", "pad", pad_fields(layer)),
        *part,
        f"hck_f32_pad_zeros({address}, x, y, {to.stride});",
    ]
    return LayerCode(function(layer, name, f"const void *x, void *y{rows.parameters}", body), kernels=POOL)


def pad_fields(layer: Layer) -> dict[str, int]:
    """The fields of ``hck_f32_pad``, in the record's order."""
    op, x, y = layer.first.op, layer.x, layer.y
    assert isinstance(op, Pad)
    need(op.value == 0, f"pads floats with {op.value} (there is a kernel for zeros)")
    return {
        **extents("in", (*x.shape[1:], x.shape[0])),
        **extents("out", (*y.shape[1:], y.shape[0])),
        "top": op.extent[0],
        "left": op.extent[1],
        "front": op.channels[0],
    }


def flatten(layer: Layer, name: str, to: Destination) -> LayerCode:
    """To a single pixel; any other shape by reference code."""
    if layer.y.shape[1:] != (1, 1):
        return reals.reshape(layer, name, to)
    pixels, channels = pixels_of(layer.x)
    body = [f"hck_f32_flatten(x, y, {pixels}, {channels});"]
    return LayerCode(function(layer, name, "const void *x, void *y", body), kernels=POOL)


def curve(layer: Layer, name: str, to: Destination) -> LayerCode:
    """Sigmoid, softmax."""
    rows, (pixels, channels) = Rows.of(layer), pixels_of(layer.x)
    kernel = f"hck_f32_{type(layer.first.op).__name__.lower()}"
    x = rows.at("x", layer.x.elements // rows.total * element_bytes(layer.x))
    body = [f"{kernel}({x}, y, {to.stride}, {rows.times(pixels // rows.total)}, {channels});"]
    return LayerCode(function(layer, name, f"const void *x, void *y{rows.parameters}", body), kernels=ELEMENTWISE)


FLOAT_RULES: Mapping[type[Op], FloatRule] = {
    Add: pair,
    Affine: map_rows,
    Arithmetic: reals.couple,
    AveragePool2d: pool,
    Clip: map_rows,
    Concat: concat,
    Conv2d: conv,
    Curve: reals.curve,
    DepthToSpace: depth_to_space,
    Interpolate: reals.interpolate,
    Reshape: flatten,
    MaxPool2d: pool,
    Multiply: pair,
    PRelu: map_rows,
    Pad: pad,
    Reduce: reals.reduce,
    Sigmoid: curve,
    Slice: reals.cut,
    Softmax: curve,
    SpaceToDepth: space_to_depth,
    Transpose: reals.transpose,
    Upsample: upsample,
}
