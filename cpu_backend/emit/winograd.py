"""Convolutions 3x3 by minimal filtering on vectors, with the 2x2 max-pool and the map that follow them."""

from __future__ import annotations

import numpy as np

from cpu_backend.emit.base import (
    ELEMENT_BYTES,
    Destination,
    Fields,
    LayerCode,
    Rows,
    element_bytes,
    function,
    layer_map,
    record,
)
from cpu_backend.emit.constants import Constant
from cpu_backend.emit.convolution import conv_accumulator, conv_fields, facts, is_narrow, scratch_check, weights_of
from cpu_backend.layers import Layer
from cpu_backend.memory import aligned
from cpu_backend.winograd import PLANES, Filtering, filtering
from ir.ops import Conv2d, MaxPool2d
from ir.types import Array

KERNELS = ("hck_requantise.c", "hck_winograd.c", "hck_winograd_planes_rvv.c", "hck_winograd_rvv.c")
TILES, FEWEST_TILES, LANES = 7, 4, 64
"""HCK_TILES, those of the smaller block, HCK_LANES."""
STRIP, LONG_STRIP, LARGE = 14, 28, 1 << 18
"""Most tiles at a time, and where weights have more than so many bytes: with more tiles, planes and sums leave the
cache; with fewer, weights are read more often."""
MOST_BYTES = 1 << 23
"""Of a layer's transformed weights, which take 16/9 or 32/9 of the memory."""


def takes_winograd(layer: Layer) -> bool:
    """Whether the kernel takes the layer: a 3x3 convolution of stride 1 without groups, of bytes by bytes."""
    op = layer.first.op
    if not isinstance(op, Conv2d) or op.groups != 1 or op.stride != (1, 1) or not layer.y.dtype.is_integer:
        return False
    w = weights_of(layer)
    large = 2 * PLANES * w.shape[0] * w.shape[1] > MOST_BYTES
    return w.shape[2:] == (3, 3) and not large and is_narrow(layer) and element_bytes(layer.x) == 1


def filtered(layer: Layer) -> Filtering | None:
    """What the kernel needs for a layer that it takes; None where its sums leave 32 bits."""
    return filtering(layer.first.operands[1].constant, layer.x.lo, layer.x.hi)


def tiles_in(layer: Layer) -> int:
    """Of the rows that a call computes: pooling windows, or what covers all results."""
    height, width = Rows.of(layer).most, layer.first.type.shape[2]
    if layer.find(MaxPool2d):
        return int(height * (width // 2))
    return int(-(-height // 2) * -(-width // 2))


def strip_of(layer: Layer, found: Filtering) -> int:
    """Tiles at a time: no more blocks of them than a call has."""
    tiles, most = tiles_in(layer), LONG_STRIP if found.weights.nbytes > LARGE else STRIP
    return FEWEST_TILES if tiles <= FEWEST_TILES else min(most, -(-tiles // TILES) * TILES)


def winograd_conv(layer: Layer, name: str, to: Destination) -> LayerCode:
    found, w = filtered(layer), weights_of(layer)
    assert found is not None
    strip, channels, filters = strip_of(layer, found), layer.x.shape[0], w.shape[0]
    fields: Fields = {
        "weights": f"{name}_weights",
        "operands": found.operands,
        "sums": found.sums,
        "results": found.results,
        "strip": strip,
        "flush": f"{{{', '.join(map(str, found.flush))}}}",
    }
    conv = {**conv_fields(layer), "zeros": "zeros"}
    lines = record("hck_winograd", "tiles", fields)
    lines[1:1] = ["    .conv = {", *(f"    {line}" for line in record("", "", conv)[1:-1]), "    },"]
    map_, map_record, map_arrays = layer_map(layer, name)
    rows = Rows.of(layer)
    part = ["hck_winograd part = tiles;", "x = hck_conv_rows(&part.conv, x, first, rows);"] if rows.split else []
    call = f"hck_conv2d_winograd({'&part' if rows.split else '&tiles'}, &map, x, y, {to.stride}, scratch);"
    scratch = winograd_scratch(layer, found)
    widths = ", ".join(f"{ELEMENT_BYTES[kind]}u" for kind in (found.operands, found.sums, found.results))
    size = f"HCK_WINOGRAD_SCRATCH({strip}u, {channels}u, {filters}u, {widths})"
    return LayerCode(
        function(
            layer,
            name,
            f"const void *x, void *y, void *scratch{rows.parameters}",
            [*lines, *map_record, *part, call],
            (facts(layer, conv_accumulator(layer))[0], f"{found.note}, {strip} tiles at a time", map_.note),
        ),
        (Constant(f"{name}_weights", by_lanes(found.weights)), *map_arrays),
        KERNELS,
        aligned(scratch),
        3 * channels,
        found.note,
        (scratch_check(name, size, scratch),),
    )


def by_lanes(weights: Array) -> Array:
    """(16, I, O) as they lie in memory: (16, I, LANES) after another, the last one with what is left."""
    return np.concatenate([weights[:, :, at : at + LANES].ravel() for at in range(0, weights.shape[2], LANES)])


def winograd_scratch(layer: Layer, found: Filtering) -> int:
    """HCK_WINOGRAD_SCRATCH."""
    strip, filters = strip_of(layer, found), weights_of(layer).shape[0]
    operand, kept, result = (ELEMENT_BYTES[kind] for kind in (found.operands, found.sums, found.results))
    planes = -(-PLANES * strip * layer.x.shape[0] * operand // 8) * 8
    return int(planes + PLANES * strip * min(filters, LANES) * kept + 4 * strip * filters * result)
