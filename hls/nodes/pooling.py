"""Pooling."""

from __future__ import annotations

from collections.abc import Sequence

from hls.layers.pooling import MaxPool
from hls.layers.stage import Stage, Wire
from hls.nodes.base import Rule, UnsupportedNodeError, output
from hls.packing import Geometry
from ir.engine import Configuration
from ir.graph import NodeView
from ir.ops import MaxPool2d


class MaxPoolRule(Rule):
    def object(self, view: NodeView, dsp: Geometry) -> None:
        op = view.op
        assert isinstance(op, MaxPool2d)
        if op.kernel != op.stride or op.kernel[0] != op.kernel[1]:
            raise UnsupportedNodeError(
                f"pooling {op.kernel} at stride {op.stride} has no generator yet (allowed: k x k at stride k)"
            )

    def stages(
        self, view: NodeView, sources: Sequence[Wire], configuration: Configuration, dsp: Geometry
    ) -> Sequence[Stage]:
        assert isinstance(view.op, MaxPool2d)
        return [MaxPool(view.name, (sources[0],), output(view, sources), view.op.kernel[0])]
