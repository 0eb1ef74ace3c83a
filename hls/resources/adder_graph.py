"""Sums of constant multiples as a graph of shared adders.

A matrix of constants times a vector of variables: every constant in canonical signed digits, then the pair of digits
that occurs most often over all rows (same inputs, distance and relative sign) becomes an adder of its own, until no
pair occurs twice (Hartley, "Subexpression sharing in filters using canonic signed digit multipliers", 1996; across
several outputs: Potkonjak et al., 1996). What remains of each row is added up, the narrowest operands first.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from itertools import combinations

from ir.types import Ints

Digit = tuple[int, int, int]
"""Signal, shift and sign: one term of a sum. Signals are inputs first, then adders in order."""

Pattern = tuple[int, int, int, int]
"""Signal, signal, distance and relative sign: ``first + sign * (second << distance)``, distance below zero the other
way round."""


@dataclass(frozen=True)
class Adder:
    """``(left << left_shift) + sign * (right << right_shift)``; its values lie in ``lo`` to ``hi``."""

    left: int
    left_shift: int
    right: int
    right_shift: int
    sign: int
    lo: int
    hi: int

    @property
    def bits(self) -> int:
        """Width of its values in two's complement, unsigned where nothing is negative."""
        return range_bits(self.lo, self.hi)

    @property
    def luts(self) -> int:
        """Bits that go through the carry chain: below the shifted operand the other one passes unchanged."""
        passed = self.right_shift - self.left_shift if self.sign > 0 or self.right_shift > self.left_shift else 0
        return self.bits - min(abs(passed) + min(self.left_shift, self.right_shift), self.bits)


@dataclass(frozen=True)
class AdderGraph:
    """``inputs`` variables; each output is one digit (a shifted, signed signal), or None where the row is zero."""

    inputs: int
    input_bits: int
    adders: tuple[Adder, ...]
    outputs: tuple[Digit | None, ...]

    @property
    def luts(self) -> int:
        return sum(adder.luts for adder in self.adders)

    @property
    def bits(self) -> int:
        """Result bits of all adders: the flip-flops if each is registered."""
        return sum(adder.bits for adder in self.adders)

    def width(self, output: Digit | None) -> int:
        """Bits of an output in two's complement."""
        if output is None:
            return 1
        signal, shift, _ = output
        bits = self.input_bits if signal < self.inputs else self.adders[signal - self.inputs].bits
        return bits + shift + 1

    def evaluate(self, values: Sequence[int]) -> list[int]:
        """The outputs for one vector of inputs."""
        signals = list(values)
        for a in self.adders:
            signals.append((signals[a.left] << a.left_shift) + a.sign * (signals[a.right] << a.right_shift))
        return [sign * (signals[signal] << shift) if sign else 0 for signal, shift, sign in map(_digit, self.outputs)]


def _digit(output: Digit | None) -> Digit:
    return output if output else (0, 0, 0)


def range_bits(lo: int, hi: int) -> int:
    """Bits of the values ``lo`` to ``hi``: two's complement if some are negative."""
    return max(hi.bit_length(), (-lo - 1).bit_length()) + 1 if lo < 0 else max(1, hi.bit_length())


def signed_digits(value: int) -> list[tuple[int, int]]:
    """(shift, sign) of a constant's canonical signed digits: no two neighbours, as few as possible."""
    sign, value = (1, value) if value >= 0 else (-1, -value)
    digits, shift = [], 0
    while value:
        if value & 1:
            digit = 2 - (value & 3)
            digits.append((shift, sign * digit))
            value -= digit
        value >>= 1
        shift += 1
    return digits


def adder_graph(weights: Ints, lo: int, hi: int) -> AdderGraph:
    """The graph of ``weights`` (outputs, inputs) times a vector of values in ``lo`` to ``hi``."""
    rows = [
        {(i, shift, sign) for i, weight in enumerate(row) for shift, sign in signed_digits(int(weight))}
        for row in weights
    ]
    builder = _Builder(int(weights.shape[1]), [(lo, hi)] * int(weights.shape[1]), [])
    _Sharing(rows).run(builder)
    outputs = tuple(_sum(row, builder) for row in rows)
    return AdderGraph(builder.inputs, range_bits(lo, hi), tuple(builder.adders), outputs)


@dataclass
class _Builder:
    inputs: int
    ranges: list[tuple[int, int]]
    adders: list[Adder]

    def add(self, left: Digit, right: Digit) -> Digit:
        """A new adder of two digits, without their common shift and sign: the digit that it makes."""
        base = min(left[1], right[1])
        if left[2] < 0 < right[2] or (left[2] == right[2] and left[1] > right[1]):
            left, right = right, left
        (a, a_shift, common), (b, b_shift, other) = left, right
        sign, a_shift, b_shift = common * other, a_shift - base, b_shift - base
        (a_lo, a_hi), (b_lo, b_hi) = self.ranges[a], self.ranges[b]
        ends = sorted((sign * (b_lo << b_shift), sign * (b_hi << b_shift)))
        lo, hi = (a_lo << a_shift) + ends[0], (a_hi << a_shift) + ends[1]
        self.adders.append(Adder(a, a_shift, b, b_shift, sign, lo, hi))
        self.ranges.append((lo, hi))
        return len(self.ranges) - 1, base, common


def _pattern(a: Digit, b: Digit) -> Pattern:
    a, b = min(a, b), max(a, b)
    return a[0], b[0], b[1] - a[1], a[2] * b[2]


class _Sharing:
    """Rows of digits, how often each pattern occurs in them, and where each signal's digits are."""

    def __init__(self, rows: list[set[Digit]]) -> None:
        self.rows = rows
        self.counts = Counter(_pattern(a, b) for row in rows for a, b in combinations(row, 2))
        self.places: dict[int, set[tuple[int, int, int]]] = defaultdict(set)
        for index, row in enumerate(rows):
            for signal, shift, sign in row:
                self.places[signal].add((index, shift, sign))
        self.queue = [(-count, pattern) for pattern, count in self.counts.items() if count > 1]
        heapify(self.queue)

    def run(self, builder: _Builder) -> None:
        """Replace the most frequent pair by an adder's result until no pair is left twice."""
        while self.queue:
            count, pattern = heappop(self.queue)
            if 1 < self.counts[pattern] < -count:
                heappush(self.queue, (-self.counts[pattern], pattern))
            found = self.occurrences(pattern) if self.counts[pattern] == -count else []
            if len(found) < 2:
                continue
            made = builder.add(*found[0][1:])
            _, first, _ = found[0]
            for row, a, b in found:
                self.remove(row, a)
                self.remove(row, b)
                self.insert(row, (made[0], made[1] + a[1] - first[1], made[2] * a[2] * first[2]))

    def occurrences(self, pattern: Pattern) -> list[tuple[int, Digit, Digit]]:
        """Row and digits of the pairs of a pattern that have no digit in common."""
        first, second, distance, relative = pattern
        found: list[tuple[int, Digit, Digit]] = []
        used: set[tuple[int, Digit]] = set()
        for row, shift, sign in sorted(self.places[first]):
            a, b = (first, shift, sign), (second, shift + distance, sign * relative)
            if b in self.rows[row] and not {(row, a), (row, b)} & used:
                used |= {(row, a), (row, b)}
                found.append((row, a, b))
        return found

    def remove(self, row: int, digit: Digit) -> None:
        self.rows[row].remove(digit)
        self.places[digit[0]].remove((row, *digit[1:]))
        self.counts.subtract(_pattern(digit, other) for other in self.rows[row])

    def insert(self, row: int, digit: Digit) -> None:
        for other in self.rows[row]:
            pattern = _pattern(digit, other)
            self.counts[pattern] += 1
            if self.counts[pattern] > 1:
                heappush(self.queue, (-self.counts[pattern], pattern))
        self.rows[row].add(digit)
        self.places[digit[0]].add((row, *digit[1:]))


def _sum(row: set[Digit], builder: _Builder) -> Digit | None:
    """Add up what is left of a row, the two narrowest operands first; the sum as one digit."""

    def entry(digit: Digit) -> tuple[int, Digit]:
        lo, hi = builder.ranges[digit[0]]
        return max(abs(lo), abs(hi)).bit_length() + digit[1], digit

    heap = [entry(digit) for digit in row]
    heapify(heap)
    while len(heap) > 1:
        (_, a), (_, b) = heappop(heap), heappop(heap)
        heappush(heap, entry(builder.add(a, b)))
    return heap[0][1] if heap else None
