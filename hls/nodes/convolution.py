"""Convolution: which packing, which foldings, which stages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from hls.layers.channel_conv import ChannelConv
from hls.layers.filter_conv import FilterConv
from hls.layers.movement import Pad, PadPair, Unpair
from hls.layers.requantise import Keep
from hls.layers.stage import WORD_BITS, Stage, Wire
from hls.nodes.base import Rule, UnsupportedNodeError, fused_user, lane_counts, raster
from hls.nodes.requantise import requantisation
from hls.packing import Geometry, Packing, PackingError, Range, channel_packing, filter_packing, signed_bits
from ir.engine import Configuration
from ir.graph import NodeView
from ir.ops import Conv2d


@dataclass(frozen=True)
class Folding:
    """``simd`` input lanes and ``pe`` output lanes of a convolution; other stages take their source's lanes."""

    simd: int
    pe: int


def convolution_packing(view: NodeView, dsp: Geometry) -> Packing:
    """The densest packing for a convolution with its true ranges; PackingError if nothing fits."""
    x, w = view.operands[0].type, view.operands[1]
    kernel, weight = int(w.type.shape[2]), Range(w.type.lo, w.type.hi)
    activation = Range(min(x.lo, 0), max(x.hi, 0))
    by_filter = None
    if kernel % 2 and kernel >= 3 and 2 * x.dtype.bits <= WORD_BITS:
        by_filter = filter_packing(weight, activation, kernel, dsp)
    by_channel = channel_packing(weight, activation, dsp, kernel * int(w.type.shape[1]))
    if by_channel.weights > 1 and int(w.type.shape[0]) % by_channel.weights:
        by_channel = channel_packing(weight, activation, dsp, 1, channels=1)
    return by_filter if by_filter and by_filter.multiplies > by_channel.multiplies else by_channel


def accumulator_bits(view: NodeView) -> int:
    """Signed width of every partial sum of a convolution: the terms may come in any order."""
    x = view.operands[0].type
    weights = view.operands[1].constant.astype(np.int64).reshape(view.type.shape[0], -1)
    low, high = min(x.lo, 0), max(x.hi, 0)
    positive, negative = np.where(weights > 0, weights, 0).sum(1), np.where(weights < 0, weights, 0).sum(1)
    return signed_bits(int((positive * low + negative * high).min()), int((positive * high + negative * low).max()))


def conv_foldings(view: NodeView, dsp: Geometry) -> Iterator[Folding]:
    """All foldings whose words fit: every pair of divisors of the channel counts."""
    packing, x, out = convolution_packing(view, dsp), view.operands[0].type, (fused_user(view) or view).type
    pixels = 2 if packing.scheme == "filter" else 1
    step = packing.weights if packing.scheme == "channel" else 1
    simds = lane_counts(x.shape[0], x.dtype.bits * pixels)
    pes = [n for n in lane_counts(view.type.shape[0], out.dtype.bits * pixels) if n % step == 0]
    yield from (Folding(simd, pe) for simd, pe in product(simds, pes))


def conv_stages(view: NodeView, source: Wire, folding: Folding, dsp: Geometry) -> list[Stage]:
    """Padding, convolution with its requantisation, and unpairing, from a raster wire of ``simd`` lanes."""
    user = fused_user(view)
    op, out = view.op, (user or view).type
    assert isinstance(op, Conv2d)
    packing = convolution_packing(view, dsp)
    weights = view.operands[1].constant.astype(np.int64)
    top, left, bottom, right = op.padding
    kernel = weights.shape[2]
    rows, columns = source.rows + top + bottom, source.columns + left + right
    rule = requantisation(user) if user else Keep()
    target = raster(f"{view.name}_out", out, folding.pe)
    sizes = (weights, packing, folding.simd, folding.pe, accumulator_bits(view), rule)
    if packing.scheme == "filter":
        half = (kernel - 1) // 2
        pairs = replace(source, name=f"{view.name}_pairs", rows=rows, columns=-(-columns // 2), pixels=2)
        results = replace(target, name=f"{view.name}_results", columns=pairs.columns - half, pixels=2)
        return [
            PadPair(f"{view.name}_pad", (source,), (pairs,), top, left),
            FilterConv(view.name, (pairs,), (results,), *sizes),
            Unpair(f"{view.name}_unpair", (results,), (target,)),
        ]
    if not any(op.padding):
        return [ChannelConv(view.name, (source,), (target,), *sizes)]
    padded = replace(source, name=f"{view.name}_padded", rows=rows, columns=columns)
    return [
        Pad(f"{view.name}_pad", (source,), (padded,), top, left),
        ChannelConv(view.name, (padded,), (target,), *sizes),
    ]


def _object_to_convolution(view: NodeView, dsp: Geometry) -> None:
    op = view.op
    assert isinstance(op, Conv2d)
    kh, kw = view.operands[1].type.shape[2:]
    if op.stride != (1, 1):
        raise UnsupportedNodeError(f"stride {op.stride[0]}x{op.stride[1]} has no generator yet (allowed: 1x1)")
    if op.groups != 1:
        raise UnsupportedNodeError(f"{op.groups} groups have no generator yet (allowed: 1)")
    if kh != kw:
        raise UnsupportedNodeError(f"kernel {kh}x{kw} has no generator yet (allowed: square)")
    try:
        if next(conv_foldings(view, dsp), None) is None:
            raise UnsupportedNodeError("no folding fits a 64-bit stream word")
    except PackingError as error:
        raise UnsupportedNodeError(str(error)) from None


class ConvRule(Rule):
    def object(self, view: NodeView, dsp: Geometry) -> None:
        _object_to_convolution(view, dsp)

    def note(self, view: NodeView, dsp: Geometry) -> str:
        packing = convolution_packing(view, dsp)
        widths = f"W{view.operands[1].type.dtype.bits}A{view.operands[0].type.dtype.bits}"
        if packing.multiplies == 1:
            return f"conv {widths}, 1 MAC/DSP: not packed"
        return f"packed conv {widths}, {packing.multiplies} MAC/DSP"

    def absorbs(self, view: NodeView) -> NodeView | None:
        return fused_user(view)

    def configurations(self, view: NodeView, dsp: Geometry) -> Iterable[Configuration]:
        return ({"simd": f.simd, "pe": f.pe} for f in conv_foldings(view, dsp))

    def lanes(self, view: NodeView, configuration: Configuration, available: Sequence[int]) -> int:
        return int(configuration["simd"])

    def stages(
        self, view: NodeView, sources: Sequence[Wire], configuration: Configuration, dsp: Geometry
    ) -> Sequence[Stage]:
        folding = Folding(int(configuration["simd"]), int(configuration["pe"]))
        return conv_stages(view, sources[0], _fitting(view, folding, dsp), dsp)


def _fitting(view: NodeView, folding: Folding, dsp: Geometry) -> Folding:
    """The folding, with fewer output lanes where accumulators leave the region unrequantised and are wider."""
    options = list(conv_foldings(view, dsp))
    if folding in options:
        return folding
    return max((f for f in options if f.simd == folding.simd and f.pe <= folding.pe), key=lambda f: f.pe)
