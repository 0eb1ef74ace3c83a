"""Maps of one tensor, value by value: a layer of their own where no convolution comes before them."""

from __future__ import annotations

from cpu_backend.emit.base import Destination, LayerCode, function, layer_map, pixels_of
from cpu_backend.layers import Layer
from cpu_backend.requantise import kernel_type


def map_rows(layer: Layer, name: str, to: Destination) -> LayerCode:
    map_, map_record, arrays = layer_map(layer, name)
    rows, channels = pixels_of(layer.x)
    call = f"hck_requantise_rows(&map, x, {kernel_type(layer.x)}, {channels}, y, {to.stride}, {rows}, 1);"
    code = function(layer, name, "const void *x, void *y", [*map_record, call], (map_.note,))
    return LayerCode(code, tuple(arrays), ("hck_requantise.c",), note=map_.note)
