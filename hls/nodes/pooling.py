"""Pooling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from hls.layers.pooling import Pooling
from hls.layers.stage import Stage, Wire
from hls.nodes.base import Rule, UnsupportedNodeError, output
from hls.packing import Geometry
from ir.engine import Configuration
from ir.graph import NodeView
from ir.ops import MaxPool2d, Pool, SumPool2d

KINDS: dict[type[Pool], Literal["max", "sum"]] = {MaxPool2d: "max", SumPool2d: "sum"}

WIDEST = 31
"""Bits of a lane that is masked out of a word: HeteroCL's Python integers have 32."""


class PoolRule(Rule):
    bipolar = True

    def object(self, view: NodeView, dsp: Geometry) -> None:
        if view.type.dtype.bits > WIDEST:
            raise UnsupportedNodeError(f"pooling to {view.type.dtype} has no generator (allowed: up to {WIDEST} bits)")

    def takes(self, view: NodeView, pixels: int) -> bool:
        """Whether the node can read words of this many horizontal neighbours; it then writes what comes of one."""
        op = view.op
        assert isinstance(op, Pool)
        return Pooling.takes(pixels, op.kernel[1], op.stride[1], op.padding[1], op.padding[3])

    def stages(
        self, view: NodeView, sources: Sequence[Wire], configuration: Configuration, dsp: Geometry
    ) -> Sequence[Stage]:
        op, (target,) = view.op, output(view, sources)
        assert isinstance(op, Pool)
        pixels = max(1, sources[0].pixels // op.kernel[1])
        target = replace(target, columns=-(-target.columns // pixels), pixels=pixels)
        kind, padding = KINDS[type(op)], (op.padding[0], op.padding[1])
        return [Pooling(view.name, (sources[0],), (target,), kind, op.kernel, op.stride, padding)]
