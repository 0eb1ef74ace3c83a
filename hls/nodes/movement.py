"""Operators that only move values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from math import gcd

from hls.layers.blocks import BlockToDepth, DepthToBlock, Repeat
from hls.layers.movement import Join
from hls.layers.regroup import Deal
from hls.layers.stage import Stage, Wire
from hls.nodes.base import Rule, UnsupportedNodeError, lane_counts, output, raster, up_to
from hls.packing import Geometry
from ir.engine import Configuration
from ir.graph import NodeView
from ir.ops import DepthToSpace, Pad, SpaceToDepth, Upsample


class ConcatRule(Rule):
    bipolar = True

    def stages(
        self, view: NodeView, sources: Sequence[Wire], configuration: Configuration, dsp: Geometry
    ) -> Sequence[Stage]:
        return [Join(view.name, tuple(sources), output(view, sources))]


class PadRule(Rule):
    """Channels of zeros, as shortcuts without weights have them; zeros around a picture are the convolution's."""

    def object(self, view: NodeView, dsp: Geometry) -> None:
        op = view.op
        assert isinstance(op, Pad)
        if any(op.extent):
            raise UnsupportedNodeError(f"pads rows or columns, {op.extent} (allowed: channels)")
        if op.value:
            raise UnsupportedNodeError(f"pads with {op.value} (allowed: 0)")

    def lanes(self, view: NodeView, configuration: Configuration, available: Sequence[int]) -> int:
        """Words are of the source or zero as a whole."""
        op, x = view.op, view.operands[0].type
        assert isinstance(op, Pad)
        counts = lane_counts(gcd(x.shape[0], *op.channels), max(x.dtype.bits, view.type.dtype.bits))
        return max(up_to(configuration, counts))

    def stages(
        self, view: NodeView, sources: Sequence[Wire], configuration: Configuration, dsp: Geometry
    ) -> Sequence[Stage]:
        op, (source,) = view.op, sources
        assert isinstance(op, Pad)
        return [Join(view.name, (source,), output(view, sources), front=op.channels[0] // source.lanes)]


class SpaceToDepthRule(Rule):
    bipolar = True

    def stages(
        self, view: NodeView, sources: Sequence[Wire], configuration: Configuration, dsp: Geometry
    ) -> Sequence[Stage]:
        assert isinstance(view.op, SpaceToDepth)
        return [BlockToDepth(view.name, (sources[0],), output(view, sources), view.op.block)]


class DepthToSpaceRule(Rule):
    """A word of the result has channels of one pixel. In dcr order they are neighbours in the source; in crd order they
    lie ``block**2`` apart, so words with all positions of some channels are dealt out first where they fit."""

    bipolar = True

    def configurations(self, view: NodeView, dsp: Geometry) -> Iterable[Configuration]:
        return ({},)

    def lanes(self, view: NodeView, configuration: Configuration, available: Sequence[int]) -> int:
        op, bits, channels = view.op, view.type.dtype.bits, view.type.shape[0]
        assert isinstance(op, DepthToSpace)
        if op.order == "dcr":
            return _paced(lane_counts(channels, bits), available[0])
        positions = op.block**2
        return positions * max(lane_counts(channels, positions * bits), default=0) or 1

    def stages(
        self, view: NodeView, sources: Sequence[Wire], configuration: Configuration, dsp: Geometry
    ) -> Sequence[Stage]:
        op, (source,) = view.op, sources
        assert isinstance(op, DepthToSpace)
        before: list[Stage] = []
        if op.order == "crd" and source.lanes > 1:
            lanes = source.lanes // op.block**2
            dealt = replace(source, name=f"{view.name}_dealt", groups=source.groups * op.block**2, lanes=lanes, depth=2)
            before, source = [Deal(f"{view.name}_deal", (source,), (dealt,))], dealt
        target = raster(f"{view.name}_out", view.type, source.lanes)
        return [*before, DepthToBlock(view.name, (source,), (target,), op.block, op.order)]


class UpsampleRule(Rule):
    bipolar = True

    def stages(
        self, view: NodeView, sources: Sequence[Wire], configuration: Configuration, dsp: Geometry
    ) -> Sequence[Stage]:
        assert isinstance(view.op, Upsample)
        return [Repeat(view.name, (sources[0],), output(view, sources), view.op.factor)]


def _paced(options: Sequence[int], lanes: int) -> int:
    """The least lanes that keep the pace of a source of so many, else the most there are."""
    return min((n for n in options if n >= lanes), default=max(options))
