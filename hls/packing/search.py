"""Search for the layouts that do most multiplications in one use of a multiplier.

For given extents and an order of the three dimensions from low bits to high, strides that just keep the fields apart
are a closed form, so the search runs over extents and orders only. It looks at the best case in the choices that cannot
raise the rate (activations around zero, tracked windows, one product deep); `hls.packing.refine` then looks for the
cheapest way to build what was found.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import permutations

from hls.packing.geometry import Multiplier
from hls.packing.ranges import Range, comb

MAX_KERNEL = 7
MAX_TIES = 8
Extents = tuple[int, int, int]
Order = tuple[int, ...]


@dataclass(frozen=True)
class Fit:
    """Extents (channel, row, column) of both operands; ``order`` of the dimensions above one, low bits first."""

    multiplier: Multiplier
    weight_port: int
    order: Order
    weights: Extents
    activations: Extents
    overlap: int

    @property
    def pixels(self) -> int:
        """Outputs that a use advances by: output channels times pixels."""
        return self.weights[0] * self.activations[1] * self.activations[2]


def centred(count: int) -> Range:
    """``count`` values around zero."""
    return Range(-(count // 2), count - 1 - count // 2)


def place(order: Order, weights: Extents, activations: Extents, gaps: Sequence[int]) -> tuple[list[int], int, int]:
    """Strides, and the packed units ``sum 2**offset`` of both operands.

    ``gaps[c]`` is the room that a segment of c products needs. The gap below a step of a dimension follows a segment
    that is last, hence a single product, in all lower dimensions, and at most the fullest in this and the upper ones.
    """
    strides, reach, weight_unit, activation_unit = [0, 0, 0], 0, 1, 1
    fullest = 1
    for d in order:
        fullest *= min(weights[d], activations[d])
    for d in order:
        n, k = activations[d], weights[d]
        stride = strides[d] = reach + gaps[fullest]
        fullest //= min(k, n)
        reach += (k + n - 2) * stride
        weight_unit *= comb(k, stride)
        activation_unit *= comb(n, stride)
    return strides, weight_unit, activation_unit


def gap_table(span: int, overlap: int, size: int = MAX_KERNEL**2) -> list[int]:
    """Room for 0..size products of span ``span`` each, where the field above may be overlapped.

    An overlapped field keeps more bits in the product than it overlaps: otherwise the logic outside would
    do more than the multiplier.
    """
    needs = [max(1, (count * span).bit_length()) for count in range(size + 1)]
    return [max(need - overlap, min(need, overlap + 1)) for need in needs]


@cache
def best_fits(
    weight: Range, activation_count: int, multiplier: Multiplier, overlap: int, one_channel: bool
) -> dict[tuple[int, int], list[Fit]]:
    """(columns, rows) of a kernel patch -> the fits with most `Fit.pixels`, some of those that are equally good."""
    found: dict[tuple[int, int], list[Fit]] = {}
    gaps = gap_table(weight.magnitude * (activation_count - 1) * multiplier.terms, overlap)
    reach = sum(port.signed for port in multiplier.ports)
    for port in (0, 1) if multiplier.ports[0] != multiplier.ports[1] else (0,):
        weight_limit = multiplier.ports[port].largest_unit(weight)
        other = multiplier.ports[1 - port]
        activation_limit = max(
            other.largest_unit(centred(activation_count)), other.largest_unit(Range(0, activation_count - 1))
        )
        if not weight_limit or not activation_limit:
            continue
        sum_limit = (1 << multiplier.accumulator) // max(
            1, weight.magnitude * (activation_count - 1) * multiplier.terms
        )
        for kx, ky, m in _weight_extents(weight_limit.bit_length(), gaps[1], one_channel):
            fits = found.setdefault((kx, ky), [])
            best = fits[0].pixels if fits else 1
            for ny in range(1, 2 if kx == 1 else 1 + activation_limit.bit_length() // gaps[1]):
                segments = reach // gaps[1] + 2
                if (segments // (m * (ky + ny - 1)) - kx + 1) * ny * m < best:
                    continue
                weights = (m, ky, kx)
                for order in _orders(m > 1, ky > 1 or ny > 1):
                    nx = -(-best // (ny * m))
                    while True:
                        activations = (1, ny, nx)
                        _, w, a = place(order, weights, activations, gaps)
                        if w > weight_limit or a > activation_limit or w * a >= sum_limit:
                            break
                        if m * ny * nx > best or not fits:
                            best = m * ny * nx
                            fits.clear()
                        if len(fits) < MAX_TIES:
                            fits.append(Fit(multiplier, port, order, weights, activations, overlap))
                        nx += 1
    return {patch: fits for patch, fits in found.items() if fits}


def _weight_extents(bits: int, gap: int, one_channel: bool) -> Iterator[Extents]:
    """(kx, ky, m) with kx >= ky whose weights may fit ``bits``."""
    most = 1 + bits // gap
    for kx in range(1, MAX_KERNEL + 1):
        for ky in range(1, kx + 1):
            for m in range(1, 1 + (min(1, most // (kx * ky)) if one_channel else most // (kx * ky))):
                yield kx, ky, m


@cache
def _orders(channel: bool, row: bool) -> tuple[Order, ...]:
    """Of the dimensions channel 0 and row 1 where they are not trivial, and column 2."""
    return tuple(permutations((*((0,) if channel else ()), *((1,) if row else ()), 2)))
