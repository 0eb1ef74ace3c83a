"""Convolutions of cores without vectors: weights packed for the kernels of hck_scalar.h."""

from __future__ import annotations

from typing import cast

import numpy as np

from cpu_backend.emit import convolution
from cpu_backend.emit.base import (
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
from cpu_backend.emit.full import full_layer, full_scheme
from cpu_backend.layers import Layer
from cpu_backend.memory import aligned
from cpu_backend.requantise import kernel_type
from cpu_backend.scalar import UNROLLED, Scheme, scheme
from ir.ops import Conv2d, GatedConv2d, MaxPool2d
from ir.types import Array

WORDS = 4
"""Words of a register block: WORDS of hck_swar.inc."""
XNOR_PART = 28
"""HCK_XNOR_PART: words of a filter that are counted together."""
XNOR_BLOCK = 16
"""HCK_XNOR_BLOCK: pixels."""


def conv(layer: Layer, name: str, to: Destination) -> LayerCode:
    """With the scheme for the core's words, where there is one; otherwise with the kernels for every machine."""
    chosen = conv_scheme(layer, to.word)
    if chosen is None:
        full = None if to.word else full_scheme(layer)
        return full_layer(layer, name, to, full) if full else convolution.conv(layer, name, to)
    return (_xnor if chosen.kind == "xnor" else _tiles)(layer, name, to, chosen)


def conv_scheme(layer: Layer, word: int) -> Scheme | None:
    """None for a machine with vectors (``word`` 0), and for what only the kernels for every machine take."""
    op = layer.first.op
    if not word or not isinstance(op, Conv2d) or op.groups != 1:
        return None
    convolution.conv_accumulator(layer)  # refuses sums beyond 32 bits
    return scheme(convolution.weights_of(layer), layer.x, word)


def tile_of(layer: Layer, chosen: Scheme) -> tuple[str, int]:
    """The tile kernel and its pixels: as many as the result has, up to 8."""
    pool = 2 if layer.find(MaxPool2d) else 1
    pixels = Rows.of(layer).most * (layer.first.type.shape[2] // pool) * pool * pool
    mr = 1 if pixels == 1 else 4 if pixels <= 4 else 8
    type_ = kernel_type(layer.x).removeprefix("HCK_").lower()
    if chosen.kind == "block":
        return f"hck_block_{type_}_{mr}", mr
    return f"hck_swar{chosen.word}_{type_}_{chosen.bits}_{mr}", mr


def pack_tiles(w: Array, chosen: Scheme) -> Array:
    """(O, I, KH, KW) -> blocks of four channels (int8), or of four words and then words one by one.

    Within each: [KH][KW][I], then zeros.
    """
    flat = w.transpose(2, 3, 1, 0).reshape(-1, w.shape[0]).astype(np.int64)  # (products, O)
    lanes = chosen.lanes
    flat = np.pad(flat, ((0, -flat.shape[0] % UNROLLED), (0, -w.shape[0] % lanes)))
    if chosen.kind == "block":
        return np.concatenate([flat[:, k : k + lanes].ravel() for k in range(0, flat.shape[1], lanes)]).astype(np.int8)
    dtype = np.dtype(f"uint{chosen.word}")
    fields = flat.reshape(flat.shape[0], -1, lanes).astype(dtype)  # modulo the word, as the kernels compute
    words = (fields << (np.arange(lanes, dtype=dtype) * dtype.type(chosen.bits))).sum(2, dtype=dtype)
    full = words.shape[1] // WORDS * WORDS
    blocks = [words[:, k : k + WORDS] for k in range(0, full, WORDS)]
    blocks += [words[:, k : k + 1] for k in range(full, words.shape[1])]
    return np.concatenate([block.ravel() for block in blocks])


def pack_bits(w: Array, word: int) -> Array:
    """(O, I, KH, KW) of -1 and +1 -> [O / 2][KH x KW x words, made even][2] words, as hck_xnor's `weights`."""
    words = bit_words(w, word).reshape(w.shape[0], -1)
    words = np.pad(words, ((0, words.shape[0] % 2), (0, words.shape[1] % 2)))
    for at in range(0, words.shape[1], XNOR_PART):
        part = words[:, at : at + XNOR_PART]
        before = np.bitwise_xor.accumulate(part, axis=1)[:, 1:-1:2]
        part[:, 2:] ^= np.repeat(before, 2, axis=1)
    return np.ascontiguousarray(words.reshape(-1, 2, words.shape[1]).transpose(0, 2, 1))


def bit_words(w: Array, word: int) -> Array:
    """(O, I, KH, KW) of -1 and +1 -> (O, KH, KW, words) of ``word`` bits, input channels from bit 0 on, then zeros."""
    bits = (w.transpose(0, 2, 3, 1) > 0).astype(f"uint{word}")
    bits = np.pad(bits, ((0, 0), (0, 0), (0, 0), (0, -bits.shape[3] % word)))
    split = bits.reshape(*bits.shape[:3], -1, word)
    return np.asarray((split << np.arange(word, dtype=split.dtype)).sum(4, dtype=split.dtype))


def bit_sums(layer: Layer) -> tuple[int, Array, Array | None]:
    """``shift``, ``base`` and ``beside`` of hck_xnor, int32."""
    w = convolution.weights_of(layer)
    if not convolution.is_bipolar(layer):
        return 0, (w > 0).sum((1, 2, 3)).astype(np.int32), None
    padded = any(cast("Conv2d | GatedConv2d", layer.first.op).padding)
    beside = np.ascontiguousarray(w.sum(1).transpose(1, 2, 0)).reshape(-1, w.shape[0]).astype(np.int32)
    return 1, np.full(w.shape[0], w[0].size, np.int32), beside if padded else None


def _tiles(layer: Layer, name: str, to: Destination, chosen: Scheme) -> LayerCode:
    w, (tile, mr) = convolution.weights_of(layer), tile_of(layer, chosen)
    fields: Fields = {
        **convolution.conv_fields(layer),
        "flush": f"{chosen.flush}u",
        "weights": f"(const int8_t *)(const void *){name}_weights",
        "zeros": "zeros",
    }
    packed = pack_tiles(w, chosen)
    if chosen.kind == "block":
        weights = Constant(f"{name}_weights", packed)
    else:
        note = f"{w.shape[0]} channels by {w[0].size} products, {chosen.lanes} channels of {chosen.bits} bits a word"
        weights = Constant(f"{name}_weights", packed, note)
    map_, map_record, map_arrays = layer_map(layer, name)
    conv, part = Rows.of(layer).part("hck_conv", "conv")
    body = [
        *record("hck_conv", "conv", fields),
        *map_record,
        f"static const hck_tile tile = {{{tile}, {mr}, HCK_I32}};",
        *part,
        f"hck_conv2d_tile({conv}, &tile, &map, x, y, {to.stride}, scratch);",
    ]
    scratch = tile_scratch(layer)
    sizes = (element_bytes(layer.x), *w.shape[2:], w.shape[1], w.shape[0])
    size = f"HCK_SCALAR_SCRATCH({', '.join(f'{n}u' for n in sizes)})"
    kernel = "hck_block.c" if chosen.kind == "block" else f"hck_swar{chosen.word}.c"
    return LayerCode(
        function(layer, name, _parameters(layer), body, (*_facts(layer, chosen), map_.note)),
        (weights, *map_arrays),
        (kernel, *convolution.KERNELS),
        aligned(scratch),
        w.shape[3] * w.shape[1] * element_bytes(layer.x),
        chosen.note,
        (convolution.scratch_check(name, size, scratch),),
    )


def _xnor(layer: Layer, name: str, to: Destination, chosen: Scheme) -> LayerCode:
    w = convolution.weights_of(layer)
    shift, base, beside = bit_sums(layer)
    conv_record = record(
        "hck_xnor",
        "bits",
        {
            "weights": f"{name}_weights",
            "base": f"{name}_base",
            "beside": f"{name}_beside" if beside is not None else "NULL",
            "shift": shift,
        },
    )
    inner = ", ".join(f".{key} = {value}" for key, value in convolution.conv_fields(layer).items())
    conv_record.insert(1, f"    .conv = {{{inner}}},")
    map_, map_record, map_arrays = layer_map(layer, name)
    split = Rows.of(layer).split
    part = ["hck_xnor part = bits;", "x = hck_conv_rows(&part.conv, x, first, rows);"] if split else []
    call = f"hck_conv2d_xnor{chosen.word}(&{'part' if split else 'bits'}, &map, x, y, {to.stride}, scratch);"
    sizes = (convolution.operand_rows(layer), layer.x.shape[2], layer.x.shape[0], *w.shape[2:], w.shape[0])
    scratch = xnor_scratch(layer, chosen.word)
    check = f"HCK_XNOR_SCRATCH({chosen.word}u, {', '.join(f'{size}u' for size in sizes)})"
    arrays = [
        Constant(f"{name}_weights", pack_bits(w, chosen.word), f"{w.shape[0]} channels, a bit a weight"),
        Constant(f"{name}_base", base),
        *([Constant(f"{name}_beside", beside)] if beside is not None else []),
        *map_arrays,
    ]
    return LayerCode(
        function(
            layer,
            name,
            _parameters(layer),
            [*conv_record, *map_record, *part, call],
            (*_facts(layer, chosen), map_.note),
        ),
        tuple(arrays),
        (f"hck_xnor{chosen.word}.c", *convolution.KERNELS),
        aligned(scratch),
        0,
        chosen.note,
        (convolution.scratch_check(name, check, scratch),),
    )


def _parameters(layer: Layer) -> str:
    return f"const void *x, void *y, void *scratch{Rows.of(layer).parameters}"


def _facts(layer: Layer, chosen: Scheme) -> tuple[str, str]:
    proof = convolution.conv_accumulator(layer)
    weights, _ = convolution.facts(layer, proof)
    return weights, f"sums lie in {proof.lowest}..{proof.highest}: {chosen.note}"


def tile_scratch(layer: Layer) -> int:
    """HCK_SCALAR_SCRATCH: pointers, sums and copied windows of a block."""
    out, channels, kh, kw = convolution.weights_of(layer).shape
    aligned_products = -(-kh * kw * channels // UNROLLED) * UNROLLED
    return int(convolution.BLOCK * (8 * kh * kw + 4 * out + aligned_products * element_bytes(layer.x)))


def xnor_scratch(layer: Layer, word: int) -> int:
    """HCK_XNOR_SCRATCH: pointers and sums of a block; the picture and a block's windows in bits."""
    out, channels, kh, kw = convolution.weights_of(layer).shape
    h, w = convolution.operand_rows(layer), layer.x.shape[2]
    block = XNOR_BLOCK
    words = -(-channels // word)
    filter_words = -(-kh * kw * words // 2) * 2
    return int((h * w * words + block * filter_words) * (word // 8) + block * (8 * kh * kw + 4 * out))
