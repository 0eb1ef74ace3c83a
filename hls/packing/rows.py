"""Packings of one kernel row, of which taps and pixels beyond one product are multiplied side by side.

Plain ones are taken apart with wires alone: fields are read where they lie, activations multiplied as they are.
Dense ones multiply activations less the middle of their range, which makes the fields narrower, or let fields overlap
(`hls.packing.decode`). Windows are fixed. `hls.packing.choose.solve` knows denser ones, for chains of one product.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from functools import cache
from itertools import permutations, product
from math import inf

from hls.packing.decode import MOST_SHARED, RowDecode, decode_resources, separable
from hls.packing.geometry import Geometry, Multiplier
from hls.packing.layout import Layout
from hls.packing.ranges import PackingError, Range
from hls.packing.refine import Built
from hls.packing.search import centred, gap_table, place

MOST_CHANNELS = 4
MOST_PIXELS = 8
LONGEST_CASCADE = 16
"""Blocks of a column that feed each other; what is gained beyond is the last adder of many."""
TYPICAL_LANES = 32
"""Lanes for which packings are compared."""


Key = tuple[int, int, int, int]
"""Output channels and pixels of a product, bits that its fields share at most, offset of the activations."""


def row_packings(weight: Range, activation: Range, taps: int, geometry: Geometry) -> tuple[Built, ...]:
    """The densest plain packing for each number of output channels and pixels per product, densest first.

    Ranges contain zero. Where a block has several modes, each competes. PackingError if not even one multiplication
    fits.
    """
    found = tuple(b for key, b in all_packings(weight, activation, taps, geometry).items() if key[2:] == (0, 0))
    if not found:
        ports = ", ".join(m.name for m in geometry.multipliers)
        raise PackingError(
            f"weights {weight.lo}..{weight.hi} times activations {activation.lo}..{activation.hi} exceed every port of "
            f"{geometry.name} (allowed: {ports})"
        )
    return found


def dense_packings(
    weight: Range, activation: Range, taps: int, geometry: Geometry, channels: int, columns: int, lanes: int
) -> tuple[Built, ...]:
    """Packings with an offset or overlap that pay in a layer, densest first.

    Of all that divide ``channels`` output channels, plain ones included, none has as many useful multiplications per
    block in a row of ``columns`` outputs and fewer LUTs for each. ``lanes``: products that a chain could add.
    """
    offers = []
    for (m, nx, *kind), built in all_packings(weight, activation, taps, geometry).items():
        if channels % m == 0 and nx <= columns:
            useful = Fraction(columns, -(-columns // nx) * nx)
            offers.append((-useful * row_rate(built, taps), row_luts(built, taps, lanes) / useful, any(kind), built))
    pay, least = [], inf
    for _, luts, dense, built in sorted(offers, key=lambda offer: offer[:3]):
        if luts < least and dense:
            pay.append(built)
        least = min(least, luts)
    return tuple(pay)


def find_packing(key: Key, weight: Range, activation: Range, taps: int, geometry: Geometry) -> Built:
    """The packing with this key; PackingError if there is none."""
    found = all_packings(weight, activation, taps, geometry).get(key)
    if found is None:
        names = ("channels", "pixels", "shared bits", "offset")
        asked = ", ".join(f"{name} {value}" for name, value in zip(names, key, strict=True))
        raise PackingError(f"weights {weight.lo}..{weight.hi}, {taps} taps: no packing of {asked} on {geometry.name}")
    return found


def row_key(built: Built, taps: int) -> Key:
    layout = built.layout
    return layout.weights[0], layout.activations[1], _decode(built, taps).shared, built.offset


def row_rate(built: Built, taps: int) -> Fraction:
    """Useful multiplications per block and cycle for a row of ``taps`` taps."""
    m, _, kx = built.layout.weights
    return Fraction(taps * m * built.layout.activations[1] * built.multiplier.lanes, -(-taps // kx))


def row_luts(built: Built, taps: int, lanes: int = TYPICAL_LANES) -> float:
    """LUTs per multiplication that take the products of ``lanes`` lanes apart."""
    m, nx = built.layout.weights[0], built.layout.activations[1]
    return decode_resources(_decode(built, taps), lanes).lut / (lanes * taps * m * nx)


def _decode(built: Built, taps: int) -> RowDecode:
    return RowDecode(built.layout, taps, built.layout.activations[1])


@cache
def all_packings(weight: Range, activation: Range, taps: int, geometry: Geometry) -> dict[Key, Built]:
    """The densest packing for every key, then that with the fewest LUTs; in this order."""
    tied: dict[Key, tuple[Fraction, list[Built]]] = {}
    middle = activation.lo - centred(activation.size).lo
    for multiplier, offset, overlap in product(geometry.multipliers, sorted({0, middle}), range(MOST_SHARED + 1)):
        for found in _packings(weight, activation + -offset, taps, multiplier, overlap):
            built = replace(found, offset=offset)
            key, rate = row_key(built, taps), row_rate(built, taps)
            if key not in tied or rate > tied[key][0]:
                tied[key] = rate, []
            if rate == tied[key][0]:
                tied[key][1].append(built)
    best = {key: min(alike, key=lambda b: (row_luts(b, taps), -b.layout.depth)) for key, (_, alike) in tied.items()}
    return dict(sorted(best.items(), key=lambda item: (-row_rate(item[1], taps), row_luts(item[1], taps))))


def _packings(weight: Range, activation: Range, taps: int, multiplier: Multiplier, overlap: int) -> Iterator[Built]:
    """Of activations as they are multiplied; of equal extents those with different strides."""
    for m, kx in product(range(1, MOST_CHANNELS + 1), range(1, taps + 1)):
        for port, order in product(_ports(multiplier), permutations((0, 2) if m > 1 else (2,))):
            for nx in range(1, MOST_PIXELS + 1):
                found = list(_variants(weight, activation, (m, 1, kx), nx, multiplier, port, order, overlap))
                yield from found
                if not found:
                    break


def _variants(
    weight: Range,
    activation: Range,
    weights: tuple[int, int, int],
    nx: int,
    multiplier: Multiplier,
    port: int,
    order: tuple[int, ...],
    overlap: int,
) -> Iterator[Built]:
    """Strides from the closest to the widest that the ports hold, each with as deep a cascade as its fields allow."""
    span, previous, depth = weight.times(activation).size - 1, None, multiplier.terms
    while depth <= LONGEST_CASCADE * multiplier.terms:
        strides, w, a = place(order, weights, (1, 1, nx), gap_table(span * depth, overlap, weights[2]))
        ports = multiplier.ports[port], multiplier.ports[1 - port]
        if not (ports[0].holds(weight.scaled(w)) and ports[1].holds(activation.scaled(a))):
            return
        if strides != previous:
            layout = Layout(weight, activation, weights, (1, nx), (strides[0], strides[1], strides[2]), depth, "fixed")
            if deep := _deepest(layout, multiplier, overlap):
                yield Built(multiplier, port, deep, 0)
        previous = strides
        depth *= 2


def _deepest(layout: Layout, multiplier: Multiplier, overlap: int) -> Layout | None:
    """With the longest cascade whose fields can be told apart; None where not even its own can."""
    one = replace(layout, depth=1)
    spans, largest = [one.span(segment.terms) for segment in one.segments], one.largest_sum
    for depth in range(LONGEST_CASCADE * multiplier.terms, layout.depth - 1, -multiplier.terms):
        fits = largest * depth < 1 << multiplier.accumulator
        if fits and separable([span * depth for span in spans], one.gaps, overlap):
            return replace(layout, depth=depth)
    return None


def _ports(multiplier: Multiplier) -> tuple[int, ...]:
    return (0, 1) if multiplier.ports[0] != multiplier.ports[1] else (0,)
