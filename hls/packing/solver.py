"""The best packing of a convolution: a cover of the kernel by patches, for each digit of the operands.

The measure is ``cost``: multiplier uses per output pixel, output channel and input channel. A patch that advances by n
pixels and channels costs 1/n; a kernel is covered by patches, and digits of weights and activations add up. All three
levels are minimised exactly by recursion; useful multiplies per use are ``kernel rows * columns / cost``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import NamedTuple

from hls.packing.digits import Digit, activation_splits, weight_splits
from hls.packing.geometry import Geometry
from hls.packing.ranges import PackingError, Range
from hls.packing.search import MAX_KERNEL, Fit, best_fits


@dataclass(frozen=True)
class Problem:
    """A layer as the solver sees it; ranges are the true ones where they are known, else those of the types.

    Output channels are taken to be a multiple of what a layout packs, rows long; a depthwise layer has one channel.
    """

    weight: Range
    activation: Range
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    depthwise: bool = False

    def __post_init__(self) -> None:
        if not all(1 <= k <= MAX_KERNEL for k in self.kernel):
            raise PackingError(f"kernel {self.kernel[0]}x{self.kernel[1]} (allowed: 1 to {MAX_KERNEL})")
        if self.stride < 1:
            raise PackingError(f"stride {self.stride} (allowed: 1 and more)")


@dataclass(frozen=True)
class Freedom:
    """What the solver may use: bits of overlap, several passes for digits, the block's other multiplier modes."""

    overlap: int = 1
    split: bool = True
    native: bool = True
    mixed: bool = True


FULL = Freedom()

TIE = 1e-12
"""Costs are sums of few unit fractions, compared as floats: differences below this are rounding."""


class Patch(NamedTuple):
    """``columns`` from ``column`` and ``rows`` from ``row`` of a kernel phase, packed alike by any of ``fits``.

    ``cost``: uses of a multiplier per output pixel, output channel and input channel. ``lane_rows``: rows per lane
    where summed lanes take different kernel rows, else all rows.
    """

    cost: Fraction
    column: int
    columns: int
    row: int
    rows: int
    lane_rows: int
    fits: tuple[Fit, ...]

    def moved(self, column: int, row: int) -> Patch:
        return self._replace(column=self.column + column, row=self.row + row)


class Cover(NamedTuple):
    cost: float
    patches: tuple[Patch, ...]


Covers = Callable[[Range, int], dict[tuple[int, int], Cover]]
"""(columns, rows) -> cover, for weights of a range and a number of activation values."""


class Work(NamedTuple):
    """One pass: a digit pair over a patch of the kernel's phase (row, column)."""

    weight: Digit
    activation: Digit
    phase: tuple[int, int]
    patch: Patch


class Plan(NamedTuple):
    cost: Fraction
    works: tuple[Work, ...]


def plan(problem: Problem, geometry: Geometry, freedom: Freedom = FULL) -> Plan:
    """The plan of least cost, of equal ones that with fewest passes. PackingError if a digit exceeds every port."""
    search = _search(problem.kernel, problem.stride, problem.depthwise, geometry, freedom)
    weight, count = problem.weight.with_zero(), problem.activation.with_zero().size
    split = search.weight_digits(weight, count)
    if split is None:
        ports = ", ".join(m.name for m in geometry.multipliers)
        raise PackingError(
            f"weights {problem.weight.lo}..{problem.weight.hi} times activations {problem.activation.lo}.."
            f"{problem.activation.hi} fit no port of {geometry.name} (allowed: {ports})"
        )
    works = tuple(search.works(weight, count, split))
    return Plan(sum((work.patch.cost for work in works), Fraction(0)), works)


class Split(NamedTuple):
    """Digits (radix, smallest value) taken off before the rest is multiplied."""

    cost: float
    passes: int
    digits: tuple[tuple[int, int], ...]


class _Search:
    """Memoised search for one kernel, geometry and freedom."""

    def __init__(self, extents: dict[tuple[int, int], tuple[int, int]], covers: Covers, split: bool) -> None:
        self._extents, self._covers, self._split = extents, covers, split
        self._memo: dict[tuple[Range, int], Split | None] = {}
        self._weight_memo: dict[tuple[Range, int], Split | None] = {}

    def whole(self, weight: Range, count: int) -> Split | None:
        """Without splitting: all phases of the kernel."""
        covers = self._covers(weight, count)
        if not all(extent in covers for extent in self._extents.values()):
            return None
        used = [covers[extent] for extent in self._extents.values()]
        return Split(sum(c.cost for c in used), sum(len(c.patches) for c in used), ())

    def activation_digits(self, weight: Range, count: int) -> Split | None:
        if (weight, count) not in self._memo:
            options = [self.whole(weight, count)]
            for radix, rest in activation_splits(count) if self._split else ():
                options.append(_sum((radix, 0), self.whole(weight, radix), self.activation_digits(weight, rest)))
            self._memo[weight, count] = _least(options)
        return self._memo[weight, count]

    def weight_digits(self, weight: Range, count: int) -> Split | None:
        if (weight, count) not in self._weight_memo:
            first = self.activation_digits(weight, count)
            options = [first and first._replace(digits=())]
            for radix, low, rest in weight_splits(weight) if self._split else ():
                own = self.activation_digits(Range(low, low + radix - 1), count)
                options.append(_sum((radix, low), own, self.weight_digits(rest, count)))
            self._weight_memo[weight, count] = _least(options)
        return self._weight_memo[weight, count]

    def works(self, weight: Range, count: int, split: Split) -> Iterator[Work]:
        """The passes of a split of the weights, with the best split of the activations for each digit."""
        for digit in _digits(split.digits):
            values = digit.range(weight)
            found = self.activation_digits(values, count)
            assert found is not None, "the split was made of feasible digits"
            for part in _digits(found.digits):
                covers = self._covers(values, part.range(Range(0, count - 1)).size)
                for phase, extent in self._extents.items():
                    for patch in covers[extent].patches:
                        yield Work(digit, part, phase, patch)


@cache
def _search(kernel: tuple[int, int], stride: int, depthwise: bool, geometry: Geometry, freedom: Freedom) -> _Search:
    """A stride splits kernel and pixels into phases, each a convolution of stride 1: nothing is computed in vain."""
    extents = {
        (row, column): (-(-(kernel[1] - column) // stride), -(-(kernel[0] - row) // stride))
        for row in range(min(stride, kernel[0]))
        for column in range(min(stride, kernel[1]))
    }
    return _Search(extents, _covers_of(geometry, freedom, depthwise), freedom.split)


@cache
def _covers_of(geometry: Geometry, freedom: Freedom, depthwise: bool) -> Covers:
    return cache(lambda weight, count: _covers(weight, count, geometry, freedom, depthwise))


def _digits(taken: tuple[tuple[int, int], ...]) -> Iterator[Digit]:
    for index, own in enumerate(taken):
        yield Digit(taken[:index], own)
    yield Digit(taken)


def _sum(digit: tuple[int, int], low: Split | None, rest: Split | None) -> Split | None:
    return low and rest and Split(low.cost + rest.cost, low.passes + rest.passes, (digit, *rest.digits))


def _least(options: Sequence[Split | None]) -> Split | None:
    return min((s for s in options if s), key=lambda s: (round(s.cost, 12), s.passes), default=None)


def _covers(
    weight: Range, count: int, geometry: Geometry, freedom: Freedom, depthwise: bool
) -> dict[tuple[int, int], Cover]:
    """(columns, rows) -> the cheapest cover by patches, cut along one dimension at a time."""
    single = _single_patches(weight, count, geometry, freedom, depthwise)
    covers: dict[tuple[int, int], Cover] = {}
    for columns in range(1, MAX_KERNEL + 1):
        for rows in range(1, MAX_KERNEL + 1):
            best = single.get((columns, rows))
            cuts = [((columns - n, rows), (n, rows), (columns - n, 0)) for n in range(1, columns // 2 + 1)]
            cuts += [((columns, rows - n), (columns, n), (0, rows - n)) for n in range(1, rows // 2 + 1)]
            for first, second, at in cuts:
                if first in covers and second in covers:
                    (cost, patches), (other, more) = covers[first], covers[second]
                    if best is None or cost + other < best.cost - TIE:
                        best = Cover(cost + other, (*patches, *(patch.moved(*at) for patch in more)))
            if best:
                covers[columns, rows] = best
    return covers


def _single_patches(
    weight: Range, count: int, geometry: Geometry, freedom: Freedom, depthwise: bool
) -> dict[tuple[int, int], Cover]:
    """Patches done in one use, over all modes of the block; of equal cost all fits are kept for refinement."""
    found: dict[tuple[int, int], Cover] = {}
    for multiplier in geometry.multipliers if freedom.native else geometry.multipliers[:1]:
        by_rows = depthwise and multiplier.summed
        fits = best_fits(weight, count, multiplier, freedom.overlap, depthwise or not freedom.mixed)
        for (a, b), tied in fits.items():
            cost = Fraction(1, tied[0].pixels * (1 if by_rows else multiplier.lanes))
            for columns, lane_rows in {(a, b), (b, a)}:
                for lanes in range(1, 1 + (multiplier.lanes if by_rows else 1)):
                    for rows in range(lane_rows * (lanes - 1) + 1, lane_rows * lanes + 1) if by_rows else (lane_rows,):
                        if rows > MAX_KERNEL:
                            continue
                        patch = Patch(cost, 0, columns, 0, rows, lane_rows, tuple(tied))
                        known = found.get((columns, rows))
                        if known and known.patches[0].cost == cost and known.patches[0].lane_rows == lane_rows:
                            patch = patch._replace(fits=known.patches[0].fits + patch.fits)
                        if not known or cost <= known.patches[0].cost:
                            found[columns, rows] = Cover(float(cost), (patch,))
    return found
