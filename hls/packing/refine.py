"""From a fit to the cheapest layout that has its rate: offset, window, overlap and cascade depth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import product

from hls.packing.geometry import Multiplier
from hls.packing.layout import Layout, Window
from hls.packing.luts import layout_luts
from hls.packing.ranges import Range
from hls.packing.search import Fit, centred, gap_table, place

MAX_DEPTH = 1 << 12


@dataclass(frozen=True)
class Built:
    """A layout on a port of a multiplier; the packed activations are values minus ``offset``."""

    multiplier: Multiplier
    weight_port: int
    layout: Layout
    offset: int

    @property
    def luts(self) -> float:
        """Of all lanes."""
        lanes = 1 if self.multiplier.summed else self.multiplier.lanes
        return lanes * layout_luts(self.layout, self.multiplier, self.offset)

    @property
    def multiplies(self) -> int:
        return self.layout.products * self.multiplier.lanes


@cache
def refine(fit: Fit, weight: Range, activation: Range) -> Built | None:
    """The layout of this fit with the fewest LUTs, then the most depth; None if the true ranges do not allow it.

    ``activation`` is the range before any offset.
    """
    found = variants(fit, weight, activation)
    return min(found, key=lambda b: (round(b.luts, 6), -b.layout.depth), default=None)


def variants(fit: Fit, weight: Range, activation: Range) -> Iterator[Built]:
    middle = activation.lo - centred(activation.size).lo
    windows: tuple[Window, Window] = ("fixed", "tracked")
    _, ky, kx = fit.weights
    for offset, window, overlap in product({0, middle, activation.lo}, windows, range(fit.overlap + 1)):
        moved = activation + -offset
        depth = fit.multiplier.terms
        previous = (0, 0, 0)
        while depth <= MAX_DEPTH:
            draft = Layout(weight, moved, fit.weights, fit.activations[1:], (1, 1, 1), depth, window)
            strides, _, _ = place(fit.order, fit.weights, fit.activations, gap_table(draft.span(1), overlap, ky * kx))
            layout = replace(draft, strides=(strides[0], strides[1], strides[2]))
            if layout.strides != previous:
                built = Built(fit.multiplier, fit.weight_port, deepest(layout, overlap, fit.multiplier), offset)
                if not fits(built):
                    break
                yield built
            previous = layout.strides
            depth *= 2


def deepest(layout: Layout, overlap: int, multiplier: Multiplier) -> Layout:
    """With as many products in a chain as fields and accumulator hold."""
    one = replace(layout, depth=1)
    depth = MAX_DEPTH
    for segment, gap in zip(layout.segments[:-1], layout.gaps, strict=False):
        room = gap + (min(overlap, gap - 1) if gap > 1 else 0)
        depth = min(depth, ((1 << room) - 1) // max(1, one.span(segment.terms)))
    depth = min(depth, ((1 << multiplier.accumulator) - 1) // max(1, one.largest_sum))
    return replace(layout, depth=max(layout.depth, depth - depth % multiplier.terms))


def fits(built: Built) -> bool:
    """Operands in the ports, the sum in the accumulator, the fields apart."""
    layout, multiplier = built.layout, built.multiplier
    ports = multiplier.ports
    return (
        ports[built.weight_port].holds(layout.packed_weight)
        and ports[1 - built.weight_port].holds(layout.packed_activation)
        and layout.largest_sum < 1 << multiplier.accumulator
        and all(holds for _, holds in layout.legality())
    )
