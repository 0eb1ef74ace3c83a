"""Resources of the logic that stages are made of: what the layer generators call.

Every function gives `ir.target.Resources` of one instance, pipelined: results are registered. LUTs and flip-flops come
from counts per family (`hls.resources.families`) times coefficients fitted on primitives synthesised with Yosys for
UltraScale+ (`docs/resources.md` has the errors); block memories and multipliers are exact by geometry. Widths are bits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import yaml

from hls.resources import memory
from hls.resources.adder_graph import AdderGraph, adder_graph
from hls.resources.families import CHAIN_ROWS, FAMILIES, Counts, address, ram_luts, rom_luts, width
from hls.resources.pipeline import register_bits
from ir.target import Resources
from ir.types import Ints

if TYPE_CHECKING:
    from hls.packing.geometry import Geometry

MemoryStyle = Literal["lut", "bram", "uram", "auto"]

LUT_PER_BRAM18 = 160
"""Where a memory may be either: a block costs as much as this many LUTs (ZU3EG: 70,560 LUTs, 432 blocks)."""

COEFFICIENTS = Path(__file__).with_name("coefficients.yaml")


@cache
def coefficients() -> Mapping[str, Mapping[str, Sequence[float]]]:
    """Per family the fitted factors of its counts, ``lut`` and ``ff``."""
    return dict(yaml.safe_load(COEFFICIENTS.read_text(encoding="utf-8")))


@cache
def estimate(family: str, **parameters: int) -> Resources:
    """A family's LUTs and flip-flops for these parameters."""
    counts = FAMILIES[family]
    return weighed(family, counts.lut(**parameters), counts.ff(**parameters))


def weighed(family: str, lut: Counts, ff: Counts) -> Resources:
    """A family's counts times its coefficients."""
    factors = coefficients()[family]
    sums = [sum(f * c for f, c in zip(factors[k], v, strict=True)) for k, v in (("lut", lut), ("ff", ff))]
    return Resources(lut=round(sums[0]), ff=round(sums[1]))


def times(count: int, each: Resources) -> Resources:
    """``count`` instances."""
    return Resources(*(count * v for v in (each.lut, each.dsp, each.bram18, each.uram, each.ff)))


PORT = Resources(lut=1200, bram18=4)
"""A memory port with its burst logic."""


def total(*parts: Resources) -> Resources:
    return sum(parts, Resources())


# Sums


def adder(bits: int) -> Resources:
    """One addition or subtraction of operands of ``bits`` bits; the result has one more."""
    return estimate("adder", bits=bits)


def adder_tree(terms: int, bits: int) -> Resources:
    """Sum of ``terms`` operands of ``bits`` bits at full precision, a register after each level."""
    return estimate("adder_tree", terms=terms, bits=bits)


def accumulator(bits: int) -> Resources:
    """``sum = (first ? 0 : sum) + x`` of ``bits`` bits."""
    return estimate("accumulator", bits=bits)


def segment_decode(segments: int, pitch: int, chains: int) -> Resources:
    """Fields of ``pitch`` bits sliced out of ``chains`` packed sums and added over the chains; each field of a signed
    packing takes the bit below it as carry."""
    return estimate("segment_decode", segments=segments, pitch=pitch, chains=chains)


# Comparison and requantisation


def comparator(bits: int) -> Resources:
    """``x >= t`` of two variables (the threshold comes from a ROM)."""
    return estimate("comparator", bits=bits)


def maximum(bits: int) -> Resources:
    """The larger of two words."""
    return estimate("maximum", bits=bits)


def clip(bits: int, out_bits: int) -> Resources:
    """A signed value of ``bits`` bits limited to constants at the ends of ``out_bits``."""
    return estimate("clip", bits=bits, out=out_bits)


def thresholds(levels: int, bits: int, channels: int) -> Resources:
    """``#{t : x >= table[c, t]}`` with one comparator per level and the table in LUTs."""
    if levels == 0:
        return Resources()
    return total(
        times(levels, comparator(bits)),
        Resources(lut=rom(channels, levels * bits, "lut").lut),
        popcount(levels),
    )


def binary_search(levels: int, bits: int, channels: int, style: MemoryStyle = "auto") -> Resources:
    """The same result by one comparison per bit of it, pipelined: step k reads one of 2^k thresholds per channel."""
    steps = width(levels)
    parts = [
        total(comparator(bits), rom(channels << k, bits, style), Resources(ff=bits + k + address(channels)))
        for k in range(steps)
    ]
    return total(*parts)


# Steering


def mux(inputs: int, bits: int) -> Resources:
    """One of ``inputs`` words."""
    return estimate("mux", inputs=inputs, bits=bits)


def counter_nest(extents: Sequence[int]) -> Resources:
    """Counters of a loop nest, each stepping when the one inside it wraps; a loop of one trip costs nothing."""
    bits = [width(extent - 1) for extent in extents if extent > 1]
    return estimate("counter_nest", bits=sum(bits), counters=len(bits))


def unpack(lanes: int, bits: int) -> Resources:
    """Taking lanes out of a word, or putting them in: wires."""
    return Resources()


# Memories


def rom(words: int, bits: int, style: MemoryStyle = "auto") -> Resources:
    """Constants, one read port. UltraRAM holds no initial values: ``uram`` is an error here."""
    if style == "uram":
        raise ValueError(f"rom of {words} x {bits}: UltraRAM has no initial values (allowed: lut, bram, auto)")
    blocks = memory.bram18(words, bits)
    if style == "bram" or (style == "auto" and rom_luts(words, bits) > blocks * LUT_PER_BRAM18):
        return Resources(bram18=blocks)
    return estimate("rom", words=words, bits=bits)


def ram(words: int, bits: int, style: MemoryStyle = "auto") -> Resources:
    """One write and one read port."""
    blocks = memory.bram18(words, bits)
    if style == "uram":
        return Resources(uram=memory.uram(words, bits))
    if style == "bram" or (style == "auto" and ram_luts(words, bits) > blocks * LUT_PER_BRAM18):
        return Resources(bram18=blocks)
    return estimate("ram", words=words, bits=bits)


def fifo(depth: int, bits: int) -> Resources:
    """A stream's buffer: shift registers up to 32 words, block RAM with counters beyond."""
    if depth > 32:
        blocks = memory.bram18(depth, bits)
        return Resources(bram18=blocks) + counter_nest([depth, depth])
    return estimate("fifo", depth=depth, bits=bits)


def delay(cycles: int, bits: int) -> Resources:
    """A word ``cycles`` later: shift registers and a last flip-flop."""
    return estimate("delay", cycles=cycles, bits=bits)


# Multiplication


def multiply_dsp(left: int, right: int, geometry: Geometry) -> Resources:
    """A signed product in multiplier blocks; the operands are split where the ports are narrower.

    All parts of a split operand but the top one are unsigned and use a signed port's width less one.
    """
    multiplier = geometry.multipliers[0]
    first, second = multiplier.ports

    def tiles(a: int, b: int) -> int:
        return _parts(a, first.signed, first.unsigned) * _parts(b, second.signed, second.unsigned)

    blocks = min(tiles(left, right), tiles(right, left))
    joins = Resources() if multiplier.addend else times(blocks - 1, adder(left + right))
    return Resources(dsp=blocks) + joins


def _parts(bits: int, signed: int, unsigned: int) -> int:
    return 1 + max(0, -(-(bits - signed) // unsigned))


def lut_dot(terms: int, weight_bits: int, activation_bits: int, chain: int = CHAIN_ROWS) -> Resources:
    """A dot product of variables in LUTs, per output: see `hls.resources.lut_dot`.

    Signed weights, activations of either sign. Where the planes are the weights', the sums of neighbouring activations
    are made once for all outputs: add `lut_dot_shared`.
    """
    return estimate("lut_dot", terms=terms, weight=weight_bits, activation=activation_bits, chain=chain)


def lut_dot_shared(terms: int, weight_bits: int, activation_bits: int) -> Resources:
    """Sums of neighbouring activations, once for all outputs that read them. Nothing where activations are narrower
    than weights: then sums of neighbouring weights come out of the ROM, see `lut_dot_rom_bits`."""
    if activation_bits < weight_bits:
        return Resources()
    return times(terms // 2, adder(activation_bits))


def lut_dot_rom_bits(terms: int, weight_bits: int, activation_bits: int) -> int:
    """Bits per step and output that the weight ROM of a `lut_dot` has."""
    pairs = terms // 2 * (weight_bits + 1) if activation_bits < weight_bits else 0
    return terms * weight_bits + pairs


def constant_dot(weights: Ints, activation_bits: int, signed: bool = False) -> Resources:
    """All dot products of ``weights`` (outputs, inputs...) with one vector of activations, every cycle: the adder graph
    of these very constants."""
    lo = -(1 << activation_bits - 1) if signed else 0
    graph = adder_graph(np.asarray(weights).reshape(len(weights), -1), lo, lo + (1 << activation_bits) - 1)
    return graph_resources(graph)


def graph_resources(graph: AdderGraph) -> Resources:
    """An adder graph (`hls.resources.adder_graph`), a register after every second adder."""
    return weighed("constant_dot", (graph.luts,), (register_bits(graph),))


def popcount(n: int) -> Resources:
    """The number of ones among ``n`` bits."""
    return estimate("popcount", n=n)


def xnor_popcount(n: int) -> Resources:
    """A dot product of ``n`` bipolar terms: the number of equal bits."""
    return estimate("xnor_popcount", n=n)
