"""Resizing the picture."""

from __future__ import annotations

from collections.abc import Sequence

from hls.layers.resize import BilinearResize
from hls.layers.stage import Stage, Wire
from hls.nodes.base import Rule, output
from hls.packing import Geometry
from ir.engine import Configuration
from ir.graph import NodeView


class ResizeRule(Rule):
    def note(self, view: NodeView, dsp: Geometry) -> str:
        return "bilinear, in step with the picture"

    def stages(
        self, view: NodeView, sources: Sequence[Wire], configuration: Configuration, dsp: Geometry
    ) -> Sequence[Stage]:
        return [BilinearResize(view.name, (sources[0],), output(view, sources), dsp)]
