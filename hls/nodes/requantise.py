"""Multiply-shift and thresholds, in the stage before or in one of their own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hls.layers.requantise import Compare, Requantise, RequantiseStage, ScaleShift
from hls.layers.stage import Stage, Wire
from hls.nodes.base import Rule, UnsupportedNodeError, output
from hls.packing import Geometry, signed_bits
from ir.engine import Configuration
from ir.graph import NodeView
from ir.ops import MultiplyShift, Thresholds


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


class RequantiseRule(Rule):
    def note(self, view: NodeView, dsp: Geometry) -> str:
        return "requantisation stage"

    def stages(
        self, view: NodeView, sources: Sequence[Wire], configuration: Configuration, dsp: Geometry
    ) -> Sequence[Stage]:
        return [RequantiseStage(view.name, (sources[0],), output(view, sources), requantisation(view))]
