"""What the accelerator can do with each operator: a table from operator to objection, foldings and stages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from hls.layers.channel_conv import ChannelConv
from hls.layers.filter_conv import FilterConv
from hls.layers.movement import BlockToDepth, Join, Pad, PadPair, Unpair
from hls.layers.pooling import MaxPool
from hls.layers.requantise import Compare, Keep, Requantise, RequantiseStage, ScaleShift
from hls.layers.stage import WORD_BITS, Stage, Wire
from hls.packing import Geometry, Packing, PackingError, Range, channel_packing, filter_packing, signed_bits
from ir.graph import NodeView
from ir.ops import Concat, Conv2d, MaxPool2d, MultiplyShift, Op, SpaceToDepth, Thresholds
from ir.types import TensorType


class UnsupportedNodeError(ValueError):
    """An operator, or an attribute of one, for which there is no generator; the message is the reason shown."""


@dataclass(frozen=True)
class Folding:
    """``simd`` input lanes and ``pe`` output lanes of a convolution; other stages take their source's lanes."""

    simd: int
    pe: int


def raster(name: str, type_: TensorType, lanes: int) -> Wire:
    """The raster wire of a tensor (C, H, W) with ``lanes`` channels in a word."""
    channels, rows, columns = type_.shape
    return Wire(name, rows, columns, channels // lanes, lanes, type_.dtype.bits, type_.dtype.signed)


def lane_counts(channels: int, bits: int, limit: int = WORD_BITS) -> list[int]:
    """The divisors of ``channels`` that fit a word, ascending."""
    return [n for n in range(1, channels + 1) if channels % n == 0 and n * bits <= limit]


def requantisation(view: NodeView) -> Requantise:
    """The rule of a MultiplyShift or Thresholds node."""
    op, operands = view.op, view.operands
    x = operands[0].type
    if isinstance(op, MultiplyShift):
        mul, add = (operand.constant.astype(np.int64) for operand in operands[1:])
        low, high = op.product_range(x, mul, add)
        half = 1 << (op.shift - 1)
        bits = signed_bits(min((low + half) >> op.shift, op.lo), max((high + half) >> op.shift, op.hi))
        return ScaleShift(mul, add + half, op.shift, op.lo, op.hi, bits)
    if isinstance(op, Thresholds):
        return Compare(operands[1].constant.astype(np.int64), operands[2].constant.astype(np.int64), op.offset)
    raise UnsupportedNodeError(f"{type(op).__name__} is no requantisation")


def fused_user(view: NodeView) -> NodeView | None:
    """The requantisation that a convolution does in its own stage."""
    user = view.sole_user
    return user if user and isinstance(user.op, MultiplyShift | Thresholds) else None


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


def conv_stages(view: NodeView, source: Wire, folding: Folding, dsp: Geometry, user: NodeView | None) -> list[Stage]:
    """Padding, convolution with its requantisation ``user``, and unpairing, from a raster wire of ``simd`` lanes."""
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


def _object_to_pooling(view: NodeView, dsp: Geometry) -> None:
    op = view.op
    assert isinstance(op, MaxPool2d)
    if op.kernel != op.stride or op.kernel[0] != op.kernel[1]:
        raise UnsupportedNodeError(
            f"pooling {op.kernel} at stride {op.stride} has no generator yet (allowed: k x k at stride k)"
        )


def _object_to_nothing(view: NodeView, dsp: Geometry) -> None:
    pass


def _pool_stages(view: NodeView, sources: Sequence[Wire]) -> Stage:
    assert isinstance(view.op, MaxPool2d)
    target = raster(f"{view.name}_out", view.type, sources[0].lanes)
    return MaxPool(view.name, (sources[0],), (target,), view.op.kernel[0])


def _block_stage(view: NodeView, sources: Sequence[Wire]) -> Stage:
    assert isinstance(view.op, SpaceToDepth)
    target = raster(f"{view.name}_out", view.type, sources[0].lanes)
    return BlockToDepth(view.name, (sources[0],), (target,), view.op.block)


def _join_stage(view: NodeView, sources: Sequence[Wire]) -> Stage:
    return Join(view.name, tuple(sources), (raster(f"{view.name}_out", view.type, sources[0].lanes),))


def _requantise_stage(view: NodeView, sources: Sequence[Wire]) -> Stage:
    target = raster(f"{view.name}_out", view.type, sources[0].lanes)
    return RequantiseStage(view.name, (sources[0],), (target,), requantisation(view))


OBJECTIONS: Mapping[type[Op], Callable[[NodeView, Geometry], None]] = {
    Concat: _object_to_nothing,
    Conv2d: _object_to_convolution,
    MaxPool2d: _object_to_pooling,
    MultiplyShift: _object_to_nothing,
    SpaceToDepth: _object_to_nothing,
    Thresholds: _object_to_nothing,
}
"""Raise UnsupportedNodeError where there is no generator for the node."""

SIMPLE_STAGES: Mapping[type[Op], Callable[[NodeView, Sequence[Wire]], Stage]] = {
    Concat: _join_stage,
    MaxPool2d: _pool_stages,
    MultiplyShift: _requantise_stage,
    SpaceToDepth: _block_stage,
    Thresholds: _requantise_stage,
}
"""Operators that are one stage on sources of equal lanes."""
