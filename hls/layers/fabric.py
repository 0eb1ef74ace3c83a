"""Products in LUTs of variable weights: bit planes that pick from pairs of neighbours, see `hls.resources.lut_dot`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from hls.heterocl import alloc, hcl
from hls.layers.conv_program import each
from hls.layers.multiply import Multiply, Roms, Sums
from hls.layers.stage import Banks, Tensor, signed_type
from hls.packing.luts import range_bits
from hls.packing.ranges import Range
from hls.resources.model import adder, lut_dot, times, total
from ir.target import Resources
from ir.types import Ints


@dataclass(frozen=True)
class FabricMultiply(Multiply, ABC):
    """No multiplier blocks."""

    @property
    def multipliers(self) -> int:
        return 0


NAMES = ("left", "right", "both")
"""The values of two lanes, and their sum."""


class Operands(NamedTuple):
    """Of a step: ``activations`` (lanes, pixels), per row sum the memory of its plane sums, and where activations are
    paired the sums of their ``pairs`` (pairs of all lane groups, pixels), ``per_group`` in a lane group."""

    activations: Tensor
    pairs: Tensor
    planes: Sequence[Tensor]
    per_group: int = 0


class Pair(NamedTuple):
    """Pair ``number`` of a lane group that begins at ``start``: its two lanes in the group, or a last one alone."""

    place: tuple[Any, ...]
    start: Any
    number: Any
    lanes: tuple[Any, ...]


@dataclass(frozen=True)
class BitPlanes(FabricMultiply):
    """One operand in bit planes, the other one in pairs of neighbouring lanes.

    A pair (u, v) whose partners have the bits p, q in a plane adds one of 0, u, v, u + v to the plane's sum: five
    inputs per bit, so that choosing and adding are one LUT.
    """

    @staticmethod
    def of(taps: int, pixels: int, weight: Range, activation: Range) -> BitPlanes:
        """The narrower operand in planes."""
        kind = WeightPlanes if range_bits(weight) <= range_bits(activation) else ActivationPlanes
        return kind(taps, pixels, weight, activation)

    @property
    @abstractmethod
    def split(self) -> Range:
        """The operand in planes."""

    @property
    @abstractmethod
    def paired(self) -> Range:
        """The other one."""

    @property
    def planes(self) -> int:
        return range_bits(self.split)

    @abstractmethod
    def values(self, rom: Tensor, operands: Operands, pair: Pair) -> Sequence[Sequence[Any]]:
        """Per place in the row u, v and u + v, or u alone."""

    @abstractmethod
    def words(self, rom: Tensor, operands: Operands, pair: Pair) -> Sequence[Sequence[Any]]:
        """Per place in the row what p and q are bits of."""

    @abstractmethod
    def picks(self, pixel: int, tap: int) -> tuple[int, int]:
        """Place of the words and place of the values."""

    def operands(self, activations: Tensor, groups: int, lanes: int, name: str) -> tuple[Operands, Sequence[Banks]]:
        """A memory for the plane sums of each row sum."""
        types = [signed_type(self._plane(m, lanes).signed_bits) for m in range(self.sums)]
        # HeteroCL would lose a memory of one element.
        planes = [alloc((max(self.planes, 2),), f"{name}_plane{m}", dtype) for m, dtype in enumerate(types)]
        return Operands(activations, None, planes), [(plane, 0) for plane in planes]

    def row(self, roms: Roms, place: tuple[Any, ...], operands: Tensor, start: Any, lanes: int, bits: int) -> Sums:
        with each("bit", self.planes) as bit:
            for plane in operands.planes:
                plane[bit] = 0
        if lanes > 1:
            with each("d", lanes // 2) as d:
                self._add(roms[0], operands, Pair(place, start, d, (d * 2, d * 2 + 1)))
        if lanes % 2:
            self._add(roms[0], operands, Pair(place, start, lanes // 2, (lanes - 1,)))
        return [[self._whole(m, operands.planes[m], lanes, bits) for m in range(self.sums)]]

    def _add(self, rom: Tensor, operands: Operands, pair: Pair) -> None:
        """A pair's choice to the sums of all planes."""
        wide = signed_type(self.paired.signed_bits + 1)
        values = [
            [hcl.scalar(value, f"{name}{n}", dtype=wide) for name, value in zip(NAMES, choices, strict=False)]
            for n, choices in enumerate(self.values(rom, operands, pair))
        ]
        words, none = self.words(rom, operands, pair), hcl.scalar(0, "none", dtype=wide)
        with each("bit", self.planes) as bit:
            bits = [
                [
                    hcl.scalar((word >> bit) & 1, f"{name}{n}", dtype=hcl.UInt(1))
                    for name, word in zip(("even", "odd"), pq, strict=False)
                ]
                for n, pq in enumerate(words)
            ]
            for i in range(self.pixels):
                for t in range(self.taps):
                    plane, (split, paired) = operands.planes[i + self.taps - 1 - t], self.picks(i, t)
                    plane[bit] = plane[bit] + _choice(bits[split], values[paired], none)

    def _whole(self, m: int, planes: Tensor, lanes: int, bits: int) -> Any:
        """Row sum m from its plane sums, two neighbours at a time; the top plane of a signed operand is subtracted."""
        one, last, signed = self._plane(m, lanes), self.planes - 1, self.split.lo < 0

        def joined(first: int, count: int) -> tuple[Any, Range]:
            if count == 1:
                return planes[first], one
            low = 1 << (count - 1).bit_length() - 1
            (a, a_range), (b, b_range) = joined(first, low), joined(first + low, count - low)
            negative = signed and first + low == last
            value = a - b * (1 << low) if negative else a + b * (1 << low)
            upper = b_range.scaled(1 << low)
            ends = Range(-upper.hi, -upper.lo) if negative else upper
            result = Range(a_range.lo + ends.lo, a_range.hi + ends.hi)
            if count == self.planes:
                return value, result
            return hcl.scalar(value, f"share{m}x{first}", dtype=signed_type(result.signed_bits)).v, result

        value, _ = joined(0, self.planes)
        return hcl.scalar(0 - value if signed and last == 0 else value, f"sum{m}", dtype=signed_type(bits))

    def _products(self, m: int) -> int:
        """Of a lane that add to row sum m."""
        return min(m + 1, self.taps, self.pixels, self.sums - m)

    def _plane(self, m: int, lanes: int) -> Range:
        """A plane sum of row sum m."""
        return self.paired.with_zero().scaled(lanes * self._products(m))

    def resources(self, weights: Ints) -> Resources:
        *_, lane_groups, blocks, _, lanes, _ = weights.shape
        widths, rows = (range_bits(self.weight), range_bits(self.activation)), -(-lanes // 2)
        dots = total(*(lut_dot(2 * rows * self._products(m), *widths) for m in range(self.sums)))
        return times(lane_groups * blocks, dots)

    @property
    def summary(self) -> str:
        return f"products in LUTs, {self.planes} bit planes"


@dataclass(frozen=True)
class WeightPlanes(BitPlanes):
    """Pairs of activations, whose sums are made once for all outputs."""

    @property
    def split(self) -> Range:
        return self.weight

    @property
    def paired(self) -> Range:
        return self.activation

    def explain(self) -> Sequence[str]:
        return [
            "products in LUTs: two lanes of activations left, right whose weights have the bits p, q in a plane add",
            "p ? (q ? both : left) : (q ? right : 0) to its sum; both = left + right is made once for all outputs",
        ]

    @property
    def memory_bits(self) -> int:
        return self.weight.signed_bits

    def memory(self, weights: Ints) -> Ints:
        return weights[..., 0, :, :]

    def operands(self, activations: Tensor, groups: int, lanes: int, name: str) -> tuple[Operands, Sequence[Banks]]:
        made, banks = super().operands(activations, groups, lanes, name)
        count = lanes // 2
        if not count:
            return made, banks
        pairs = alloc((groups * count, self.pixels), f"{name}_pair", signed_type(self.activation.signed_bits + 1))
        with each("k", groups) as g, each("d", count) as d:
            for i in range(self.pixels):
                first = g * lanes + d * 2
                pairs[g * count + d, i] = activations[first, i] + activations[first + 1, i]
        return made._replace(pairs=pairs, per_group=count), [*banks, (pairs, 0)]

    def values(self, rom: Tensor, operands: Operands, pair: Pair) -> Sequence[Sequence[Any]]:
        lanes, found = [pair.start + lane for lane in pair.lanes], []
        for i in range(self.pixels):
            alone = [operands.activations[lane, i] for lane in lanes]
            both = [operands.pairs[pair.place[3] * operands.per_group + pair.number, i]] if len(alone) > 1 else []
            found.append([*alone, *both])
        return found

    def words(self, rom: Tensor, operands: Operands, pair: Pair) -> Sequence[Sequence[Any]]:
        return [[rom[(*pair.place, lane, t)] for lane in pair.lanes] for t in range(self.taps)]

    def picks(self, pixel: int, tap: int) -> tuple[int, int]:
        return tap, pixel

    def resources(self, weights: Ints) -> Resources:
        *_, lane_groups, _, _, lanes, _ = weights.shape
        pairs = lane_groups * (lanes // 2) * self.pixels
        return super().resources(weights) + times(pairs, adder(range_bits(self.activation)))

    def rom_bits(self, weights: Ints) -> int:
        *_, lane_groups, blocks, _, lanes, taps = weights.shape
        return int(lane_groups * blocks * lanes * taps * range_bits(self.weight))


@dataclass(frozen=True)
class ActivationPlanes(BitPlanes):
    """Pairs of weights, whose sums are read with them: a word u, v, u + v per pair and tap; a last lane has v zero."""

    @property
    def split(self) -> Range:
        return self.activation

    @property
    def paired(self) -> Range:
        return self.weight

    def explain(self) -> Sequence[str]:
        bits = self.weight.signed_bits
        return [
            "products in LUTs: two lanes of weights left, right whose activations have the bits p, q in a plane add",
            "p ? (q ? both : left) : (q ? right : 0) to its sum;",
            f"a word of the weights holds left, right and, from bit {2 * bits} on, both = left + right",
        ]

    @property
    def memory_bits(self) -> int:
        return 3 * self.weight.signed_bits + 1

    def memory(self, weights: Ints) -> Ints:
        lanes, bits = weights[..., 0, :, :], self.weight.signed_bits
        whole = np.concatenate([lanes, np.zeros_like(lanes[..., : lanes.shape[-2] % 2, :])], -2)
        u, v, mask = whole[..., ::2, :], whole[..., 1::2, :], (1 << bits) - 1
        return np.asarray((u & mask) | (v & mask) << bits | (u + v) << 2 * bits)

    def values(self, rom: Tensor, operands: Operands, pair: Pair) -> Sequence[Sequence[Any]]:
        bits, found = self.weight.signed_bits, []
        for t in range(self.taps):
            word = hcl.scalar(rom[(*pair.place, pair.number, t)], f"weights{t}", dtype=signed_type(3 * bits + 1))
            alone = [hcl.cast(signed_type(bits), word.v >> k * bits) for k in range(len(pair.lanes))]
            found.append([*alone, word.v >> 2 * bits] if len(alone) > 1 else alone)
        return found

    def words(self, rom: Tensor, operands: Operands, pair: Pair) -> Sequence[Sequence[Any]]:
        return [[operands.activations[pair.start + lane, i] for lane in pair.lanes] for i in range(self.pixels)]

    def picks(self, pixel: int, tap: int) -> tuple[int, int]:
        return pixel, tap

    def rom_bits(self, weights: Ints) -> int:
        *_, lane_groups, blocks, _, lanes, taps = weights.shape
        bits = range_bits(self.weight)
        return int(lane_groups * blocks * taps * (lanes // 2 * (3 * bits + 1) + lanes % 2 * bits))


def _choice(bits: Sequence[Any], values: Sequence[Any], none: Any) -> Any:
    """One of 0, u, v, u + v."""
    if len(bits) == 1:
        return hcl.select(bits[0].v > 0, values[0].v, none.v)
    (p, q), (u, v, both) = bits, values
    return hcl.select(p.v > 0, hcl.select(q.v > 0, both.v, u.v), hcl.select(q.v > 0, v.v, none.v))
