"""Packings of one kernel row that a stream stage decodes with wires alone.

Fields are read where they lie, so windows are fixed, fields do not overlap, and activations are multiplied as they are;
taps and pixels beyond one product are multiplied side by side. `hls.packing.choose.solve` knows denser ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from functools import cache
from itertools import permutations, product

from hls.packing.geometry import Geometry, Multiplier
from hls.packing.ranges import PackingError, Range
from hls.packing.refine import Built, variants
from hls.packing.search import Fit

MOST_CHANNELS = 4
MOST_PIXELS = 8
LONGEST_CASCADE = 16
"""Blocks of a column that feed each other; what is gained beyond is the last adder of many."""


@cache
def row_packings(weight: Range, activation: Range, taps: int, geometry: Geometry) -> tuple[Built, ...]:
    """The densest packing for each number of output channels and pixels per product, densest first.

    Ranges contain zero. Where a block has several modes, each competes. PackingError if not even one multiplication
    fits.
    """
    best: dict[tuple[int, int], Built] = {}
    for built in _row_packings(weight, activation, taps, geometry):
        key = (built.layout.weights[0], built.layout.activations[1])
        if key not in best or _quality(built, taps) > _quality(best[key], taps):
            best[key] = built
    if not best:
        ports = ", ".join(m.name for m in geometry.multipliers)
        raise PackingError(
            f"weights {weight.lo}..{weight.hi} times activations {activation.lo}..{activation.hi} exceed every port of "
            f"{geometry.name} (allowed: {ports})"
        )
    return tuple(sorted(best.values(), key=lambda b: _quality(b, taps), reverse=True))


def row_rate(built: Built, taps: int) -> Fraction:
    """Useful multiplications per block and cycle for a row of ``taps`` taps."""
    m, _, kx = built.layout.weights
    return Fraction(taps * m * built.layout.activations[1] * built.multiplier.lanes, -(-taps // kx))


def _quality(built: Built, taps: int) -> tuple[Fraction, float, int]:
    return row_rate(built, taps), -round(built.luts, 6), built.layout.depth


def _row_packings(weight: Range, activation: Range, taps: int, geometry: Geometry) -> Iterator[Built]:
    for multiplier in geometry.multipliers:
        for m, kx, nx in product(range(1, MOST_CHANNELS + 1), range(1, taps + 1), range(1, MOST_PIXELS + 1)):
            for port, order in product(_ports(multiplier), permutations((0, 2) if m > 1 else (2,))):
                fit = Fit(multiplier, port, order, (m, 1, kx), (1, 1, nx), 0)
                for built in variants(fit, weight, activation):
                    if built.layout.window == "fixed" and not built.offset:
                        yield _shorter(built)


def _ports(multiplier: Multiplier) -> tuple[int, ...]:
    return (0, 1) if multiplier.ports[0] != multiplier.ports[1] else (0,)


def _shorter(built: Built) -> Built:
    return replace(built, layout=replace(built.layout, depth=min(built.layout.depth, LONGEST_CASCADE)))
