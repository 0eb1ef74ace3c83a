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
from ir.types import Array

LEVELS = 16
"""HCK_LEVELS of hck_full.h."""
SHORTEST = 4
"""Weights added in 8 bits for one multiplication of their sum: fewer save nothing."""
PRODUCTS, CHANNELS = 64, 64
"""Fewer do not make up for putting the rows in order."""
FEW_BITS = (2, 4)
"""In which weights may be stored, as 2 or 8 more than they are."""
LINE, LARGEST_PAD = 64, 1 / 8
"""Bytes of a cache line, where rows begin unless that makes them longer by more than this share."""


@dataclass(frozen=True)
class Scheme:
    """``levels`` values of the elements from ``lo`` on, and how many weights of one fit 8 bits (``reach``); without
    levels ``reach`` is the sum of magnitudes that fits 16 bits times any weight. ``stride``: bytes from one row of
    weights to the next. ``bits``: of a stored weight."""

    lo: int
    levels: int
    reach: int
    stride: int
    bits: int = 8

    @property
    def note(self) -> str:
        if self.levels:
            return f"weights of equal elements summed in i8, {self.reach} at a time"
        stored = f", weights stored in {self.bits} bits" if self.bits < 8 else ""
        return f"i16 sums of elements up to {self.reach} together, into i32{stored}"


def full_scheme(layer: Layer) -> Scheme | None:
    """None where it is not one unpooled window of 8-bit elements without padding, or another kernel is as good."""
    if not _is_full(layer):
        return None
    w, x, streamed = weights_of(layer), layer.x, layer.form == "streamed"
    if streamed and (bits := stored_bits(w)) < 8:
        return Scheme(0, 0, I16[1] // ((1 << bits) - 1), stride_of(w), bits)
    if w.shape[0] < CHANNELS and not streamed:
        return None
    largest, stride = max(int(np.abs(w).max()), 1), stride_of(w) if streamed else w.shape[0]
    levels, reach = x.hi - x.lo + 1, I8[1] // largest
    if levels <= LEVELS and I8[0] <= x.lo and x.hi <= I8[1] and min(reach, w[0].size // levels) >= SHORTEST:
        return Scheme(x.lo, levels, reach, stride)
    proof = conv_accumulator(layer)
    whole = proof.bits <= 16 and proof.flush == WHOLE_SUM
    reach = I16[1] // largest
    return None if (whole and not streamed) or reach < max(-x.lo, x.hi) else Scheme(0, 0, reach, stride)


def streamed_bytes(layer: Layer) -> int:
    """What the weights of a fully connected layer take as bytes, one after another, where rows of fewer bits, or such
    that begin at lines, need fewer lines of memory; else 0."""
    if not isinstance(layer.first.op, Conv2d) or not _is_full(layer):
        return 0
    w = weights_of(layer)
    return w.size if w.shape[0] >= CHANNELS and stride_of(w) != w.shape[0] else 0


def stride_of(w: Array) -> int:
    """Bytes from row to row of streamed weights (O, I, KH, KW)."""
    row = int(-(-w.shape[0] * stored_bits(w) // 8))
    lines = -(-row // LINE) * LINE
    return lines if lines <= row * (1 + LARGEST_PAD) else row


def pack_rows(w: Array, chosen: Scheme) -> Array:
    """(O, I, KH, KW) -> [KH * KW * I][stride] of bytes, the lowest bits of which hold the first channels."""
    rows = pack_weights(w, 1, True).reshape(-1, w.shape[0])
    if chosen.bits < 8:
        fields = 8 // chosen.bits
        stored = (rows + (1 << chosen.bits - 1)).astype(np.uint8)
        parts = np.split(np.pad(stored, ((0, 0), (0, -w.shape[0] % fields))), fields, axis=1)
        rows = np.bitwise_or.reduce([part << chosen.bits * k for k, part in enumerate(parts)]).view(np.int8)
    return np.ascontiguousarray(np.pad(rows, ((0, 0), (0, chosen.stride - rows.shape[1]))))


def stored_bits(w: Array) -> int:
    """The fewest bits in which weights are stored where memory decides."""
    return next((bits for bits in FEW_BITS if -1 << bits - 1 <= w.min() and w.max() < 1 << bits - 1), 8)


def _is_full(layer: Layer) -> bool:
    """Whether it is one unpooled window of 8-bit elements and weights, without padding, of enough products; and 16 bits
    hold numbers and strides of rows."""
    op, x = layer.first.op, layer.x
    if not isinstance(op, Conv2d) or op.groups > 1 or any(op.padding) or layer.find(MaxPool2d):
        return False
    w = weights_of(layer)
    if w.shape[2:] != x.shape[1:] or not is_narrow(layer) or element_bytes(x) > 1:
        return False
    return bool(PRODUCTS <= w[0].size < 1 << 16 and w.shape[0] <= 1 << 15)


def full_fields(layer: Layer, chosen: Scheme) -> Fields:
    """What ``hck_full`` has beside the convolution."""
    top = max(-layer.x.lo, layer.x.hi)
    return {
        "lo": chosen.lo,
        "levels": chosen.levels,
        "reach": f"{chosen.reach}u",
        "top": f"{top}u",
        "stride": chosen.stride,
        "bits": chosen.bits,
    }


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
        (Constant(f"{name}_weights", pack_rows(w, chosen)), *map_arrays),
        ("hck_full.c", *KERNELS),
        aligned(scratch),
        0,
        chosen.note,
        (scratch_check(name, f"HCK_FULL_SCRATCH({kh}, {kw}, {channels}, {out})", scratch),),
    )
