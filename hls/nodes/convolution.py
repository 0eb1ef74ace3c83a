"""Convolutions that are multiplied: in packed multiplier blocks or in LUTs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hls.layers.stage import Stage, Wire
from hls.nodes.base import Rule, UnsupportedNodeError, fused_user
from hls.nodes.conv_layer import Layer, widths
from hls.nodes.conv_shape import Folding
from hls.packing import Geometry, PackingError
from hls.packing.rows import row_packings, row_rate
from ir.engine import Candidate, Configuration
from ir.graph import NodeView
from ir.ops import Conv2d

MOST_TAPS = 16
"""The largest kernel extent; beyond it nobody has tested."""


class ConvRule(Rule):
    def object(self, view: NodeView, dsp: Geometry) -> None:
        op, kernel = view.op, view.operands[1].type.shape[2:]
        assert isinstance(op, Conv2d)
        if max(kernel) > MOST_TAPS:
            raise UnsupportedNodeError(f"kernel {kernel[0]}x{kernel[1]} has no generator (allowed: up to {MOST_TAPS})")
        try:
            if next(Layer(view, dsp).shape.foldings(), None) is None:
                raise UnsupportedNodeError("no folding fits a 64-bit stream word")
        except PackingError as error:
            raise UnsupportedNodeError(str(error)) from None

    def note(self, view: NodeView, dsp: Geometry) -> str:
        shape = Layer(view, dsp).shape
        rate = row_rate(row_packings(shape.weight, shape.activation, shape.taps, dsp)[0], shape.taps)
        conv = f"conv {widths(view)}"
        return f"packed {conv}, up to {float(rate):g} MAC/DSP" if rate > 1 else f"{conv}, 1 MAC/DSP"

    def absorbs(self, view: NodeView) -> NodeView | None:
        return fused_user(view)

    def configurations(self, view: NodeView, dsp: Geometry) -> Iterable[Configuration]:
        return (folding.configuration for folding in Layer(view, dsp).shape.foldings())

    def candidates(self, view: NodeView, dsp: Geometry, uram: bool = False) -> Iterable[Candidate]:
        return Layer(view, dsp).candidates(uram)

    def lanes(self, view: NodeView, configuration: Configuration, available: Sequence[int]) -> int:
        folding = Folding.of(configuration)
        return folding.simd * folding.groups

    def stages(
        self, view: NodeView, sources: Sequence[Wire], configuration: Configuration, dsp: Geometry
    ) -> Sequence[Stage]:
        layer = Layer(view, dsp)
        return layer.stages(sources[0], layer.fitting(Folding.of(configuration)))
