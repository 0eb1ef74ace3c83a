"""Why a recipe is exact: interval bounds for every layout, and operands tried against plain integer arithmetic."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hls.packing.layout import Layout, convolve
from hls.packing.ranges import PackingError, Range
from hls.packing.recipe import Pass, Recipe
from hls.packing.refine import Built, fits
from ir.types import Ints

EXHAUSTIVE_LIMIT = 1 << 24
CHUNK = 1 << 15
RANDOM_CASES = 1024


@dataclass(frozen=True)
class Proof:
    """``exhaustive``: all operands of every layout were multiplied; ``interval``: the bounds hold for all operands.

    Either way ``bounds`` were checked, and ``cases`` multiplications were decoded as plain arithmetic has them, extreme
    and random ones of full cascade depth among them.
    """

    kind: Literal["exhaustive", "interval"]
    cases: int
    bounds: tuple[str, ...]


def prove(recipe: Recipe, limit: int = EXHAUSTIVE_LIMIT) -> Proof:
    """PackingError with the statement or operands that fail; a recipe from `hls.packing.choose` does not."""
    built = {one.built for one in recipe.passes}
    bounds: list[str] = []
    cases = 0
    for each in built:
        bounds += bounds_of(each)
        cases += _try(each.layout, extremes(each.layout))
    for one in recipe.passes:
        _check_digits(recipe, one)
    sizes = [operand_space(one.layout) for one in built]
    exhaustive = sum(sizes) <= limit
    if exhaustive:
        cases += sum(_try(one.layout, everything(one.layout)) for one in built)
    return Proof("exhaustive" if exhaustive else "interval", cases, tuple(bounds))


def operand_space(layout: Layout) -> int:
    """All operands of a chain of full depth."""
    weights, activations = layout.weight_offsets.size, layout.activation_offsets.size
    space: int = (layout.weight.size**weights * layout.activation.size**activations) ** layout.depth
    return space


def bounds_of(built: Built) -> list[str]:
    """The statements that make the recipe exact, each checked."""
    layout, ports = built.layout, built.multiplier.ports
    for (name, values), port in zip(_packed(layout), (built.weight_port, 1 - built.weight_port), strict=True):
        if not ports[port].holds(values):
            raise PackingError(
                f"{name} {values.lo}..{values.hi} exceeds its port (allowed: {ports[port].signed} bits signed, "
                f"{ports[port].unsigned} unsigned)"
            )
    statements = layout.legality()
    failing = [text for text, holds in statements if not holds]
    if failing or not fits(built):
        raise PackingError(failing[0] if failing else f"sum exceeds {built.multiplier.accumulator} bits")
    packed = [
        f"{name} {values.lo}..{values.hi} in {ports[0].signed}x{ports[1].signed}" for name, values in _packed(layout)
    ]
    total = f"raised sum of {layout.depth} products <= {layout.largest_sum} < 2^{built.multiplier.accumulator}"
    return [*packed, *(text for text, _ in statements), total]


def _packed(layout: Layout) -> tuple[tuple[str, Range], tuple[str, Range]]:
    return ("packed weights", layout.packed_weight), ("packed activations", layout.packed_activation)


def _check_digits(recipe: Recipe, one: Pass) -> None:
    for name, digit, values, allowed in (
        ("weight", one.weight_digit, recipe.weight, one.built.layout.weight),
        ("activation", one.activation_digit, recipe.activation, one.built.layout.activation + one.built.offset),
    ):
        digits = digit.of(np.arange(values.lo, values.hi + 1))
        if digits.min() < allowed.lo or digits.max() > allowed.hi:
            raise PackingError(f"a {name} digit {digits.min()}..{digits.max()} leaves {allowed.lo}..{allowed.hi}")


def extremes(layout: Layout, cases: int = RANDOM_CASES) -> Iterator[tuple[Ints, Ints]]:
    """Chains of full depth: all operands at either end, ends at random, values at random; seeded."""
    rng = np.random.default_rng(0)
    depth = layout.depth
    cases = max(64, cases // depth)
    w_ends, a_ends = [layout.weight.lo, layout.weight.hi], [layout.activation.lo, layout.activation.hi]
    for w in w_ends:
        for a in a_ends:
            yield np.full((1, depth, *layout.weights), w), np.full((1, depth, *layout.activations), a)
    shapes = (cases, depth, *layout.weights), (cases, depth, *layout.activations)
    yield rng.choice(w_ends, shapes[0]), rng.choice(a_ends, shapes[1])
    # each activation at the end that drives the sums furthest, for weights of one sign per position
    signs = rng.choice(w_ends, (cases, 1, *layout.weights))
    yield (
        np.broadcast_to(signs, shapes[0]),
        np.broadcast_to(rng.choice(a_ends, (cases, 1, *layout.activations)), shapes[1]),
    )
    yield (
        rng.integers(layout.weight.lo, layout.weight.hi + 1, shapes[0]),
        rng.integers(layout.activation.lo, layout.activation.hi + 1, shapes[1]),
    )


def everything(layout: Layout) -> Iterator[tuple[Ints, Ints]]:
    """All operands of a chain: every word of the smaller side against all of the larger, in chunks."""
    w_shape, a_shape = (layout.depth, *layout.weights), (layout.depth, *layout.activations)
    w_count = layout.weight.size ** int(np.prod(w_shape))
    a_count = layout.activation.size ** int(np.prod(a_shape))
    for w in _words(layout.weight, w_shape, w_count, 1 if w_count <= a_count else CHUNK):
        for a in _words(layout.activation, a_shape, a_count, CHUNK if w_count <= a_count else 1):
            yield w, a


def _words(values: Range, shape: tuple[int, ...], count: int, chunk: int) -> Iterator[Ints]:
    """All tuples of this shape, (chunk, *shape) at a time."""
    digits = int(np.prod(shape))
    weights = np.asarray([values.size**i for i in range(digits)], np.int64)
    for start in range(0, count, chunk):
        index = np.arange(start, min(start + chunk, count))[:, None]
        yield (values.lo + index // weights % values.size).reshape(-1, *shape)


def _try(layout: Layout, operands: Iterator[tuple[Ints, Ints]]) -> int:
    """Number of cases, all decoded exactly."""
    cases = 0
    for weights, activations in operands:
        want, got = convolve(weights, activations), layout.multiply(weights, activations)
        if not np.array_equal(want, got):
            raise PackingError(f"decodes wrongly: {layout}")
        cases += len(want)
    return cases
