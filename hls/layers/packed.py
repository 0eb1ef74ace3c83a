"""Products packed into multiplier blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from hls.heterocl import alloc, hcl
from hls.layers.multiply import Multiply, Roms, Sums
from hls.layers.stage import Banks, Tensor, signed_type
from hls.packing.layout import Layout, Segment
from hls.packing.refine import Built
from hls.resources.model import adder_tree, times, total
from ir.target import Resources
from ir.types import Ints


@dataclass(frozen=True)
class PackedMultiply(Multiply):
    """Products packed into a multiplier block; ``built`` packs ``kx`` taps, ``nx`` pixels and m output channels.

    Taps and pixels beyond one product are done by several side by side. The fields of a product are raised so that none
    is negative: they are read as they lie.
    """

    built: Built

    @property
    def layout(self) -> Layout:
        return self.built.layout

    @property
    def channels(self) -> int:
        return self.layout.weights[0]

    @property
    def pieces(self) -> int:
        """Products for all taps."""
        return -(-self.taps // self.layout.weights[2])

    @property
    def blocks(self) -> int:
        """Products for all pixels."""
        return self.pixels // self.layout.activations[1]

    @property
    def multipliers(self) -> int:
        return self.pieces * self.blocks

    @property
    def weight_bits(self) -> int:
        return self.layout.packed_weight.signed_bits

    def explain(self) -> Sequence[str]:
        layout, (m, _, kx) = self.layout, self.layout.weights
        fields = ", ".join(f"{s.offset}+{g}" for s, g in zip(layout.segments, layout.gaps, strict=True))
        return [
            f"W holds {kx} taps of {m} output channels, A {layout.activations[1]} pixels: {layout.products} MAC;",
            f"up to {layout.depth} are added before the sums are taken apart (bit + width: {fields})",
        ]

    def roms(self, weights: Ints, name: str) -> Roms:
        (m, _, kx), offsets = self.layout.weights, self.layout.weight_offsets[:, 0]
        *outer, _, lanes, taps = weights.shape
        padded = np.zeros((*outer, m, lanes, self.pieces * kx), np.int64)
        padded[..., :taps] = weights[..., ::-1]  # a later tap meets an earlier output
        split = padded.reshape(*outer, m, lanes, self.pieces, kx)
        words = (split << offsets[:, None, None, :]).sum((-1, -4))  # (..., lanes, pieces)
        rom = hcl.const_tensor(np.moveaxis(words, -1, -2), f"{name}_w", signed_type(self.weight_bits))
        if not self._raise:
            return (rom,)
        # Of 48 bits and more, which no plain integer of the language has.
        return rom, hcl.const_tensor(np.full(2, self._raise), f"{name}_raise", signed_type(63))

    def operands(self, activations: Tensor, groups: int, lanes: int, name: str) -> tuple[Tensor, Sequence[Banks]]:
        nx, offsets = self.layout.activations[1], self.layout.activation_offsets[0]
        bits = self.layout.packed_activation.signed_bits
        packed = alloc((groups * lanes, self.blocks), f"{name}_packed", signed_type(bits))
        with hcl.for_(0, groups * lanes, name="k") as k:
            for block in range(self.blocks):
                word = activations[k, block * nx]
                for i in range(1, nx):
                    word = word + activations[k, block * nx + i] * (1 << int(offsets[i]))
                packed[k, block] = word
        return packed, [(packed, 0)]

    def row(self, roms: Roms, place: tuple[Any, ...], operands: Tensor, start: Any, lanes: int, bits: int) -> Sums:
        layout, (rom, *raised) = self.layout, roms
        sums = [
            [hcl.scalar(0, f"sum{c}_{m}", dtype=signed_type(bits)) for m in range(self.sums)]
            for c in range(self.channels)
        ]
        width = max(layout.largest_sum.bit_length() + 1, layout.segments[-1].offset + 2)
        for piece, block, first in self._chains(lanes):
            total = hcl.scalar(raised[0][0] if raised else 0, "total", dtype=hcl.Int(width))
            with hcl.for_(0, min(layout.depth, lanes - first), name="d") as d:
                total.v += rom[(*place, piece, first + d)] * operands[start + first + d, block]
            for segment, gap in zip(layout.segments, layout.gaps, strict=True):
                field = total.v >> segment.offset
                if segment is not layout.segments[-1]:
                    field = field & ((1 << gap) - 1)
                into = sums[segment.channel][self._target(piece, block, segment.column)]
                into.v = into.v + field
        return sums

    def raised(self, lanes: int) -> list[int]:
        raised = [0] * self.sums
        for piece, block, _ in self._chains(lanes):
            for segment in self.layout.segments:
                if segment.channel == 0:
                    raised[self._target(piece, block, segment.column)] += self._low(segment)
        return raised

    def _chains(self, lanes: int) -> Iterator[tuple[int, int, int]]:
        """(piece, block, first lane) of every sum of products in a block's accumulator."""
        return product(range(self.pieces), range(self.blocks), range(0, lanes, self.layout.depth))

    def _target(self, piece: int, block: int, column: int) -> int:
        """The row sum of a segment; what lies beyond the last one comes from padding taps and is zero."""
        place = piece * self.layout.weights[2] + block * self.layout.activations[1] + column
        return min(place, self.sums - 1)

    def _low(self, segment: Segment) -> int:
        """What has to be added so that a segment of a chain is never negative."""
        return max(0, -self.layout.product_range.lo) * segment.terms * self.layout.depth

    @property
    def _raise(self) -> int:
        return sum(self._low(segment) << segment.offset for segment in self.layout.segments)

    def resources(self, weights: Ints) -> Resources:
        *_, lane_groups, blocks, channels, lanes, _ = weights.shape
        chains = [0] * self.sums
        for piece, block, _ in self._chains(lanes):
            for segment in self.layout.segments:
                if segment.channel == 0:
                    chains[self._target(piece, block, segment.column)] += 1
        decode = total(*(adder_tree(n + 1, self.layout.pitch) for n in chains))
        dsps = -(-self._products(weights) // self.built.multiplier.lanes)
        return total(times(lane_groups * blocks * channels, decode), Resources(dsp=dsps))

    def rom_bits(self, weights: Ints) -> int:
        return self._products(weights) * self.weight_bits

    def _products(self, weights: Ints) -> int:
        *_, lane_groups, blocks, _, lanes, _ = weights.shape
        return int(lane_groups * blocks * lanes * self.multipliers)

    @property
    def summary(self) -> str:
        return f"{self.layout.products} MAC/DSP (pitch {self.layout.pitch}, cascade {self.layout.depth})"
