"""Maxima, sums and means of windows."""

from __future__ import annotations

from collections.abc import Mapping

from cpu_backend.emit.base import Destination, LayerCode, Rows, extents, function, record
from cpu_backend.layers import Layer
from cpu_backend.requantise import kernel_type
from ir.ops import AveragePool2d, MaxPool2d, Op, Pool, SumPool2d

KERNELS: Mapping[tuple[type[Op], bool], str] = {
    (MaxPool2d, True): "hck_max_pool",
    (SumPool2d, True): "hck_sum_pool",
    (MaxPool2d, False): "hck_f32_max_pool",
    (AveragePool2d, False): "hck_f32_mean_pool",
}
"""By operator and whether it is of integers."""


def pool(layer: Layer, name: str, to: Destination) -> LayerCode:
    """Of integers and of floats."""
    kernel = KERNELS[type(layer.first.op), layer.y.dtype.is_integer]
    rows = Rows.of(layer)
    pool, part = rows.part("hck_pool", "pool")
    body = [*record("hck_pool", "pool", pool_fields(layer)), *part, f"{kernel}({pool}, x, y, {to.stride});"]
    file = "hck_pool.c" if layer.y.dtype.is_integer else "hck_f32_pool.c"
    return LayerCode(function(layer, name, f"const void *x, void *y{rows.parameters}", body), kernels=(file,))


def pool_fields(layer: Layer) -> dict[str, int | str]:
    """The fields of ``hck_pool``, in the record's order."""
    op, x, y = layer.first.op, layer.x, layer.y
    assert isinstance(op, Pool)
    counted = isinstance(op, AveragePool2d) and op.count_padding
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
        "count": op.kernel[0] * op.kernel[1] if counted else 0,
    }
