"""Counting ones with six-input LUTs: counters of up to six bits of equal weight, then one carry chain.

A counter of 4 to 6 bits makes three bits with three LUTs, one of 3 bits makes two with two; both remove as many bits as
they cost, or half. When no column has more than two bits left, an adder finishes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Counter:
    """Counts ``inputs`` bits of weight ``2**column``; its outputs go to the columns from there on."""

    column: int
    inputs: int

    @property
    def outputs(self) -> int:
        return self.inputs.bit_length()


@dataclass(frozen=True)
class Compression:
    """Rounds of counters working side by side, and the columns that the final adder spans (None: not needed)."""

    rounds: tuple[tuple[Counter, ...], ...]
    adder: tuple[int, int] | None

    @property
    def luts(self) -> int:
        first, last = self.adder or (0, 0)
        return sum(counter.outputs for round_ in self.rounds for counter in round_) + last - first


def compression(columns: Mapping[int, int]) -> Compression:
    """How to reduce ``columns`` (weight exponent -> number of bits) to one number."""
    heights, rounds = {k: n for k, n in columns.items() if n}, []
    while max(heights.values(), default=0) > 2:
        counters = tuple(Counter(column, size) for column in sorted(heights) for size in _groups(heights[column]))
        for counter in counters:
            heights[counter.column] -= counter.inputs
        for counter in counters:
            for up in range(counter.outputs):
                heights[counter.column + up] = heights.get(counter.column + up, 0) + 1
        rounds.append(counters)
    double = [column for column, n in heights.items() if n == 2]
    return Compression(tuple(rounds), (min(double), max(heights) + 1) if double else None)


def _groups(height: int) -> Sequence[int]:
    """Sizes of the counters of a column: sixes, then what is left if it is three or more."""
    if height < 3:
        return ()
    sixes, rest = divmod(height, 6)
    return [6] * sixes + ([rest] if rest >= 3 else [])


def popcount_luts(n: int) -> int:
    """LUTs that count ``n`` bits."""
    return compression({0: n}).luts


def xnor_popcount_luts(n: int) -> int:
    """The same for ``n`` pairs of bits: the first counters take three pairs, six inputs, each."""
    triples, rest = divmod(n, 3)
    columns = {0: triples + (1 if rest else 0), 1: triples + (1 if rest == 2 else 0)}
    return 2 * triples + rest + compression(columns).luts
