"""Operators that only move values."""

from __future__ import annotations

from collections.abc import Sequence

from hls.layers.movement import BlockToDepth, Join
from hls.layers.stage import Stage, Wire
from hls.nodes.base import Rule, output
from hls.packing import Geometry
from ir.engine import Configuration
from ir.graph import NodeView
from ir.ops import SpaceToDepth


class ConcatRule(Rule):
    def stages(
        self, view: NodeView, sources: Sequence[Wire], configuration: Configuration, dsp: Geometry
    ) -> Sequence[Stage]:
        return [Join(view.name, tuple(sources), output(view, sources))]


class SpaceToDepthRule(Rule):
    def stages(
        self, view: NodeView, sources: Sequence[Wire], configuration: Configuration, dsp: Geometry
    ) -> Sequence[Stage]:
        assert isinstance(view.op, SpaceToDepth)
        return [BlockToDepth(view.name, (sources[0],), output(view, sources), view.op.block)]
