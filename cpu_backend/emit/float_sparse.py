"""float32 convolutions with column-pruned weights: the kernel of `sparse` with float sums."""

from __future__ import annotations

import numpy as np

from cpu_backend.emit.base import Destination, Fields, LayerCode, Rows, function, record
from cpu_backend.emit.constants import Constant
from cpu_backend.emit.floats import bias_of, bounds, weights_of
from cpu_backend.emit.sparse import KERNELS, as_columns, offsets, scratch_of, sparse_fields
from cpu_backend.layers import Layer
from cpu_backend.memory import aligned
from cpu_backend.sparse import MOST, Pruned, has_columns, prune_float
from ir.ops import Conv2d, PRelu


def has_pruned_float_columns(layer: Layer) -> bool:
    """Whether the kernel takes the layer, with columns to skip: a convolution without groups, ended by bounds only."""
    op = layer.first.op
    if not isinstance(op, Conv2d) or op.groups != 1 or layer.find(PRelu):
        return False
    columns = as_columns(weights_of(layer))
    return has_columns(columns) and int(np.any(columns, axis=0).sum()) <= MOST


def pruned_float_weights(layer: Layer) -> Pruned:
    """The weights by columns."""
    return prune_float(as_columns(weights_of(layer)))


def float_sparse_conv(layer: Layer, name: str, to: Destination) -> LayerCode:
    pruned, w = pruned_float_weights(layer), weights_of(layer)
    arrays = {"offsets": offsets(layer, pruned.rows, 4), **pruned.arrays()}
    arrays = {key: values if values.size else np.zeros(1, values.dtype) for key, values in arrays.items()}
    fields: Fields = {**sparse_fields(layer, pruned), **{key: f"{name}_{key}" for key in arrays}}
    scratch, check = scratch_of(layer, name, pruned, 4)
    share = pruned.products / w.size
    note = f"columns pruned, {share:.0%} left in {pruned.count} tiles, float32"
    lo, hi = bounds(layer)
    rows = Rows.of(layer)
    conv, part = rows.part("hck_sparse", "conv")
    body = [
        *record("hck_sparse", "conv", fields),
        *record("hck_bias", "end", {"bias": f"{name}_bias", "lo": lo, "hi": hi}),
        *part,
        f"hck_sparse_conv2d_float({conv}, &end, x, y, {to.stride}, scratch);",
    ]
    return LayerCode(
        function(layer, name, f"const void *x, void *y, void *scratch{rows.parameters}", body, (note,)),
        (
            *(Constant(f"{name}_{key}", values) for key, values in arrays.items()),
            Constant(f"{name}_bias", bias_of(layer)),
        ),
        KERNELS,
        aligned(scratch),
        0,
        note,
        (check,),
    )
