"""Convolutions that are multiplied: in packed multiplier blocks or in LUTs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from hls.layers.convolution import Convolution
from hls.layers.stage import WORD_BITS, MemoryStyle, Stage, Wire
from hls.layers.weights import FedStyle, WeightFeed
from hls.nodes.base import Rule, UnsupportedNodeError, fused_user, raster
from hls.nodes.conv_layer import Folding, Layer
from hls.packing import Geometry, PackingError
from hls.packing.rows import row_packings, row_rate
from hls.resources.model import total
from ir.engine import Candidate, Configuration
from ir.graph import NodeView
from ir.ops import Conv2d

MOST_TAPS = 16
"""The largest kernel extent; beyond it nobody has tested."""

ROMS: tuple[MemoryStyle, ...] = ("lut", "bram")


def _widths(view: NodeView) -> str:
    return f"W{view.operands[1].type.dtype.bits}A{view.operands[0].type.dtype.bits}"


class ConvRule(Rule):
    def object(self, view: NodeView, dsp: Geometry) -> None:
        op, kernel = view.op, view.operands[1].type.shape[2:]
        assert isinstance(op, Conv2d)
        if max(kernel) > MOST_TAPS:
            raise UnsupportedNodeError(f"kernel {kernel[0]}x{kernel[1]} has no generator (allowed: up to {MOST_TAPS})")
        try:
            if next(Layer(view, dsp).foldings(), None) is None:
                raise UnsupportedNodeError("no folding fits a 64-bit stream word")
        except PackingError as error:
            raise UnsupportedNodeError(str(error)) from None

    def note(self, view: NodeView, dsp: Geometry) -> str:
        layer = Layer(view, dsp)
        rate = row_rate(row_packings(layer.weight, layer.activation, layer.taps, dsp)[0], layer.taps)
        conv = f"conv {_widths(view)}"
        return f"packed {conv}, up to {float(rate):g} MAC/DSP" if rate > 1 else f"{conv}, 1 MAC/DSP"

    def absorbs(self, view: NodeView) -> NodeView | None:
        return fused_user(view)

    def configurations(self, view: NodeView, dsp: Geometry) -> Iterable[Configuration]:
        return (folding.configuration for folding in Layer(view, dsp).foldings())

    def candidates(self, view: NodeView, dsp: Geometry, uram: bool = False) -> Iterable[Candidate]:
        """With the weights in LUTs, in block memory or UltraRAM, where they need any; and streamed, where that makes
        the layer no slower."""
        layer, x = Layer(view, dsp), view.operands[0].type
        for folding in layer.foldings():
            *buffers, conv = layer.stages(raster("x", x, folding.simd * folding.groups), folding, sketch=True)
            assert isinstance(conv, Convolution)
            cycles, logic = max(s.cycles for s in (*buffers, conv)), sum((s.resources for s in buffers), conv.logic)
            note = "" if conv.multiply.multipliers else f"conv {_widths(view)}, products in LUTs"
            if conv.iterations == 1 or not conv.multiply.memory_bits:
                yield Candidate(cycles, logic + conv.weight_rom("auto"), folding.configuration, note=note)
                continue
            for rom in ROMS:
                choice = replace(folding, memory=rom).configuration
                yield Candidate(cycles, logic + conv.weight_rom(rom), choice, note=note)
            one_word = conv.memory_elements * conv.multiply.memory_bits <= WORD_BITS
            styles: list[FedStyle] = [*(["uram"] if uram else []), *(["streamed"] if one_word else [])]  # type: ignore[list-item]
            for style in styles:
                feed = WeightFeed.of(conv, style)
                used = total(logic, conv.fed_weights, feed.resources)
                choice = replace(folding, memory=style).configuration
                yield Candidate(max(cycles, feed.cycles), used, choice, feed.traffic, note)

    def lanes(self, view: NodeView, configuration: Configuration, available: Sequence[int]) -> int:
        folding = Folding.of(configuration)
        return folding.simd * folding.groups

    def stages(
        self, view: NodeView, sources: Sequence[Wire], configuration: Configuration, dsp: Geometry
    ) -> Sequence[Stage]:
        layer = Layer(view, dsp)
        return layer.stages(sources[0], layer.fitting(Folding.of(configuration)))
