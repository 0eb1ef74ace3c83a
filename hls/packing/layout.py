"""Where operands and sums lie in one multiplication, and the arithmetic of it.

A layout places weights and activations of a convolution patch on a grid of three dimensions:

=========  ====================  ===================  =============================================
dimension  weights               activations          segments of the product
=========  ====================  ===================  =============================================
channel    output channels m     1                    m
row        kernel rows ky        pixel rows ny        ky + ny - 1, products with equal i + j add up
column     kernel columns kx     pixel columns nx     kx + nx - 1, likewise
=========  ====================  ===================  =============================================

With a stride per dimension, ``W = sum w 2**offset`` times ``A = sum a 2**offset`` is the two-dimensional convolution of
every channel's patch, one segment per sum: kernel packing (AMD WP486, WP521) where only channels and pixels differ,
filter packing (HiKonv, arXiv 2112.13972) where taps meet pixels, mixed forms between them.

Each segment is read as an unsigned field above its window's lower end: adding ``-low * 2**offset`` to the product
makes all fields non-negative, so that nothing borrows. The window is *fixed* by the operands' ranges, or *tracked*: it
follows the weights, which are known at compile time, and is only ``sum|w| * (amax - amin)`` wide.

Where a field is wider than the distance to the next, the two overlap: the low bits of the upper one are computed from
the operands' low bits outside the multiplier, and subtracted (DSP-Packing, arXiv 2203.11028, describes one bit of it).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, product
from typing import Any, Literal, NamedTuple

import numpy as np

from hls.packing.ranges import PackingError, Range
from ir.types import Ints

Window = Literal["fixed", "tracked"]


class Segment(NamedTuple):
    """One sum in the product: its place, its output, and ``terms`` products of one multiplication in it."""

    offset: int
    channel: int
    row: int
    column: int
    terms: int


@dataclass(frozen=True)
class Layout:
    """``weights`` (m, ky, kx) by ``activations`` (ny, nx) values per multiplication at ``strides`` per dimension.

    ``weight`` and ``activation`` are the ranges of the multiplied values; both contain zero. ``depth`` products may be
    added before the fields are taken apart.
    """

    weight: Range
    activation: Range
    weights: tuple[int, int, int]
    activations: tuple[int, int]
    strides: tuple[int, int, int]
    depth: int
    window: Window

    @property
    def products(self) -> int:
        """Multiplications in one."""
        m, ky, kx = self.weights
        return m * ky * kx * self.activations[0] * self.activations[1]

    @property
    def outputs(self) -> tuple[int, int, int]:
        """Extents of the segments: channels, rows, columns."""
        (m, ky, kx), (ny, nx) = self.weights, self.activations
        return m, ky + ny - 1, kx + nx - 1

    @cached_property
    def weight_offsets(self) -> Ints:
        return _offsets(self.weights, self.strides)

    @cached_property
    def activation_offsets(self) -> Ints:
        return _offsets(self.activations, self.strides[1:])

    @cached_property
    def segments(self) -> tuple[Segment, ...]:
        """In the order of their offsets."""
        (_, ky, kx), (ny, nx) = self.weights, self.activations
        offsets = _offsets(self.outputs, self.strides)
        found = (
            Segment(int(offsets[c, y, x]), c, y, x, _overlap(y, ky, ny) * _overlap(x, kx, nx))
            for c, y, x in product(*map(range, self.outputs))
        )
        return tuple(sorted(found))

    @property
    def pitch(self) -> int:
        """The smallest distance of neighbouring segments; a lone segment's width."""
        return min(self.gaps[:-1], default=self.gaps[-1])

    @property
    def product_range(self) -> Range:
        return self.weight.times(self.activation)

    def span(self, count: int) -> int:
        """The largest field value of a segment with ``count`` products per multiplication."""
        one = self.product_range.size - 1
        if self.window == "tracked":
            one = self.weight.magnitude * (self.activation.size - 1)
        return one * count * self.depth

    def field_bits(self, segment: Segment) -> int:
        """Bits of a segment that must be known to read it."""
        return max(1, self.span(segment.terms).bit_length())

    @cached_property
    def gaps(self) -> tuple[int, ...]:
        """Bits from each segment to the next; the top segment has room for all of its field."""
        offsets = [s.offset for s in self.segments]
        gaps = [above - own for own, above in pairwise(offsets)]
        return (*gaps, self.field_bits(self.segments[-1]))

    @cached_property
    def overlaps(self) -> tuple[int, ...]:
        """Bits that each segment shares with the next."""
        pairs = zip(self.segments, self.gaps, strict=True)
        return tuple(max(0, self.field_bits(segment) - gap) for segment, gap in pairs)

    @property
    def packed_weight(self) -> Range:
        return self.weight.scaled(int(sum(1 << int(offset) for offset in self.weight_offsets.flat)))

    @property
    def packed_activation(self) -> Range:
        return self.activation.scaled(int(sum(1 << int(offset) for offset in self.activation_offsets.flat)))

    @property
    def largest_sum(self) -> int:
        """Of the raised product sum: all fields at their largest."""
        return sum(self.span(s.terms) << s.offset for s in self.segments)

    def legality(self) -> list[tuple[str, bool]]:
        """The interval proof of the decode recipe, line by line: statement, whether it holds."""
        lines = []
        for index, segment in enumerate(self.segments[:-1]):
            span, gap, shared = self.span(segment.terms), self.gaps[index], self.overlaps[index]
            text = f"segment {index}: 0 <= field <= {span} < 2^({gap}+{shared}), {shared} low bits of the next known"
            lines.append((text, gap >= 1 and span < 1 << (gap + shared)))
        text = "zero is a value of both operands"
        return [*lines, (text, 0 in self.weight and 0 in self.activation)]

    def multiply(self, weights: Ints, activations: Ints) -> Ints:
        """Sums of ``T <= depth`` packed products.

        (B, T, m, ky, kx) and (B, T, ny, nx) -> (B, channels, rows, columns); either B may be 1. Forms the packed words,
        one product each, adds, and takes the sum apart. PackingError on a value out of range.
        """
        if weights.shape[1] > self.depth:
            raise PackingError(f"{weights.shape[1]} products in a chain, {self.depth} allowed")
        for name, values, allowed in (("weight", weights, self.weight), ("activation", activations, self.activation)):
            outside = values[(values < allowed.lo) | (values > allowed.hi)]
            if outside.size:
                raise PackingError(f"{name} {outside[0]} is out of range (allowed: {allowed.lo}..{allowed.hi})")
        word = (weights << self.weight_offsets).sum((2, 3, 4)) * (activations << self.activation_offsets).sum((2, 3))
        low = self._low(weights)
        total = word.sum(1) - (low << _offsets(self.outputs, self.strides)).sum((1, 2, 3))
        return self._decode(total, self._low_bits(weights, activations, low)) + low

    def _low(self, weights: Ints) -> Ints:
        """Lower ends of the windows (B, channels, rows, columns), which the hardware adds as one constant word."""
        ones = np.ones((*weights.shape[:2], *self.activations), np.int64)
        if self.window == "tracked":
            ends = weights * self.activation.lo, weights * self.activation.hi
            return convolve(np.minimum(*ends), ones)
        counts = convolve(np.ones((1, 1, *self.weights), np.int64), ones[:1, :1])
        return np.broadcast_to(counts * (self.product_range.lo * self.depth), (len(weights), *self.outputs))

    def _low_bits(self, weights: Ints, activations: Ints, low: Ints) -> Ints:
        """The low bits of every field that are shared, from the low bits of the operands alone."""
        mask = (1 << max(self.overlaps)) - 1
        if not mask:
            return np.zeros_like(low)
        return (convolve(weights & mask, activations & mask) - low) & mask

    def _decode(self, total: Ints, low_bits: Ints) -> Ints:
        """Fields (B, channels, rows, columns) of the raised sums (B,)."""
        fields = np.empty((len(total), *self.outputs), np.int64)
        rest = total
        for index, own in enumerate(self.segments[:-1]):
            width = self.gaps[index] + self.overlaps[index]
            known = np.zeros_like(rest)
            for above in self.segments[index + 1 :]:
                if above.offset >= own.offset + width:
                    break
                known = known + (low_bits[:, above.channel, above.row, above.column] << (above.offset - own.offset))
            field = (rest - known) & ((1 << width) - 1)
            fields[:, own.channel, own.row, own.column] = field
            rest = (rest - field) >> self.gaps[index]
        top = self.segments[-1]
        fields[:, top.channel, top.row, top.column] = rest
        return fields


def convolve(weights: Ints, activations: Ints) -> Ints:
    """Plain sums over terms: (B, T, m, ky, kx) and (B, T, ny, nx) -> (B, m, ky+ny-1, kx+nx-1); either B may be 1."""
    (m, ky, kx), (ny, nx) = weights.shape[2:], activations.shape[2:]
    result = np.zeros((max(len(weights), len(activations)), m, ky + ny - 1, kx + nx - 1), np.int64)
    for i, j in product(range(ky), range(kx)):
        terms: Any = weights[:, :, :, i, j, None, None] * activations[:, :, None]
        result[:, :, i : i + ny, j : j + nx] += terms.sum(1)
    return result


def _offsets(extents: tuple[int, ...], strides: tuple[int, ...]) -> Ints:
    """Bit offset of every grid point."""
    grids = np.meshgrid(
        *(np.arange(n, dtype=np.int64) * s for n, s in zip(extents, strides, strict=True)), indexing="ij"
    )
    return np.asarray(sum(grids), np.int64)


def _overlap(position: int, a: int, b: int) -> int:
    """Pairs i + j == position with i below a and j below b."""
    return min(position + 1, a, b, a + b - 1 - position)
