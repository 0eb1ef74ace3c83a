"""Multiply-shift and thresholds, in the stage before or in one of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from hls.layers.requantise import Requantise, RequantiseStage, ScaleShift, Search
from hls.layers.stage import Stage, Wire
from hls.nodes.base import Rule, UnsupportedNodeError, output
from hls.packing import Geometry, signed_bits
from ir.engine import Configuration
from ir.graph import NodeView
from ir.ops import MultiplyShift, Op, Sign, Thresholds
from ir.passes.thresholds import thresholds_of

Style = Literal["search", "scale"]

SEARCHED_BITS = 5
"""Up to this width of the result a multiply-shift is replaced by a search among thresholds.

A level of the search costs a comparator and a ROM, and the ROMs double from level to level. At 20 bits and 16 channels
a lane (`hls.resources`): 180 LUTs for 4 bits, 280 for 5, then block memories, six for 8. A multiply-shift takes 1 or 2
DSPs, each of which could do several packed multiplications.
"""


def styles(view: NodeView) -> tuple[Style, ...]:
    """The ways to build a requantisation, the preferred one first. Thresholds can only be searched."""
    if isinstance(view.op, Thresholds | Sign):
        return ("search",)
    levels = view.type.hi - view.type.lo + 1
    return ("search", "scale") if levels <= 1 << SEARCHED_BITS else ("scale", "search")


def requantisation(view: NodeView, dsp: Geometry, style: Style | None = None) -> Requantise:
    """The rule of a MultiplyShift or Thresholds node, in the given style or the preferred one."""
    build = _BUILDERS.get((type(view.op), style or styles(view)[0]))
    if build is None:
        raise UnsupportedNodeError(f"{type(view.op).__name__} is no requantisation that can be built as {style}")
    return build(view, dsp)


def _scaled(view: NodeView, dsp: Geometry) -> Requantise:
    op, (x, *constants) = view.op, view.operands
    assert isinstance(op, MultiplyShift)
    mul, add = (operand.constant.astype(np.int64) for operand in constants)
    low, high = op.product_range(x.type, mul, add)
    half = 1 << (op.shift - 1)
    bits = signed_bits(min((low + half) >> op.shift, op.lo), max((high + half) >> op.shift, op.hi))
    return ScaleShift(mul, add + half, op.shift, op.lo, op.hi, bits, dsp)


def _scale_searched(view: NodeView, dsp: Geometry) -> Requantise:
    op, (x, mul, add) = view.op, view.operands
    assert isinstance(op, MultiplyShift)
    reached = replace(op, lo=view.type.lo, hi=view.type.hi)
    table, rising = thresholds_of(reached, x.type, mul.constant, add.constant)
    return Search.of(table, rising, reached.lo, x.type.lo, x.type.hi)


def _searched(view: NodeView, dsp: Geometry) -> Requantise:
    op, (x, *constants) = view.op, view.operands
    assert isinstance(op, Thresholds)
    table, rising = (operand.constant.astype(np.int64) for operand in constants)
    return Search.of(table, rising, op.offset, x.type.lo, x.type.hi)


def _signs(view: NodeView, dsp: Geometry) -> Requantise:
    """One threshold: the number of those reached, 0 or 1, is the lane of -1 or +1."""
    x, threshold, rising = view.operands
    table = threshold.constant.astype(np.int64)[:, None]
    return Search.of(table, rising.constant.astype(np.int64), 0, x.type.lo, x.type.hi)


_BUILDERS: Mapping[tuple[type[Op], Style], Callable[[NodeView, Geometry], Requantise]] = {
    (MultiplyShift, "scale"): _scaled,
    (MultiplyShift, "search"): _scale_searched,
    (Sign, "search"): _signs,
    (Thresholds, "search"): _searched,
}


class RequantiseRule(Rule):
    bipolar = True

    def note(self, view: NodeView, dsp: Geometry) -> str:
        return "requantisation stage"

    def stages(
        self, view: NodeView, sources: Sequence[Wire], configuration: Configuration, dsp: Geometry
    ) -> Sequence[Stage]:
        return [RequantiseStage(view.name, (sources[0],), output(view, sources), requantisation(view, dsp))]
