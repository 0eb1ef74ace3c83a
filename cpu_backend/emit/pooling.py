"""Maxima and sums of windows."""

from __future__ import annotations

from cpu_backend.emit.base import Destination, LayerCode, Rows, extents, function, record
from cpu_backend.layers import Layer
from cpu_backend.requantise import kernel_type
from ir.ops import MaxPool2d, Pool


def pool(layer: Layer, name: str, to: Destination) -> LayerCode:
    kernel = "hck_max_pool" if isinstance(layer.first.op, MaxPool2d) else "hck_sum_pool"
    rows = Rows.of(layer)
    body = [*record("hck_pool", "pool", pool_fields(layer)), f"{kernel}(&pool, x, y, {to.stride});"]
    if rows.split:
        body[-1:] = [
            "hck_pool part = pool;",
            "x = hck_pool_rows(&part, x, first, rows);",
            f"{kernel}(&part, x, y, {to.stride});",
        ]
    return LayerCode(function(layer, name, f"const void *x, void *y{rows.parameters}", body), kernels=("hck_pool.c",))


def pool_fields(layer: Layer) -> dict[str, int | str]:
    """The fields of ``hck_pool``, in the record's order."""
    op, x, y = layer.first.op, layer.x, layer.y
    assert isinstance(op, Pool)
    return {
        "x_type": kernel_type(x),
        "y_type": kernel_type(y),
        **extents("in", x.shape[1:]),
        "channels": x.shape[0],
        **extents("out", y.shape[1:]),
        **extents("kernel", op.kernel),
        **extents("stride", op.stride),
        "pad_top": op.padding[0],
        "pad_left": op.padding[1],
    }
