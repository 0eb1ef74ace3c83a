"""Rearranging, repeating, resizing and joining."""

from __future__ import annotations

import numpy as np

from cpu_backend.emit.base import (
    ELEMENT_BYTES,
    Destination,
    LayerCode,
    Rows,
    comment,
    element_bytes,
    function,
    record,
)
from cpu_backend.emit.constants import Constant
from cpu_backend.layers import Layer
from cpu_backend.requantise import kernel_type
from ir.ops import DepthToSpace, Resize, SpaceToDepth, Upsample
from ir.ops.base import need
from ir.resize import positions
from ir.types import Array

MOVE = ("hck_move.c",)


def space_to_depth(layer: Layer, name: str, to: Destination) -> LayerCode:
    op, size = layer.first.op, element_bytes(layer.x)
    assert isinstance(op, SpaceToDepth)
    rows, (c, _, w) = Rows.of(layer), layer.x.shape
    extent = f"{rows.times(1)}, {layer.y.shape[2]}, {op.block}"
    x = rows.at("x", op.block * w * c * size)
    body = [f"hck_space_to_depth({c * size}, {extent}, {x}, y, {to.stride * size});"]
    return LayerCode(function(layer, name, f"const void *x, void *y{rows.parameters}", body), kernels=MOVE)


def depth_to_space(layer: Layer, name: str, to: Destination) -> LayerCode:
    op, (c, _, w), rows = layer.first.op, layer.x.shape, Rows.of(layer)
    assert isinstance(op, DepthToSpace)
    extent = f"{kernel_type(layer.x)}, {rows.times(1)}, {w}, {layer.y.shape[0]}, {op.block}"
    x = rows.at("x", w * c * element_bytes(layer.x))
    body = [f"hck_depth_to_space_{op.order}({extent}, {x}, y, {to.stride});"]
    return LayerCode(function(layer, name, f"const void *x, void *y{rows.parameters}", body), kernels=MOVE)


def upsample(layer: Layer, name: str, to: Destination) -> LayerCode:
    op, size, (c, _, w), rows = layer.first.op, element_bytes(layer.x), layer.x.shape, Rows.of(layer)
    assert isinstance(op, Upsample)
    x = rows.at("x", w * c * size)
    body = [f"hck_upsample({c * size}, {rows.times(1)}, {w}, {op.factor}, {x}, y, {to.stride * size});"]
    return LayerCode(function(layer, name, f"const void *x, void *y{rows.parameters}", body), kernels=MOVE)


def resize(layer: Layer, name: str, to: Destination) -> LayerCode:
    tables = resize_tables(layer)
    fields: dict[str, int | str] = {**resize_fields(layer), **{key: f"{name}_{key}" for key in tables}}
    rows = Rows.of(layer)
    body = record("hck_resize", "resize", fields)
    if rows.split:
        body += ["hck_resize part = resize;", "part.out_h = rows;", "part.rows += 3 * first;"]
    resized = "part" if rows.split else "resize"
    body.append(f"hck_resize_bilinear(&{resized}, (const uint8_t *)x, (uint8_t *)y, {to.stride});")
    arrays = tuple(Constant(f"{name}_{key}", table) for key, table in tables.items())
    code = function(layer, name, f"const void *x, void *y{rows.parameters}", body)
    return LayerCode(code, arrays, ("hck_resize.c",))


def resize_fields(layer: Layer) -> dict[str, int]:
    """The numbers of ``hck_resize``, in the record's order."""
    return {
        "in_w": layer.x.shape[2],
        "channels": layer.x.shape[0],
        "out_h": layer.y.shape[1],
        "out_w": layer.y.shape[2],
    }


def resize_tables(layer: Layer) -> dict[str, Array]:
    """``rows`` and ``columns`` of ``hck_resize``: (target, 3) first and second source, weight of the second."""
    op, (_, h, w) = layer.first.op, layer.x.shape
    assert isinstance(op, Resize)
    return {"rows": _taps(h, op.height), "columns": _taps(w, op.width)}


def _taps(source: int, target: int) -> Array:
    whole, weight = positions(source, target)
    first, second = (np.clip(whole + k, 0, source - 1) for k in (0, 1))
    return np.stack([first, second, weight], axis=1).astype(np.uint32)


def concat(layer: Layer, name: str, to: Destination) -> LayerCode:
    y_type, types = kernel_type(layer.y), [operand.type for operand in layer.first.operands]
    need(all(operand.value is None for operand in layer.first.operands), "joins a constant")
    size, rows = ELEMENT_BYTES[y_type], Rows.of(layer)
    width = layer.y.elements // layer.y.shape[0] // rows.total
    body = [
        f"hck_copy_channels({rows.at(f'x{i}', width * types[i].shape[0] * element_bytes(types[i]))}, "
        f"{kernel_type(types[i])}, (uint8_t *)y + {first * size}, {y_type}, {to.stride}, {rows.times(width)}, "
        f"{types[i].shape[0]});"
        for i, first in to.copied
    ]
    parameters = ", ".join([*(f"const void *x{i}" for i, _ in to.copied), f"void *y{rows.parameters}"])
    written = len(types) - len(to.copied)
    note = f"{written} of {len(types)} operands are written in place by the layers that compute them"
    if not to.copied:
        return LayerCode(comment(layer, (note,)), note=note, called=False)
    return LayerCode(function(layer, name, parameters, body, (note,)), kernels=MOVE, note=note)
