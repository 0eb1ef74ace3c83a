"""Logic beside the multipliers, in six-input LUTs: estimates for comparing packings, not a synthesis result."""

from __future__ import annotations

from itertools import pairwise

from hls.packing.geometry import Multiplier
from hls.packing.layout import Layout
from hls.packing.ranges import Range
from hls.resources.model import lut_dot

ROM_DEPTH = 64
"""Words in one LUT used as memory: what a tracked window's constant costs per bit."""


def function_luts(inputs: int) -> int:
    """A one-bit function that is a tree, such as a parity."""
    return 0 if inputs < 2 else max(1, -(-(inputs - 1) // 5))


def product_luts(weight_bits: int, activation_bits: int) -> float:
    """One multiply-accumulate without a multiplier block: bit planes and pairs in a dot product of 16 terms, by the
    model that `hls.resources` fitted to synthesis."""
    return lut_dot(16, weight_bits, activation_bits).lut / 16


def layout_luts(layout: Layout, multiplier: Multiplier, offset: int) -> float:
    """Per multiplier and cycle: forming operands, computing shared bits, decoding and adding a chain's fields."""
    decode, repair = 0.0, 0
    for index, segment in enumerate(layout.segments):
        decode += layout.field_bits(segment)  # the adder of its accumulator
        if index and (shared := layout.overlaps[index - 1]):
            pairs = 2 * segment.terms
            repair += function_luts(pairs + 1) if shared == 1 else shared * (pairs - 1)
            decode += layout.gaps[index]  # subtracts what the field below shares
        if not multiplier.addend:
            decode += layout.gaps[index]
    if layout.window == "tracked" and multiplier.addend:
        decode += layout.largest_sum.bit_length()  # the word that raises the windows, in LUT memory
    return repair + decode / layout.depth + operand_luts(layout, multiplier, offset)


def operand_luts(layout: Layout, multiplier: Multiplier, offset: int) -> int:
    """Packing activations: wires, unless they are moved by an offset or lie closer than they are wide."""
    offsets = sorted(int(o) for o in layout.activation_offsets.flat)
    width = (layout.activation + offset).with_zero().signed_bits - 1
    close = any(b - a < width for a, b in pairwise(offsets)) or layout.activation.lo + offset < 0
    adders = bool(offset) + (close and len(offsets) > 1)
    bits = layout.packed_activation.signed_bits
    return bits * max(0, adders - (bits <= multiplier.pre_adder))


def range_bits(values: Range) -> int:
    """Stored width: unsigned where nothing is negative."""
    return values.signed_bits if values.lo < 0 else max(1, values.hi.bit_length())
