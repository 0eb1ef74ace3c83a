"""What each family of logic is made of: a few counts per family, to which the coefficients are fitted.

The counts follow from the structure (a carry chain has one LUT per bit, a ROM one LUT per 64 words and bit); the
coefficients say how much of it remains, or comes on top, after synthesis. `hls.resources.fit` finds them on measured
primitives, `hls.resources.model` multiplies them out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from math import ceil
from types import MappingProxyType

import numpy as np

from hls.resources.adder_graph import AdderGraph, adder_graph
from hls.resources.compress import popcount_luts, xnor_popcount_luts
from hls.resources.pipeline import register_bits
from ir.types import Ints

Counts = tuple[float, ...]

CHAIN_ROWS = 4
"""Rows that one clock cycle adds in a chain: each is a LUT and a carry chain of a few bits."""


@dataclass(frozen=True)
class Family:
    """``lut`` and ``ff`` give the counts of a primitive from its parameters; names say what a coefficient is per."""

    lut_names: tuple[str, ...]
    lut: Callable[..., Counts]
    ff_names: tuple[str, ...]
    ff: Callable[..., Counts]


def width(count: int) -> int:
    """Bits of the values 0 to ``count``."""
    return max(count, 0).bit_length()


def address(words: int) -> int:
    """Bits of an address."""
    return max(1, width(words - 1))


def tree_bits(terms: int, bits: int) -> int:
    """Sum of the operand widths of all adders of a balanced tree over ``terms`` operands of ``bits`` bits; each result
    has one bit more, its carry."""
    total, level = 0, [bits] * terms
    while len(level) > 1:
        pairs = [max(a, b) + 1 for a, b in zip(level[::2], level[1::2], strict=False)]
        total += sum(pairs) - len(pairs)
        level = pairs + level[2 * len(pairs) :]
    return total


def rom_luts(words: int, bits: int) -> int:
    """Six-input LUTs of a ROM: 64 words of one bit each; multiplexers between LUTs are free up to 512 words. One or two
    words are constants, or the address itself."""
    if words <= 2:
        return 0
    return bits * (ceil(words / 64) + mux_luts(ceil(words / 512)))


def mux_luts(inputs: int) -> int:
    """A multiplexer of one bit: a LUT takes four inputs, three fewer are left."""
    return ceil((inputs - 1) / 3)


def ram_luts(words: int, bits: int) -> int:
    """One write and one read port: eight LUTs hold 14 bits of 32 words or 7 of 64 (AMD UG574), then multiplexers."""
    if words <= 32:
        return 8 * ceil(bits / 14)
    banks = ceil(words / 64)
    return 8 * ceil(bits / 7) * banks + bits * mux_luts(banks)


@dataclass(frozen=True)
class DotShape:
    """A dot product in LUTs: one operand in bit planes, the other in pairs, see `hls.resources.lut_dot`."""

    planes: int
    row_bits: int
    rows: int
    groups: int

    @property
    def sum_bits(self) -> int:
        """A plane's sum: the row's bits and the number of carries."""
        return self.row_bits + width(self.rows - 1)

    @property
    def combination(self) -> tuple[int, int]:
        """Adder bits that combine the planes pair by pair, and bits of the result."""
        parts, luts = [(self.sum_bits, j) for j in range(self.planes)], 0
        while len(parts) > 1:
            pairs = []
            for (low, j), (high, i) in zip(parts[::2], parts[1::2], strict=False):
                bits = max(low - (i - j), high) + 1
                luts += bits
                pairs.append((bits + i - j, j))
            parts = pairs + parts[2 * len(pairs) :]
        return luts, parts[0][0]


def dot_shape(terms: int, weight: int, activation: int, chain: int = CHAIN_ROWS) -> DotShape:
    """The cheaper of the two ways round; planes of the weights where both cost the same."""
    planes, other = (weight, activation) if weight <= activation else (activation, weight)
    rows = ceil(terms / 2)
    return DotShape(planes, other + 1, rows, ceil(rows / chain))


def _lut_dot(terms: int, weight: int, activation: int, chain: int = CHAIN_ROWS) -> Counts:
    s = dot_shape(terms, weight, activation, chain)
    rows = s.planes * s.row_bits * (s.rows + s.groups - 1)
    return rows, s.planes * popcount_luts(s.rows - 1), s.combination[0]


def _lut_dot_ff(terms: int, weight: int, activation: int, chain: int = CHAIN_ROWS) -> Counts:
    s = dot_shape(terms, weight, activation, chain)
    ends = s.planes * (s.groups * s.row_bits + s.rows - s.groups)
    return (ends + s.planes * s.sum_bits + (s.combination[1] if s.planes > 1 else 0),)


@cache
def sample_graph(outputs: int, terms: int, weight: int, activation: int) -> AdderGraph:
    """The adder graph of random weights without -2^(weight-1), seeded by the parameters."""
    return adder_graph(sample_weights(outputs, terms, weight), 0, (1 << activation) - 1)


def sample_weights(outputs: int, terms: int, weight: int) -> Ints:
    top = (1 << weight - 1) - 1
    return np.random.default_rng([outputs, terms, weight]).integers(-top, top + 1, (outputs, terms))


FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        "adder": Family(("bit",), lambda bits: (bits,), ("bit",), lambda bits: (bits + 1,)),
        "adder_tree": Family(
            ("operand bit",),
            lambda terms, bits: (tree_bits(terms, bits),),
            ("result bit",),
            lambda terms, bits: (tree_bits(terms, bits) + terms - 1,),
        ),
        "accumulator": Family(("bit",), lambda bits: (bits,), ("bit",), lambda bits: (bits,)),
        "comparator": Family(("bit",), lambda bits: (bits,), ("one",), lambda bits: (1,)),
        "clip": Family(
            ("bit in", "bit out", "one"),
            lambda bits, out: (bits, out, 1),
            ("bit out",),
            lambda bits, out: (out,),
        ),
        "mux": Family(
            ("4:1 of a bit",),
            lambda inputs, bits: (bits * mux_luts(inputs),),
            ("bit",),
            lambda inputs, bits: (bits,),
        ),
        "rom": Family(
            ("64 words of a bit",),
            lambda words, bits: (rom_luts(words, bits),),
            ("bit",),
            lambda words, bits: (bits,),
        ),
        "ram": Family(
            ("RAM LUT",),
            lambda words, bits: (ram_luts(words, bits),),
            ("bit",),
            lambda words, bits: (bits,),
        ),
        "fifo": Family(
            ("bit", "address bit", "one"),
            lambda depth, bits: (bits, address(depth), 1),
            ("bit out of shift registers", "address bit", "one"),
            lambda depth, bits: (bits * depth if depth < 3 else 0, address(depth), 1),
        ),
        "delay": Family(
            ("32 cycles of a bit",),
            lambda cycles, bits: (bits * ceil((cycles - 1) / 32),),
            ("bit",),
            lambda cycles, bits: (bits,),
        ),
        "counter_nest": Family(
            ("counter bit", "counter"),
            lambda bits, counters: (bits, counters),
            ("counter bit",),
            lambda bits, counters: (bits,),
        ),
        "segment_decode": Family(
            ("adder bit",),
            lambda segments, pitch, chains: (segments * tree_bits(chains, pitch),),
            ("result bit",),
            lambda segments, pitch, chains: (segments * (tree_bits(chains, pitch) + chains - 1),),
        ),
        "maximum": Family(("bit",), lambda bits: (bits,), ("bit",), lambda bits: (bits,)),
        "popcount": Family(("counter output",), lambda n: (popcount_luts(n),), ("bit",), lambda n: (width(n),)),
        "xnor_popcount": Family(
            ("counter output",),
            lambda n: (xnor_popcount_luts(n),),
            ("bit",),
            lambda n: (width(n),),
        ),
        "lut_dot": Family(("row bit", "carry counter output", "plane adder bit"), _lut_dot, ("bit",), _lut_dot_ff),
        "constant_dot": Family(
            ("adder bit",),
            lambda **parameters: (sample_graph(**parameters).luts,),
            ("register bit",),
            lambda **parameters: (register_bits(sample_graph(**parameters)),),
        ),
    }
)
