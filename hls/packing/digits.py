"""Operands in several passes: a value as digits of mixed radix, ``v = d0 + b0 * (d1 + b1 * (...))``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hls.packing.ranges import Range
from ir.types import Ints

WEIGHT_RADICES = (2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 32, 64)
"""Powers of two and their neighbours: with an odd radix symmetric weights split into symmetric digits."""


@dataclass(frozen=True)
class Digit:
    """One digit of a value: after the digits ``below`` (radix, smallest digit) are taken off, the next one.

    ``own`` is this digit's radix and smallest value; None for the top digit, which is all that remains.
    """

    below: tuple[tuple[int, int], ...] = ()
    own: tuple[int, int] | None = None

    @property
    def coefficient(self) -> int:
        result = 1
        for radix, _ in self.below:
            result *= radix
        return result

    def of(self, values: Ints) -> Ints:
        rest = values
        for radix, low in self.below:
            rest = (rest - _residue(rest, radix, low)) // radix
        return rest if self.own is None else _residue(rest, *self.own)

    def range(self, values: Range) -> Range:
        """Of the digit, for values of this range that include zero."""
        ends = self.of(np.array([values.lo, values.hi], np.int64))
        return (
            Range(int(ends[0]), int(ends[1])) if self.own is None else Range(self.own[1], self.own[1] + self.own[0] - 1)
        )


def _residue(values: Ints, radix: int, low: int) -> Ints:
    return np.asarray(low + (values - low) % radix)


def weight_splits(values: Range) -> Iterator[tuple[int, int, Range]]:
    """(radix, smallest low digit, range of what remains) of useful splits of signed weights."""
    for radix in WEIGHT_RADICES:
        if radix >= values.size:
            return
        for low in sorted({-(radix // 2), -((radix - 1) // 2), *((0,) if radix & (radix - 1) == 0 else ())}):
            rest = Range(-((low + radix - 1 - values.lo) // radix), (values.hi - low) // radix)
            if rest.lo <= 0 <= rest.hi and rest.size < values.size:
                yield radix, low, rest


def activation_splits(count: int) -> Iterator[tuple[int, int]]:
    """(radix, number of values that remain): powers of two only, since digits of activations are taken by wires."""
    radix = 2
    while radix < count:
        yield radix, -(-count // radix)
        radix *= 2
