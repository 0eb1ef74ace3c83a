"""Products packed into multiplier blocks."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np

from hls.heterocl import alloc, hcl
from hls.layers.multiply import Multiply, Roms, Sums, start_bits
from hls.layers.stage import Banks, Tensor, signed_type
from hls.packing.decode import Field, RowDecode, decode_resources
from hls.packing.describe import draw_built
from hls.packing.layout import Layout
from hls.packing.refine import Built
from hls.resources.model import adder, rom, times, total
from ir.target import Resources
from ir.types import Ints


@dataclass(frozen=True)
class PackedMultiply(Multiply):
    """Products packed into a multiplier block; ``built`` packs ``kx`` taps, ``nx`` pixels and m output channels.

    Taps and pixels beyond one product are done by several side by side. Activations are multiplied less ``built``'s
    offset. The fields of a product are raised so that none is negative: where they lie apart they are read as they
    lie, else see `hls.packing.decode`. ``totals``: the layer's weights (outputs, taps) added up over all lanes, where
    they are known.
    """

    built: Built
    totals: Ints | None = dataclasses.field(default=None, repr=False, compare=False)

    @property
    def layout(self) -> Layout:
        return self.built.layout

    @cached_property
    def decode(self) -> RowDecode:
        return RowDecode(self.layout, self.taps, self.pixels)

    @property
    def channels(self) -> int:
        return self.layout.weights[0]

    @property
    def multipliers(self) -> int:
        return self.decode.pieces * self.decode.blocks

    @property
    def memory_bits(self) -> int:
        return self.layout.packed_weight.signed_bits

    @property
    def activation_bits(self) -> int:
        return self.layout.packed_activation.signed_bits

    def explain(self) -> Sequence[str]:
        layout, (m, _, kx), offset = self.layout, self.layout.weights, self.built.offset
        fields = ", ".join(f"{f.segment.offset}+{f.bits + f.carry}" for f in self.decode.fields)
        less = f" less {offset}" if offset else ""
        shared = [f"neighbouring sums share up to {self.decode.shared} bits, told apart by the operands' low bits"]
        return [
            f"W holds {kx} taps of {m} output channels, A {layout.activations[1]} pixels{less}: {layout.products} MAC;",
            f"up to {layout.depth} are added before the sums are taken apart (bit + width: {fields})",
            *(shared if self.decode.shared else ()),
        ]

    @property
    def drawing(self) -> tuple[str, ...]:
        return draw_built(self.built)

    def roms(self, weights: Ints, name: str) -> Roms:
        """What a chain begins with, of 48 bits and more, which no plain integer of the language has; the weights' low
        bits. None for what is not needed."""
        word, shared = self.decode.raise_word, self.decode.shared
        return (
            hcl.const_tensor(np.full(2, word), f"{name}_raise", signed_type(63)) if word else None,
            hcl.const_tensor(self.low_words(weights), f"{name}_low", hcl.Int(shared + 1)) if shared else None,
        )

    def memory(self, weights: Ints) -> Ints:
        """(..., channels, lanes, taps) -> (..., pieces, lanes) as they are multiplied."""
        split, offsets = self._pieces(weights), self.layout.weight_offsets[:, 0]
        words = (split << offsets[:, None, None, :]).sum((-1, -4))  # (..., lanes, pieces)
        return np.asarray(np.moveaxis(words, -1, -2))

    def _pieces(self, weights: Ints) -> Ints:
        """(..., channels, lanes, taps) -> (..., channels, lanes, pieces, taps of a piece); zeros where taps end."""
        (m, _, kx), (*outer, _, lanes, taps) = self.layout.weights, weights.shape
        padded = np.zeros((*outer, m, lanes, self.decode.pieces * kx), np.int64)
        padded[..., :taps] = weights[..., ::-1]  # a later tap meets an earlier output
        return padded.reshape(*outer, m, lanes, self.decode.pieces, kx)

    def operands(self, activations: Tensor, groups: int, lanes: int, name: str) -> tuple[Any, Sequence[Banks]]:
        """The packed words, and the activations themselves for their low bits."""
        packed = alloc((groups * lanes, self.decode.blocks), f"{name}_packed", signed_type(self.activation_bits))
        with hcl.for_(0, groups * lanes, name="k") as k:
            for block in range(self.decode.blocks):
                packed[k, block] = self.pack(activations, k, block)
        return (packed, activations), [(packed, 0)]

    def pack(self, activations: Tensor, lane: Any, block: int) -> Any:
        """The word of a block of pixels."""
        nx, offsets = self.layout.activations[1], self.layout.activation_offsets[0]
        word = activations[lane, block * nx]
        for i in range(1, nx):
            word = word + activations[lane, block * nx + i] * (1 << int(offsets[i]))
        return word - self._offset_word if self.built.offset else word

    @property
    def _offset_word(self) -> int:
        return self.built.offset * sum(1 << int(offset) for offset in self.layout.activation_offsets.flat)

    def low_words(self, weights: Ints) -> Ints:
        """(..., channels, lanes, taps) -> (..., pieces, lanes, channels, taps): the bits that fields share."""
        low = self._pieces(weights) & ((1 << self.decode.shared) - 1)
        return np.asarray(np.swapaxes(np.moveaxis(low, -4, -2), -3, -4))

    def row(self, roms: Roms, place: tuple[Any, ...], operands: Any, start: Any, lanes: int, bits: int) -> Sums:
        sums = [
            [hcl.scalar(0, f"sum{c}x{m}", dtype=signed_type(bits)) for m in range(self.sums)]
            for c in range(self.channels)
        ]
        rom, begun, low = roms
        packed, activations = operands
        decode, shared = self.decode, [field for field in self.decode.fields if field.below]
        for piece, block, first, length in decode.chains(lanes):
            total = hcl.scalar(begun[0] if begun is not None else 0, "total", dtype=hcl.Int(self.sum_bits))
            known = {f: hcl.scalar(self._raised_low(f), "known", dtype=hcl.UInt(2)) for f in shared}
            with hcl.for_(0, length, name="d") as d:
                at = start + first + d
                total.v += rom[(*place, piece, first + d)] * packed[at, block]
                for field, bits_of_field in known.items():
                    for tap, pixel in decode.pairs(field.segment):
                        weight = low[(*place, piece, first + d, field.segment.channel, tap)]
                        activation = activations[at, block * self.layout.activations[1] + pixel]
                        bits_of_field.v += self._low_product(weight, activation, field.below)
            self._take_apart(total, known, sums, piece, block)
        return sums

    @property
    def sum_bits(self) -> int:
        """Of a chain's sum, with a sign."""
        return max(self.layout.largest_sum.bit_length() + 1, self.layout.segments[-1].offset + 2)

    def _raised_low(self, field: Field) -> int:
        return self.decode.raised(field.segment) & ((1 << field.below) - 1)

    def _low_product(self, weight: Any, activation: Any, bits: int) -> Any:
        """A number whose low bits are the product's, without a multiplier."""
        if self.built.offset % (1 << bits):
            activation = activation - self.built.offset
        if self.decode.shared == 1:
            return weight & activation
        ones = hcl.select((weight & 1) > 0, activation, 0)
        return ones if bits == 1 else ones + hcl.select((weight & 2) > 0, activation * 2, 0)

    def _take_apart(self, total: Any, known: Mapping[Field, Any], sums: Sums, piece: int, block: int) -> None:
        """Add the fields of a chain to the row sums."""
        below: Any = 0
        for field, above in pairwise((*self.decode.fields, None)):
            assert field is not None
            part = total.v >> field.segment.offset
            if above is not None:
                part = part & ((1 << field.bits) - 1)
            if field.below:
                part = part - below
            if above is not None and field.carry:
                beside = (total.v >> above.segment.offset) - known[above].v
                carry = hcl.scalar(beside & ((1 << field.carry) - 1), "carry", dtype=hcl.UInt(2))
                part, below = part + carry.v * (1 << field.gap), carry.v
            into = sums[field.segment.channel][self.decode.target(piece, block, field.segment.column)]
            into.v = into.v + part

    def starts(self, weights: Ints) -> Ints:
        """See `Multiply.starts`: the windows' lower ends, and what the activations' offset took away."""
        *_, lanes, _ = weights.shape
        return self._starts(weights.sum((2, -2)), weights.shape[2], lanes)

    def start_bits(self, weights: Ints) -> int:
        """See `Multiply.start_bits`; how the weights are arranged makes no difference."""
        if self.totals is None:
            return super().start_bits(weights)
        *_, lanes, _ = weights.shape
        return start_bits(self._starts(self.totals, weights.shape[2], lanes))

    def _starts(self, totals: Ints, reductions: int, lanes: int) -> Ints:
        """(..., taps) -> (..., sums)."""
        raised = np.zeros(self.sums, np.int64)
        for piece, block, *_ in self.decode.chains(lanes):
            for segment in self.layout.segments:
                if segment.channel == 0:
                    raised[self.decode.target(piece, block, segment.column)] += self.decode.raised(segment)
        begun = np.zeros((*totals.shape[:-1], self.sums), np.int64) - raised * reductions
        for i in range(self.pixels):
            begun[..., i : i + self.taps] += self.built.offset * totals[..., ::-1]
        return begun

    def resources(self, weights: Ints) -> Resources:
        *_, lane_groups, blocks, _, lanes, _ = weights.shape
        decode = times(lane_groups * blocks, decode_resources(self.decode, lanes))
        words = lane_groups * lanes * self.decode.blocks
        dsps = -(-self._products(weights) // self.built.multiplier.lanes)
        return total(decode, times(words, self._packing), Resources(dsp=dsps))

    def start_rom(self, weights: Ints) -> Resources:
        if not self.built.offset:
            return Resources()
        groups, output_groups, _, *outputs, _, _ = weights.shape
        return rom(groups * output_groups, prod(outputs) * self.sums * self.start_bits(weights))

    @property
    def _packing(self) -> Resources:
        """Activations are packed by wires where none is negative; an offset is taken off the whole word."""
        adders = 1 if self.built.offset else (self.activation.lo < 0) * (self.layout.activations[1] - 1)
        return times(adders, adder(self.activation_bits))

    def rom_bits(self, weights: Ints) -> int:
        return self._products(weights) * self.memory_bits + self.low_bits(weights)

    def low_bits(self, weights: Ints) -> int:
        m, _, kx = self.layout.weights
        return self._products(weights) * m * kx * self.decode.shared

    def _products(self, weights: Ints) -> int:
        *_, lane_groups, blocks, _, lanes, _ = weights.shape
        return int(lane_groups * blocks * lanes * self.multipliers)

    @property
    def summary(self) -> str:
        shared = f", {self.decode.shared} bits shared" if self.decode.shared else ""
        return f"{self.layout.products} MAC/DSP (pitch {self.layout.pitch}, cascade {self.layout.depth}{shared})"
