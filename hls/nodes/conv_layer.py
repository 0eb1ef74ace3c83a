"""A convolution with its weights: the stages of a folding, and what of their cost the weights' values decide."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from hls.layers.constant import MOST_CONSTANTS, ConstantMultiply
from hls.layers.convolution import Convolution
from hls.layers.multiply import Multiply
from hls.layers.requantise import Keep, Requantise
from hls.layers.stage import WORD_BITS, MemoryStyle, Stage, WeightStyle, Wire
from hls.layers.weights import FED, WeightFeed
from hls.nodes.base import UnsupportedNodeError, fused_user
from hls.nodes.conv_shape import Folding, Shape, sketches
from hls.nodes.requantise import requantisation
from hls.packing import Geometry, Range, signed_bits
from hls.resources.model import times
from ir.engine import Candidate
from ir.graph import NodeView
from ir.ops import Conv2d
from ir.ops.convolution import constant_sums
from ir.target import Resources
from ir.types import Ints, TensorType


def fed(convolution: Convolution, style: WeightStyle) -> list[Stage]:
    """The convolution with its weights where ``style`` says. UnsupportedNodeError where they are in no memory."""
    if style not in FED:
        return [convolution]
    if not convolution.multiply.memory_bits or convolution.iterations == 1:
        raise UnsupportedNodeError(f"{convolution.name}: weights of style {style}, but each has a place of its own")
    feed = WeightFeed.of(convolution, style)
    return [feed, convolution.fed_by(feed)]


def widths(view: NodeView) -> str:
    """Bits of a convolution's weights and activations."""
    return f"W{view.operands[1].type.dtype.bits}A{view.operands[0].type.dtype.bits}"


@dataclass(frozen=True)
class Layer:
    """A convolution on a board with multiplier blocks ``dsp``, and how it may be built."""

    view: NodeView
    dsp: Geometry

    @cached_property
    def shape(self) -> Shape:
        op, x, w = self.view.op, self.view.operands[0].type, self.view.operands[1].type
        assert isinstance(op, Conv2d)
        out = (fused_user(self.view) or self.view).type
        plain = TensorType.of_dtype(out.shape, out.dtype)
        weight, activation = Range(w.lo, w.hi).with_zero(), Range(x.lo, x.hi).with_zero()
        return Shape(op, x, w.shape, weight, plain, self._accumulator_bits(activation), self.dsp)

    def _accumulator_bits(self, activation: Range) -> int:
        """Signed width of every sum of a part of the products."""
        sums, (low, high) = constant_sums(self.view.operands[1].constant), (activation.lo, activation.hi)
        return signed_bits(min(p * low + n * high for n, p in sums), max(p * high + n * low for n, p in sums))

    def candidates(self, uram: bool) -> Iterator[Candidate]:
        """Those of its shape, with what the weights' values add; ``uram``: whether there is UltraRAM."""
        finished, bits = dict[int, Resources](), self.shape.accumulator_bits
        products = dict[tuple[int, ...], Multiply]()
        for sketch, offered in sketches(self.shape, uram):
            folding, conv = sketch.folding, sketch.conv
            if self._wired(folding):
                conv = replace(conv, multiply=self.multiply(folding))
                offered = replace(sketch, conv=conv).candidates(uram)
            note = "" if conv.multiply.multipliers else f"conv {widths(self.view)}, products in LUTs"
            groups = conv.groups * conv.output_groups
            if groups not in finished:
                finished[groups] = self.rule.resources(bits, groups)
            own = times(conv.output_lanes * folding.pixels, finished[groups])
            if folding.offset:
                kind = folding.channels, folding.width, folding.overlap, folding.offset, folding.pixels
                if kind not in products:
                    products[kind] = self.multiply(folding)
                own = own + products[kind].start_rom(conv.arranged)
            yield from (Candidate(c.cycles, c.resources + own, c.configuration, c.traffic, note) for c in offered)

    def multiply(self, folding: Folding) -> Multiply:
        if not self._wired(folding):
            return self.shape.multiply(folding, self._totals)
        shape = self.shape
        constants = self._constants(folding)
        return ConstantMultiply(shape.taps, folding.pixels, shape.weight, shape.activation, constants)

    def _wired(self, folding: Folding) -> bool:
        """Whether every weight has its own place, and they are few enough for a graph of adders."""
        if folding.channels:
            return False
        weights, f = self.view.operands[1].constant, folding
        places = f.groups * f.pe * f.words * f.simd * f.rows * self.shape.kernel[1]
        wired = places == weights.size and self.shape.phases.count == 1
        return wired and int(np.count_nonzero(weights)) * f.pixels <= MOST_CONSTANTS

    def _constants(self, folding: Folding) -> Ints:
        """Weights (lane groups, outputs, lanes, taps) of a folding without loops over them."""
        arranged = self.shape.arranged(folding, self._split)
        return arranged[0, :, 0, :, 0].reshape(folding.groups, folding.pe, -1, self.shape.taps)

    def fitting(self, folding: Folding) -> Folding:
        """The folding, or one of fewer output lanes where accumulators leave the region unrequantised and are wider."""
        if folding.pe * folding.groups * folding.pixels * self.shape.out.dtype.bits <= WORD_BITS:
            return folding
        alike = [f for f in self.shape.foldings() if (f.simd, f.groups) == (folding.simd, folding.groups)]
        return max(
            alike, key=lambda f: (f.words == folding.words, f.rows == folding.rows, f.pe * f.pixels * (f.channels > 0))
        )

    def stages(self, source: Wire, folding: Folding) -> list[Stage]:
        """Line buffers and the convolution with its requantisation, from a raster wire."""
        name, shape = self.view.name, self.shape
        buffers, sources = shape.buffers(name, source, folding)
        conv = Convolution(
            name, tuple(sources), (shape.target(name, folding),), shape.arranged(folding, self._split),
            self.multiply(folding), shape.steps(folding.pixels), shape.accumulator_bits, self.rule, self._rom(folding),
        )  # fmt: skip
        return [*buffers, *fed(conv, folding.memory)]

    def _rom(self, folding: Folding) -> MemoryStyle:
        """What a ROM of weights is made of."""
        return "auto" if folding.memory == "uram" or folding.memory == "streamed" else folding.memory

    @cached_property
    def rule(self) -> Requantise:
        user = fused_user(self.view)
        return requantisation(user, self.dsp) if user else Keep()

    @cached_property
    def _split(self) -> Ints:
        """The weights (outputs, inputs, kernel rows, phases, taps)."""
        weights = self.view.operands[1].constant.astype(np.int64)
        split = np.zeros(self.shape.split, np.int64)
        for column, (phase, tap) in enumerate(self.shape.phases.taps):
            split[..., phase, tap] = weights[..., column]
        return split

    @cached_property
    def _totals(self) -> Ints:
        """The weights (outputs, taps) added up over everything else."""
        return np.asarray(self._split.sum((1, 2, 3)))
