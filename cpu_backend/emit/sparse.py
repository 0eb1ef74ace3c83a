"""Convolutions with column-pruned weights, with the 2x2 max-pool and the map that follow them."""

from __future__ import annotations

from math import prod

import numpy as np

from cpu_backend.emit.base import (
    ELEMENT_BYTES,
    Destination,
    LayerCode,
    Rows,
    extents,
    function,
    layer_map,
    record,
)
from cpu_backend.emit.constants import Constant
from cpu_backend.emit.convolution import is_narrow, map_to_bytes, scratch_check, weights_of
from cpu_backend.halves import Halves, in_halves
from cpu_backend.layers import Layer
from cpu_backend.memory import aligned
from cpu_backend.repeated import Columns, Repeated, by_columns
from cpu_backend.requantise import kernel_type
from cpu_backend.sparse import FLOAT, RUN32_SUM32, has_columns
from ir.memo import remembered
from ir.ops import Conv2d, MaxPool2d
from ir.types import Array

KERNELS = (
    "hck_sparse.c",
    "hck_sparse_groups.c",
    "hck_sparse_map.c",
    "hck_sparse_move.c",
    "hck_sparse_portable.c",
    "hck_sparse_rvv.c",
    "hck_requantise.c",
)
ROW_BYTES, SUM_BYTES = 256, 512
"""HCK_ROW_BYTES and HCK_SUM_BYTES."""


def takes_columns(layer: Layer) -> bool:
    """Whether it is a convolution that the kernel for columns takes: no groups, weights of 8 bits, elements of at most
    16."""
    op = layer.first.op
    return isinstance(op, Conv2d) and op.groups == 1 and is_narrow(layer)


def has_pruned_columns(layer: Layer) -> bool:
    """Whether the kernel for columns takes it and has some to skip."""
    return takes_columns(layer) and has_weight_columns(layer.first.operands[1].constant)


@remembered
def has_weight_columns(weights: Array) -> bool:
    """`has_columns` of weights (O, I, KH, KW)."""
    return has_columns(as_columns(weights))


def pruned_weights(layer: Layer) -> Columns | None:
    """The weights by columns with their proof, of a layer that the kernel takes; None where nothing is proven."""
    x = layer.x
    return _pruned(layer.first.operands[1].constant, x.lo, x.hi, 8 * x.dtype.container.itemsize)


@remembered
def _pruned(weights: Array, lo: int, hi: int, element_bits: int) -> Columns | None:
    return by_columns(as_columns(weights).astype(np.int32), lo, hi, element_bits)


def as_columns(weights: Array) -> Array:
    """(O, I, KH, KW) -> (O, KH * KW * I), channels innermost."""
    return np.ascontiguousarray(weights.transpose(0, 2, 3, 1).reshape(weights.shape[0], -1))


def plane_shape(layer: Layer) -> tuple[int, int, int, int]:
    """(channels, rows, phases, columns) of the padded operand, or of what a tile's rows need of it: HCK_PLANE_ROWS,
    HCK_PLANE_COLUMNS."""
    op = layer.first.op
    assert isinstance(op, Conv2d)
    kernel, pool = weights_of(layer).shape[2:], pool_of(layer)
    height, width = ((extent - 1) * op.stride[k] + kernel[k] for k, extent in enumerate(sums_shape(layer)))
    phases = op.stride[1] * pool
    return layer.x.shape[0], height, phases, (width - 1) // phases + 1


def sums_shape(layer: Layer) -> tuple[int, int]:
    """(rows, columns) of the sums that a call computes."""
    return Rows.of(layer).most * pool_of(layer), layer.first.type.shape[2]


def pool_of(layer: Layer) -> int:
    return 2 if layer.find(MaxPool2d) else 1


def offsets(layer: Layer, rows: Array, element: int) -> Array:
    """(pool, rows): at which byte of the planes each row's column begins, for every pixel of a pooling window's row;
    elements have ``element`` bytes. Of a layer in place: each row's channel."""
    op = layer.first.op
    assert isinstance(op, Conv2d)
    if layer.is_in_place:
        return np.asarray(rows[None], np.uint32)
    channels, height, phases, width = plane_shape(layer)
    tap, channel = rows // channels, rows % channels
    ky, kx = tap // weights_of(layer).shape[3], tap % weights_of(layer).shape[3]
    x = np.arange(pool_of(layer))[:, None] * op.stride[1] + kx
    at = ((channel * height + ky) * phases + x % phases) * width + x // phases
    return np.asarray(at * element, np.uint32)


def plane_type(layer: Layer, pruned: Columns) -> str:
    """Elements as the tiles read them: 16 bits for 32-bit sums."""
    x_type = kernel_type(layer.x)
    return "HCK_I16" if pruned.sums is RUN32_SUM32 and x_type in ("HCK_U8", "HCK_I8") else x_type


def plane_bytes(layer: Layer, pruned: Columns) -> int:
    return 4 if pruned.sums is FLOAT else ELEMENT_BYTES[plane_type(layer, pruned)]


def sparse_fields(layer: Layer, pruned: Columns) -> dict[str, int | str]:
    """The fields of ``hck_sparse`` but for the addresses, in the record's order."""
    op, x, sums = layer.first.op, layer.x, layer.first.type
    assert isinstance(op, Conv2d)
    return {
        "x_type": kernel_type(x),
        "plane_type": plane_type(layer, pruned),
        "x_layout": "HCK_HWC",
        "y_layout": "HCK_HWC",
        "sums": pruned.sums.name,
        **extents("in", (*x.shape[1:], x.shape[0])),
        **extents("out", (*sums_shape(layer), sums.shape[0])),
        **extents("kernel", weights_of(layer).shape[2:]),
        **extents("stride", op.stride),
        "pad_top": op.padding[0],
        "pad_left": op.padding[1],
        "pool": pool_of(layer),
        "rows": pruned.rows.size,
        "block_rows": pruned.block_rows,
        "tiles": pruned.count,
        "in_place": int(layer.is_in_place),
    }


def sparse_conv(layer: Layer, name: str, to: Destination) -> LayerCode:
    pruned = pruned_weights(layer)
    assert pruned is not None
    w = weights_of(layer)
    halves = map_in_halves(layer) if isinstance(pruned, Repeated) else None
    if halves and isinstance(pruned, Repeated):
        pruned = pruned.scaled(halves.scale)
    element = plane_bytes(layer, pruned)
    arrays = {"offsets": offsets(layer, pruned.rows, element), **pruned.arrays()}
    arrays = {key: values if values.size else np.zeros(1, values.dtype) for key, values in arrays.items()}
    fields = {**sparse_fields(layer, pruned), **{key: f"{name}_{key}" for key in arrays}}
    map_, map_record, map_arrays = layer_map(layer, name, halves.map if halves else None)
    scratch, check = scratch_of(layer, name, pruned, element)
    note, proven = pruned.notes(w.size)
    facts = (f"weights {'x'.join(map(str, w.shape))} in {w.min()}..{w.max()}: {note}", proven)
    rows = Rows.of(layer)
    conv, part = rows.part("hck_sparse", "conv")
    return LayerCode(
        function(
            layer,
            name,
            f"const void *x, void *y, void *scratch{rows.parameters}",
            [
                *record("hck_sparse", "conv", fields),
                *map_record,
                *part,
                f"hck_sparse_conv2d({conv}, &map, x, y, {to.stride}, scratch);",
            ],
            (*facts, map_.note),
        ),
        (*(Constant(f"{name}_{key}", values) for key, values in arrays.items()), *map_arrays),
        KERNELS,
        aligned(scratch),
        0,
        note,
        (check,),
    )


def map_in_halves(layer: Layer) -> Halves | None:
    """The weights and the map with which sums of 16 bits are requantised in 16 bits, where that is proven to give the
    same results."""
    map_ = map_to_bytes(layer)
    return in_halves(weights_of(layer), layer.x.lo, layer.x.hi, map_) if map_ else None


def scratch_of(layer: Layer, name: str, pruned: Columns, element: int) -> tuple[int, str]:
    """Bytes of scratch memory, and the C declaration that checks them."""
    plane = 0 if layer.is_in_place else prod(plane_shape(layer))
    outputs = weights_of(layer).shape[0]
    scratch = aligned(plane * element) + ROW_BYTES * pruned.block_rows + SUM_BYTES * outputs
    size = f"HCK_SPARSE_SCRATCH({plane}u, {element}u, {pruned.block_rows}u, {outputs}u)"
    return scratch, scratch_check(name, size, scratch)
