"""Fully connected layers on vectors: the elements decide the order of the products (hck_full.h)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cpu_backend.emit.base import Destination, Fields, LayerCode, element_bytes, function, layer_map, record
from cpu_backend.emit.constants import Constant
from cpu_backend.emit.convolution import (
    BLOCK,
    KERNELS,
    conv_accumulator,
    conv_fields,
    facts,
    is_narrow,
    pack_weights,
    scratch_check,
    weights_of,
)
from cpu_backend.layers import Layer
from cpu_backend.memory import aligned
from cpu_backend.ranges import I8, I16, WHOLE_SUM
from ir.ops import Conv2d, MaxPool2d

LEVELS = 16
"""HCK_LEVELS of hck_full.h."""
SHORTEST = 4
"""Weights added in 8 bits for one multiplication of their sum: fewer save nothing."""
PRODUCTS, CHANNELS = 64, 64
"""Fewer do not make up for putting the rows in order."""


@dataclass(frozen=True)
class Scheme:
    """``levels`` values of the elements from ``lo`` on, and how many weights of one fit 8 bits (``reach``); without
    levels ``reach`` is the sum of magnitudes that fits 16 bits times any weight."""

    lo: int
    levels: int
    reach: int

    @property
    def note(self) -> str:
        if self.levels:
            return f"weights of equal elements summed in i8, {self.reach} at a time"
        return f"i16 sums of elements up to {self.reach} together, into i32"


def full_scheme(layer: Layer) -> Scheme | None:
    """None where it is not one unpooled window of 8-bit elements without padding, or another kernel is as good."""
    op, x = layer.first.op, layer.x
    if not isinstance(op, Conv2d) or op.groups > 1 or any(op.padding) or layer.find(MaxPool2d):
        return None
    w = weights_of(layer)
    if w.shape[2:] != x.shape[1:] or not is_narrow(layer) or element_bytes(x) > 1:
        return None
    if w.shape[0] < CHANNELS or not PRODUCTS <= w[0].size < 1 << 16:
        return None
    largest = max(int(np.abs(w).max()), 1)
    levels, reach = x.hi - x.lo + 1, I8[1] // largest
    if levels <= LEVELS and I8[0] <= x.lo and x.hi <= I8[1] and min(reach, w[0].size // levels) >= SHORTEST:
        return Scheme(x.lo, levels, reach)
    proof = conv_accumulator(layer)
    whole = proof.bits <= 16 and proof.flush == WHOLE_SUM
    reach = I16[1] // largest
    return None if whole or reach < max(-x.lo, x.hi) else Scheme(0, 0, reach)


def full_fields(layer: Layer, chosen: Scheme) -> Fields:
    """What ``hck_full`` has beside the convolution."""
    top = max(-layer.x.lo, layer.x.hi)
    return {"lo": chosen.lo, "levels": chosen.levels, "reach": f"{chosen.reach}u", "top": f"{top}u"}


def order_bytes(products: int) -> int:
    """HCK_FULL_ORDER."""
    return 16 * (256 + 512 + 1024) + (10 * products // 8 + 1) * 8


def full_layer(layer: Layer, name: str, to: Destination, chosen: Scheme) -> LayerCode:
    w, proof = weights_of(layer), conv_accumulator(layer)
    conv = {**conv_fields(layer, proof), "weights": f"{name}_weights", "zeros": "NULL"}
    inner = ", ".join(f".{key} = {value}" for key, value in conv.items())
    full_record = record("hck_full", "full", full_fields(layer, chosen))
    full_record.insert(1, f"    .conv = {{{inner}}},")
    map_, map_record, map_arrays = layer_map(layer, name)
    out, channels, kh, kw = w.shape
    scratch = order_bytes(w[0].size) + BLOCK * (8 * kh * kw + 4 * out)
    return LayerCode(
        function(
            layer,
            name,
            "const void *x, void *y, void *scratch",
            [*full_record, *map_record, f"hck_full_layer(&full, &map, x, y, {to.stride}, scratch);"],
            (*facts(layer, proof), f"with vectors: {chosen.note}", map_.note),
        ),
        (Constant(f"{name}_weights", pack_weights(w, 1, True)), *map_arrays),
        ("hck_full.c", *KERNELS),
        aligned(scratch),
        0,
        chosen.note,
        (scratch_check(name, f"HCK_FULL_SCRATCH({kh}, {kw}, {channels}, {out})", scratch),),
    )
