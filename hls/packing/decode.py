"""How a stream stage takes the sums of packed products apart, field by field and side by side.

With ``G`` a field's bits in the sum up to the next field and ``c`` what each field carries into the next one, every
field follows alone: ``F[k] = G[k] + (c[k] << gap[k]) - c[k-1]``. Where fields lie apart nothing is carried. Where they
overlap by s bits, s bits of the sum hold ``c[k-1] + F[k]`` modulo ``2**s``, and the low bits of ``F[k]`` follow from
the operands' own low bits: so does the carry.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import cycle, product
from typing import NamedTuple

from hls.packing.layout import Layout, Segment
from hls.packing.luts import function_luts
from hls.resources.model import adder, adder_tree, times, total
from ir.target import Resources

MOST_SHARED = 2
"""Bits of overlap for which the low bits of a product are a LUT's function of the operands'."""


class Field(NamedTuple):
    """``bits`` of a segment lie in the sum; ``carry`` more go into the next field, ``below`` come from the last."""

    segment: Segment
    bits: int
    gap: int
    carry: int
    below: int


@dataclass(frozen=True)
class RowDecode:
    """Fields of a layout of one kernel row with fixed windows, for ``taps`` taps by ``pixels`` pixels.

    Taps and pixels beyond one product are multiplied side by side: ``pieces`` by ``blocks`` products.
    """

    layout: Layout
    taps: int
    pixels: int

    @property
    def sums(self) -> int:
        return self.taps + self.pixels - 1

    @property
    def pieces(self) -> int:
        return -(-self.taps // self.layout.weights[2])

    @property
    def blocks(self) -> int:
        return self.pixels // self.layout.activations[1]

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """From low bits to high."""
        layout, found, below = self.layout, list[Field](), 0
        spans = [layout.span(segment.terms) for segment in layout.segments]
        for segment, gap, span, carried in zip(
            layout.segments, layout.gaps, spans, carries(spans, layout.gaps), strict=True
        ):
            bits = min(gap, max(1, (span + below).bit_length()))
            found.append(Field(segment, bits, gap, carried.bit_length(), below.bit_length()))
            below = carried
        return tuple(found)

    @cached_property
    def shared(self) -> int:
        """The most bits that a field carries into the next."""
        return max(field.carry for field in self.fields)

    def raised(self, segment: Segment) -> int:
        """What is added to a segment of a chain so that it is never negative."""
        return max(0, -self.layout.product_range.lo) * segment.terms * self.layout.depth

    @property
    def raise_word(self) -> int:
        """What the sum of a chain begins with."""
        return sum(self.raised(segment) << segment.offset for segment in self.layout.segments)

    def chains(self, lanes: int) -> Iterator[tuple[int, int, int, int]]:
        """(piece, block, first lane, lanes) of every sum of products in a block's accumulator."""
        depth = self.layout.depth
        for piece, block, first in product(range(self.pieces), range(self.blocks), range(0, lanes, depth)):
            yield piece, block, first, min(depth, lanes - first)

    def target(self, piece: int, block: int, column: int) -> int:
        """The row sum of a segment; what lies beyond the last one comes from padding taps and is zero."""
        return min(piece * self.layout.weights[2] + block * self.layout.activations[1] + column, self.sums - 1)

    def pairs(self, segment: Segment) -> Iterator[tuple[int, int]]:
        """(tap, pixel) of a product that meet in a segment."""
        for tap in range(self.layout.weights[2]):
            if 0 <= segment.column - tap < self.layout.activations[1]:
                yield tap, segment.column - tap


def carries(spans: Sequence[int], gaps: Sequence[int]) -> list[int]:
    """The largest carry of each field into the next, from the fields' largest values and the bits up to the next."""
    found, below = [], 0
    for span, gap in zip(spans[:-1], gaps, strict=False):
        below = (span + below) >> gap
        found.append(below)
    return [*found, 0]


def separable(spans: Sequence[int], gaps: Sequence[int], shared: int) -> bool:
    """Whether every carry has at most ``shared`` bits, and lies beside the low bits of one field alone."""
    bits = [carry.bit_length() for carry in carries(spans, gaps)]
    beside = zip(bits[:-2], gaps[1:-1], strict=True)
    return max(bits) <= shared and all(carry <= gap for carry, gap in beside)


@cache
def decode_resources(decode: RowDecode, lanes: int) -> Resources:
    """From the chains of ``lanes`` lanes to the row sums of all output channels of a product."""
    depth, fields = decode.layout.depth, decode.fields
    full, rest = divmod(lanes, depth)
    known = [shared_bits(f.below, f.segment.terms * n) for f in fields if f.below for n in (depth, rest)]
    groups = decode.pieces * decode.blocks
    parts = [*(times(groups * n, one) for one, n in zip(known, cycle((full, 1)), strict=False))]
    meet: dict[tuple[int, int], list[Field]] = {}
    for piece, block, field in product(range(decode.pieces), range(decode.blocks), fields):
        meet.setdefault((field.segment.channel, decode.target(piece, block, field.segment.column)), []).append(field)
    chains = full + (rest > 0)
    for together in meet.values():
        bits, below = max(f.bits + f.carry for f in together), [f.below for f in together if f.below]
        parts.append(adder_tree(chains * len(together) + 1, bits))
        if below:
            result = bits + (chains * len(together)).bit_length()
            parts += [adder_tree(chains * len(below), max(below)), adder(result)]
    return total(*parts)


def shared_bits(bits: int, products: int) -> Resources:
    """A carry of one or two bits, from the low bits of the operands of ``products`` products.

    One bit: the parity of as many ANDs and a bit of the sum. Two: a LUT for both bits of every product modulo 4 and
    one for each addition modulo 4.
    """
    if not products:
        return Resources()
    luts = function_luts(2 * products + 1) if bits == 1 else 2 * products
    return Resources(lut=luts, ff=bits)
