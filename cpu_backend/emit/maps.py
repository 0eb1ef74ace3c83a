"""Maps of one tensor, value by value: a layer of their own where no convolution comes before them."""

from __future__ import annotations

from cpu_backend.emit.base import Destination, LayerCode, Rows, element_bytes, function, layer_map, pixels_of
from cpu_backend.layers import Layer
from cpu_backend.requantise import kernel_type


def map_rows(layer: Layer, name: str, to: Destination) -> LayerCode:
    map_, map_record, arrays = layer_map(layer, name)
    pixels, channels = pixels_of(layer.x)
    rows = Rows.of(layer)
    x = rows.at("x", pixels // rows.total * channels * element_bytes(layer.x))
    count = rows.times(pixels // rows.total)
    call = f"hck_requantise_rows(&map, {x}, {kernel_type(layer.x)}, {channels}, y, {to.stride}, {count}, 1);"
    code = function(layer, name, f"const void *x, void *y{rows.parameters}", [*map_record, call], (map_.note,))
    return LayerCode(code, tuple(arrays), ("hck_requantise.c",), note=map_.note)
