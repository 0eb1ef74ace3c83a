"""Convolutions of bits on vectors that count bits (Zvbb), with the 2x2 max-pool and the map that follow them."""

from __future__ import annotations

from typing import cast

import numpy as np

from cpu_backend.emit.base import Destination, Fields, LayerCode, Rows, function, layer_map, record
from cpu_backend.emit.constants import Constant
from cpu_backend.emit.convolution import (
    BLOCK,
    KERNELS,
    conv_accumulator,
    conv_fields,
    facts,
    gate_thresholds,
    is_bipolar,
    is_narrow,
    scratch_check,
    weights_of,
)
from cpu_backend.emit.scalar import bit_sums, bit_words
from cpu_backend.layers import Layer
from cpu_backend.memory import aligned
from cpu_backend.ranges import I16
from cpu_backend.requantise import kernel_type
from ir.ops import Conv2d, GatedConv2d, MaxPool2d
from ir.types import Array

WORD = 16
"""Input channels of an element."""
MOST_PLANES = 2
"""Of an activation's bits: with more, sums of 8 bits take no more beats."""


def bit_planes(layer: Layer) -> int:
    """The bits of an activation where the kernel of bits takes the layer, else 0.

    It takes ungrouped convolutions with weights of -1 and +1 by bipolar or unsigned elements of one or two bits, and
    gated ones of levels in bytes, whose sums fit 16 bits.
    """
    op, x = layer.first.op, layer.x
    if (
        not isinstance(op, (Conv2d, GatedConv2d))
        or op.groups != 1
        or not is_narrow(layer)
        or (np.abs(weights_of(layer)) != 1).any()
    ):
        return 0
    proof = conv_accumulator(layer)
    if proof.lowest < I16[0] or proof.highest > I16[1]:
        return 0
    if x.dtype.kind == "bipolar":
        return 1
    planes = max(x.hi.bit_length(), 1)
    return planes if kernel_type(x) == "HCK_U8" and planes <= MOST_PLANES else 0


def words_of(layer: Layer) -> int:
    """HCK_BITS_WORDS: elements of 16 channels in a pixel."""
    return -(-layer.x.shape[0] // WORD)


def extent(layer: Layer) -> tuple[int, int]:
    """HCK_BITS_EXTENT: rows and columns of the padded planes that a call needs."""
    kernel, stride = weights_of(layer).shape[2:], cast("Conv2d | GatedConv2d", layer.first.op).stride
    out = (Rows.of(layer).most * (2 if layer.find(MaxPool2d) else 1), layer.first.type.shape[2])
    height, width = ((out[k] - 1) * stride[k] + kernel[k] for k in (0, 1))
    return height, width


def pack_weight_bits(w: Array) -> Array:
    """(O, I, KH, KW) of -1 and +1 -> (KH, KW, words, O) uint16."""
    return np.ascontiguousarray(bit_words(w, WORD).transpose(1, 2, 3, 0))


def bit_arrays(layer: Layer) -> tuple[int, Array, Array | None]:
    """``shift``, ``base`` and, where bipolar windows leave the picture, ``beside`` of hck_bits, int16."""
    shift, base, beside = bit_sums(layer)
    if not is_bipolar(layer):
        base *= (1 << bit_planes(layer)) - 1
    return shift, base.astype(np.int16), None if beside is None else beside.astype(np.int16)


def bit_conv_fields(layer: Layer) -> dict[str, int | str]:
    """The convolution's record; of a gated one's levels as they come, not of the planes."""
    return {**conv_fields(layer), "x_type": kernel_type(layer.x)}


def bit_scratch(layer: Layer) -> int:
    """HCK_BITS_SCRATCH or HCK_GATED_BITS_SCRATCH."""
    rows, columns = extent(layer)
    words = bit_planes(layer) * rows * columns * words_of(layer)
    sums = BLOCK * weights_of(layer).shape[0] * (2 if isinstance(layer.first.op, GatedConv2d) else 1)
    return int(2 * (words + sums))


def bits_conv(layer: Layer, name: str, to: Destination) -> LayerCode:
    w, planes, (shift, base, beside) = weights_of(layer), bit_planes(layer), bit_arrays(layer)
    gated = isinstance(layer.first.op, GatedConv2d)
    fields: Fields = {
        "weights": f"{name}_weights",
        "base": f"{name}_base",
        "beside": f"{name}_beside" if beside is not None else "NULL",
        "planes": planes,
        "shift": shift,
    }
    lines = record("hck_bits", "bits", fields)
    inner = ", ".join(f".{key} = {value}" for key, value in bit_conv_fields(layer).items())
    lines.insert(1, f"    .conv = {{{inner}}},")
    map_, map_record, map_arrays = layer_map(layer, name)
    rows = Rows.of(layer)
    part = ["hck_bits part = bits;", "x = hck_conv_rows(&part.conv, x, first, rows);"] if rows.split else []
    address = "&part" if rows.split else "&bits"
    scratch = bit_scratch(layer)
    sizes = ", ".join(f"{n}u" for n in (*extent(layer), w.shape[1], w.shape[0]))
    size = f"HCK_GATED_BITS_SCRATCH({sizes})" if gated else f"HCK_BITS_SCRATCH({planes}u, {sizes})"
    call = f"hck_gated_conv2d_bits({address}, {name}_threshold" if gated else f"hck_conv2d_bits({address}"
    proof = conv_accumulator(layer)
    note = f"bits, {WORD} products an element, i16 sums{', two planes' if planes == 2 else ''}"
    arrays = [
        Constant(f"{name}_weights", pack_weight_bits(w), f"{w.shape[0]} channels, a bit a weight"),
        Constant(f"{name}_base", base),
        *([Constant(f"{name}_beside", beside)] if beside is not None else []),
        *([Constant(f"{name}_threshold", gate_thresholds(layer))] if gated else []),
        *map_arrays,
    ]
    return LayerCode(
        function(
            layer,
            name,
            f"const void *x, void *y, void *scratch{rows.parameters}",
            [*lines, *map_record, *part, f"{call}, &map, x, y, {to.stride}, scratch);"],
            (facts(layer, proof)[0], f"sums lie in {proof.lowest}..{proof.highest}: {note}", map_.note),
        ),
        tuple(arrays),
        ("hck_bits.c", "hck_bits_rvv.c", "hck_gated.c", *KERNELS),
        aligned(scratch),
        0,
        note,
        (scratch_check(name, size, scratch),),
    )
