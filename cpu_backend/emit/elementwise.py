"""Sums and products of two tensors, either of which may be a constant."""

from __future__ import annotations

from cpu_backend.emit.base import (
    Destination,
    Fields,
    LayerCode,
    Rows,
    element_bytes,
    function,
    pixels_of,
    record,
)
from cpu_backend.emit.constants import Constant
from cpu_backend.emit.maps import map_rows
from cpu_backend.layers import Layer, is_map
from cpu_backend.requantise import kernel_type
from ir.layouts import pixels_first
from ir.ops import Add
from ir.ops.base import need
from ir.types import Array, TensorType


def add(layer: Layer, name: str, to: Destination) -> LayerCode:
    """One number per channel is a map; everything else a sum of two tensors."""
    return (map_rows if is_map(layer.first) else pair)(layer, name, to)


def pair(layer: Layer, name: str, to: Destination) -> LayerCode:
    operands = dict(zip("ab", layer.first.operands, strict=True))
    need(any(o.value is None for o in operands.values()), "computes on constants alone")
    kernel = "hck_add" if isinstance(layer.first.op, Add) else "hck_multiply"
    code = pair_function(layer, name, to, "hck_pair", pair_fields(layer, to.stride), kernel)
    arrays = tuple(
        Constant(f"{name}_{key}", constant(o.value, o.type)) for key, o in operands.items() if o.value is not None
    )
    return LayerCode(code, arrays, ("hck_elementwise.c",))


def pair_function(layer: Layer, name: str, to: Destination, type_: str, fields: Fields, kernel: str) -> str:
    """The function that calls a kernel of integers or floats for two tensors; constants are ``<name>_<operand>``."""
    operands = dict(zip("ab", layer.first.operands, strict=True))
    sources = {key: key if o.value is None else f"{name}_{key}" for key, o in operands.items()}
    rows, body = Rows.of(layer), record(type_, "pair", fields)
    if rows.split:
        flat = fields["pixels"] == 1
        extent = "channels" if flat else "pixels"
        body += [f"{type_} part = pair;", f"part.{extent} = {rows.times(int(fields[extent]) // rows.total)};"]
        for key, operand in operands.items():
            steps = operand.type.elements if flat or key == "a" else int(fields["pixels"]) * int(fields["b_pixel"])
            sources[key] = rows.at(sources[key], steps // rows.total * element_bytes(operand.type))
    record_name = "part" if rows.split else "pair"
    body.append(f"{kernel}(&{record_name}, {sources['a']}, {sources['b']}, y, {to.stride});")
    taken = [f"const void *{key}" for key, o in operands.items() if o.value is None]
    return function(layer, name, ", ".join([*taken, f"void *y{rows.parameters}"]), body)


def pair_fields(layer: Layer, y_stride: int) -> dict[str, int | str]:
    """The fields of ``hck_pair``, in the record's order.

    Where all elements are neighbours, the tensors are one pixel of many channels: vectors are full whatever C is.
    """
    a, b = (operand.type for operand in layer.first.operands)
    pixels, channels = pixels_of(layer.y)
    if b.shape == a.shape and y_stride == channels:
        pixels, channels = 1, pixels * channels
    per_pixel = b.shape != a.shape and b.shape[0] == 1 and a.shape[0] > 1
    per_channel = b.shape != a.shape and not per_pixel
    return {
        "a_type": kernel_type(a),
        "b_type": kernel_type(b),
        "y_type": kernel_type(layer.y),
        "pixels": pixels,
        "channels": channels,
        "b_pixel": 0 if per_channel else 1 if per_pixel else channels,
        "b_channel": 0 if per_pixel else 1,
    }


def constant(values: Array, type_: TensorType) -> Array:
    """A constant tensor as the kernels read it: (H, W, C), smallest native integer."""
    dtype = "int32" if kernel_type(type_) == "HCK_I32" else type_.dtype.container
    return pixels_first(values).astype(dtype)
