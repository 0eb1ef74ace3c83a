"""Convolutions, plain and gated, with the 2x2 max-pool and the map that follow them."""

from __future__ import annotations

from math import prod

import numpy as np

from cpu_backend.emit.base import (
    Destination,
    LayerCode,
    Rows,
    element_bytes,
    extents,
    function,
    layer_map,
    record,
)
from cpu_backend.emit.constants import Constant
from cpu_backend.halves import Halves, in_halves
from cpu_backend.layers import Layer
from cpu_backend.memory import aligned
from cpu_backend.ranges import (
    I8,
    I16,
    I32,
    U8,
    WHOLE_SUM,
    Accumulator,
    Products,
    accumulator,
    fits_int8,
    flush_period,
    in_bytes,
)
from cpu_backend.requantise import Requantisation, kernel_type, requantisation
from ir.memo import remembered
from ir.ops import Conv2d, GatedConv2d, MaxPool2d, MultiplyShift, OperatorError
from ir.types import Array

BLOCK = 8
"""HCK_BLOCK of hck.h: pixels per block of a convolution."""
WORTH_BYTES = 100
"""Outputs of a channel: with fewer, finding what fits 8 bits takes more than their sums save."""
KERNELS = (
    "hck_conv.c",
    "hck_conv_rvv.c",
    "hck_depthwise3_rvv.c",
    "hck_depthwise_rvv.c",
    "hck_few_rvv.c",
    "hck_requantise.c",
)


def conv(layer: Layer, name: str, to: Destination) -> LayerCode:
    w, x, proof = weights_of(layer), layer.x, conv_accumulator(layer)
    halves = None if to.word else depthwise_halves(layer)
    narrow = is_narrow(layer)
    kh, kw = w.shape[2:]
    packed = pack_weights(halves.weights if halves else w, _convolution(layer).groups, narrow)
    own = conv_fields(layer, proof)
    bytes_ = bytes_of(layer, halves) if prod(layer.first.type.shape[1:]) >= WORTH_BYTES else None
    fields = {
        **(own | {"fused": "HCK_WHOLE_SUMS"} if halves else own),
        "weights": f"{name}_weights" if narrow else "NULL",
        "zeros": "zeros",
        **kernel_field(layer),
        **({"bytes": f"{{{bytes_[0]}, {bytes_[1]}, {bytes_[2]}}}"} if bytes_ else {}),
    }
    map_, map_record, map_arrays = layer_map(layer, name, halves.map if halves else None)
    conv, part = Rows.of(layer).part("hck_conv", "conv")
    call = f"hck_conv2d({conv}, &map, x, y, {to.stride}, scratch);"
    if not narrow:
        call = f"hck_conv2d_wide({conv}, {name}_weights, &map, x, y, {to.stride}, scratch);"
    scratch = BLOCK * (8 * kh * kw + 4 * w.shape[0])
    return LayerCode(
        function(
            layer,
            name,
            f"const void *x, void *y, void *scratch{Rows.of(layer).parameters}",
            [*record("hck_conv", "conv", fields), *map_record, *part, call],
            (*facts(layer, proof), map_.note),
        ),
        (Constant(f"{name}_weights", packed), *map_arrays),
        KERNELS,
        aligned(scratch),
        kw * x.shape[0] * element_bytes(x),
        proof.note,
        (scratch_check(name, f"HCK_CONV_SCRATCH({kh}, {kw}, {w.shape[0]})", scratch),),
    )


def gated_conv(layer: Layer, name: str, to: Destination) -> LayerCode:
    w, x, proof = weights_of(layer), layer.x, conv_accumulator(layer)
    kh, kw = w.shape[2:]
    fields = {**conv_fields(layer, proof), "weights": f"{name}_weights", "zeros": "zeros"}
    fields |= kernel_field(layer)
    map_, map_record, map_arrays = layer_map(layer, name)
    conv, part = Rows.of(layer).part("hck_conv", "conv")
    call = f"hck_gated_conv2d({conv}, {kernel_type(x)}, {name}_threshold, &map, x, y, {to.stride}, scratch);"
    scratch = gated_scratch(layer)
    elements = operand_rows(layer) * x.shape[2] * x.shape[0]
    size = f"HCK_GATED_SCRATCH({elements}, {kh}, {kw}, {w.shape[0]})"
    return LayerCode(
        function(
            layer,
            name,
            f"const void *x, void *y, void *scratch{Rows.of(layer).parameters}",
            [*record("hck_conv", "conv", fields), *map_record, *part, call],
            (*facts(layer, proof), map_.note),
        ),
        (
            Constant(f"{name}_weights", pack_weights(w, _convolution(layer).groups, True)),
            Constant(f"{name}_threshold", gate_thresholds(layer)),
            *map_arrays,
        ),
        ("hck_gated.c", *KERNELS),
        aligned(scratch),
        kw * x.shape[0],
        proof.note,
        (scratch_check(name, size, scratch),),
    )


def operand_rows(layer: Layer) -> int:
    """The most rows of the operand that a call reads (hck_rows.h)."""
    reached = (Rows.of(layer).most * (2 if layer.find(MaxPool2d) else 1) - 1) * _convolution(layer).stride[0]
    return int(min(layer.x.shape[1], reached + weights_of(layer).shape[2]))


_accumulator, _flush_period, _fits_int8 = remembered(accumulator), remembered(flush_period), remembered(fits_int8)


def weights_of(layer: Layer) -> Array:
    return layer.first.operands[1].constant.astype(np.int64, copy=False)


def is_narrow(layer: Layer) -> bool:
    """Whether the vectorised kernels take the layer: 8-bit weights, elements of up to 16 bits."""
    return _fits_int8(layer.first.operands[1].constant) and kernel_type(layer.x) != "HCK_I32"


def conv_fields(layer: Layer, proof: Accumulator | None = None) -> dict[str, int | str]:
    """The fields of ``hck_conv`` but for the addresses, in the record's order; without a proof no flush periods."""
    op, w, sums = _convolution(layer), weights_of(layer), layer.first.type
    gated = isinstance(layer.first.op, GatedConv2d)
    return {
        "x_type": "HCK_I8" if gated else kernel_type(layer.x),
        **extents("in", (*layer.x.shape[1:], layer.x.shape[0])),
        **extents("out", (*sums.shape[1:], sums.shape[0])),
        **extents("kernel", w.shape[2:]),
        **extents("stride", op.stride),
        "pad_top": op.padding[0],
        "pad_left": op.padding[1],
        "groups": op.groups,
        "flush": f"{proof.flush}u" if proof and proof.bits <= 16 else 0,
        "flush8": proof.flush8 if proof else 0,
        "run16": f"{short_period(layer)}u" if proof else 0,
        "pool": 2 if layer.find(MaxPool2d) else 1,
        "fused": fused(layer, proof) if proof else "HCK_APART",
    }


def fused(layer: Layer, proof: Accumulator) -> str:
    """The ``hck_fused`` of a layer, with its own weights and map."""
    map_ = _narrow_map(layer)
    if map_ is None:
        return "HCK_APART"
    w, mul = weights_of(layer), map_.arrays["mul"]
    short = bool(I16[0] <= mul.min() and mul.max() <= I16[1])
    if short and proof.bits <= 16 and "least" not in map_.arrays:
        return "HCK_WHOLE_SUMS"
    pairs = short_period(layer) >= 2 if kernel_type(layer.x) == "HCK_I8" else w.min() > I8[0]
    whole = short and "least" not in map_.arrays
    return ("HCK_SHORT_PARTS" if whole else "HCK_PARTS") if pairs else "HCK_APART"


def kernel_field(layer: Layer) -> dict[str, int | str]:
    """The kernel of ``hck_conv`` where one was chosen."""
    return {"kernel": layer.choice.initialiser} if layer.choice else {}


def conv_accumulator(layer: Layer) -> Accumulator:
    """The proof for a layer that starts with a convolution; OperatorError above 32 bits."""
    view = layer.first
    x, w = view.operands[0].type, view.operands[1].constant
    gated = isinstance(view.op, GatedConv2d)
    if gated:
        # What is summed are -1 and +1, but the gate's result of up to three per product takes the place of the sums.
        proof = _accumulator(w, -3, 3)
        proof = in_bytes(proof, Products.of(w, -1, 1)) if proof.bits <= 16 else proof
    else:
        proof = _accumulator(w, x.lo, x.hi, 8 * x.dtype.container.itemsize)
    if proof.bits > 32:
        raise OperatorError(f"sums lie in {proof.lowest}..{proof.highest}, which leaves 32 bits")
    if is_depthwise(layer):  # too few products to flush any
        fits = proof.bits <= 16 and proof.flush == WHOLE_SUM
        return Accumulator(16 if fits else 32, WHOLE_SUM, proof.lowest, proof.highest)
    return proof


def map_to_bytes(layer: Layer) -> Requantisation | None:
    """The multiply-shift in 32-bit arithmetic at the layer's end, if there is one and its results have 8 bits."""
    map_ = layer.map
    if map_ is None or not isinstance(map_.op, MultiplyShift):
        return None
    requantised = requantisation(map_)
    lo, hi = int(requantised.fields["lo"]), int(requantised.fields["hi"])
    narrow = {"HCK_U8": lo >= 0 and hi <= 255, "HCK_I8": lo >= I8[0] and hi <= I8[1]}.get(kernel_type(layer.y), False)
    return requantised if narrow and "add" in requantised.arrays else None


def _narrow_map(layer: Layer) -> Requantisation | None:
    """The multiply-shift behind a depthwise convolution that hck_depthwise3_rvv.c has kernels for, else None."""
    op = layer.first.op
    if not isinstance(op, Conv2d) or not is_depthwise(layer) or not is_narrow(layer) or element_bytes(layer.x) > 1:
        return None
    if layer.find(MaxPool2d) or weights_of(layer).shape[2:] != (3, 3) or op.stride[1] > 2:
        return None
    return map_to_bytes(layer)


def depthwise_halves(layer: Layer) -> Halves | None:
    """The weights and the map with which hck_depthwise3_rvv.c requantises in 16 bits, where they are proven to give the
    same results; None for other layers."""
    map_ = _narrow_map(layer)
    return in_halves(weights_of(layer), layer.x.lo, layer.x.hi, map_) if map_ else None


def bytes_of(layer: Layer, halves: Halves | None) -> tuple[int, int, int] | None:
    """The fields of ``hck_bytes``; None where 8 bits hold no row of any channel."""
    least, most = min(layer.x.lo, 0), max(layer.x.hi, 0)
    room = min(U8[1] // max(most - least, 1), U8[1] - 1)
    if halves is None or most > I8[1] or np.abs(weights_of(layer)).sum(3).min() > room:
        return None
    return room, halves.scale, least + most


def short_period(layer: Layer) -> int:
    """How many products 16 bits hold where sums have 32: kernels that flush in registers use it; 0: not 8-bit."""
    if not is_narrow(layer) or element_bytes(layer.x) > 1:
        return 0
    gated = isinstance(layer.first.op, GatedConv2d)
    lo, hi = (-3, 3) if gated else (layer.x.lo, layer.x.hi)
    return _flush_period(layer.first.operands[1].constant, lo, hi)


def gate_thresholds(layer: Layer) -> Array:
    """(O,) int32; thresholds beyond the reach of the sums move just beside it, where they mean the same."""
    end = 2 * int(np.prod(weights_of(layer).shape[1:]))
    clipped = [min(max(int(t), -end - 1), end) for t in layer.first.operands[2].constant]
    return np.array(clipped, np.int32)


def gated_scratch(layer: Layer) -> int:
    """HCK_GATED_SCRATCH: pointers, sums of both planes, the planes."""
    w = weights_of(layer)
    elements = operand_rows(layer) * layer.x.shape[2] * layer.x.shape[0]
    return int(BLOCK * (8 * w.shape[2] * w.shape[3] + 8 * w.shape[0]) + 2 * elements)


def pack_weights(w: Array, groups: int, narrow: bool) -> Array:
    """(O, I/G, KH, KW) -> [G][KH][KW][I/G][O/G]: output channels are neighbours.

    As int8, depthwise ones as [KH][KW][C]; where not ``narrow``, as the int32 of the plain loops.
    """
    if narrow and groups > 1 and w.shape[1] == 1 and w.shape[0] == groups:
        return np.ascontiguousarray(w[:, 0].transpose(1, 2, 0)).astype(np.int8)
    if not narrow and (w.min() < I32[0] or w.max() > I32[1]):
        raise OperatorError(f"has weights in {w.min()}..{w.max()}, which leave 32 bits")
    split = w.reshape(groups, w.shape[0] // groups, *w.shape[1:])
    return np.ascontiguousarray(split.transpose(0, 3, 4, 2, 1)).astype(np.int8 if narrow else np.int32)


def _convolution(layer: Layer) -> Conv2d | GatedConv2d:
    op = layer.first.op
    assert isinstance(op, (Conv2d, GatedConv2d))
    return op


def is_depthwise(layer: Layer) -> bool:
    """One channel in and out per group: the channels are the lanes."""
    return _convolution(layer).groups == layer.x.shape[0] == layer.first.type.shape[0] > 1


def is_bipolar(layer: Layer) -> bool:
    """Whether what is convolved are elements, or planes, of -1 and +1."""
    return layer.x.dtype.kind == "bipolar" or isinstance(layer.first.op, GatedConv2d)


def facts(layer: Layer, proof: Accumulator) -> tuple[str, str]:
    op, w = _convolution(layer), weights_of(layer)
    return (
        f"weights {'x'.join(map(str, w.shape))} in {w.min()}..{w.max()}, stride {op.stride[0]}x{op.stride[1]}, "
        f"padding {','.join(map(str, op.padding))}" + (f", {op.groups} groups" if op.groups > 1 else ""),
        f"sums of {w[0].size} products lie in {proof.lowest}..{proof.highest}: {proof.note}",
    )


def scratch_check(name: str, size: str, planned: int) -> str:
    """C99 for a static assertion."""
    return f"/* {name}: no program without the scratch memory that the kernel needs */\n" + (
        f"typedef char {name}_scratch[{size} <= {planned} ? 1 : -1];"
    )
