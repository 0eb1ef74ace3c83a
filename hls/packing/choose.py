"""From a problem to a recipe, under an objective."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from hls.packing.digits import Digit
from hls.packing.geometry import Geometry
from hls.packing.ranges import PackingError
from hls.packing.recipe import Pass, Place, Recipe
from hls.packing.refine import Built, refine
from hls.packing.search import Fit
from hls.packing.solver import FULL, Freedom, Plan, Problem, Work, plan


@dataclass(frozen=True)
class MostMultiplies:
    """Most useful multiplications per use, then fewest LUTs."""


@dataclass(frozen=True)
class LeastLuts:
    """Fewest LUTs per multiplication among packings of at least ``rate`` multiplications per use."""

    rate: Fraction


Objective = MostMultiplies | LeastLuts


def solve(problem: Problem, geometry: Geometry, objective: Objective | None = None, freedom: Freedom = FULL) -> Recipe:
    """The best packing. PackingError if nothing fits, or nothing reaches the objective's rate."""
    if not isinstance(objective, LeastLuts):
        return build(problem, geometry, plan(problem, geometry, freedom))
    recipes = [build(problem, geometry, plan(problem, geometry, f)) for f in _freedoms(freedom)]
    reaching = [recipe for recipe in recipes if recipe.multiplies >= objective.rate]
    if not reaching:
        best = max(recipe.multiplies for recipe in recipes)
        raise PackingError(f"rate {float(objective.rate):g} on {geometry.name} (allowed: up to {float(best):g})")
    return min(reaching, key=lambda r: (r.luts / float(r.multiplies), -r.multiplies))


def _freedoms(limit: Freedom) -> Iterator[Freedom]:
    """All that allow no more than ``limit``."""
    for overlap in range(limit.overlap + 1):
        for split in {False, limit.split}:
            for native in {False, limit.native}:
                for mixed in {False, limit.mixed}:
                    yield Freedom(overlap, split, native, mixed)


def build(problem: Problem, geometry: Geometry, found: Plan) -> Recipe:
    """The recipe of a plan, with the cheapest layout for every pass; uses that are alike are one pass."""
    groups: dict[tuple[Built, Digit, Digit], list[Work]] = {}
    for work in found.works:
        groups.setdefault((_cheapest(problem, work), work.weight, work.activation), []).append(work)
    return Recipe(
        geometry.name,
        problem.weight,
        problem.activation,
        problem.kernel,
        problem.stride,
        problem.depthwise,
        tuple(
            Pass(*key, tuple(map(_place, works)), sum((work.patch.cost for work in works), Fraction(0)))
            for key, works in groups.items()
        ),
    )


def _cheapest(problem: Problem, work: Work) -> Built:
    weight = work.weight.range(problem.weight.with_zero())
    activation = work.activation.range(problem.activation.with_zero())
    fits = (fit if fit.weights[2] == work.patch.columns else _turned(fit) for fit in work.patch.fits)
    built = [found for fit in fits if (found := refine(fit, weight, activation))]
    assert built, "every fit of the search has a layout"
    return min(built, key=lambda b: (round(b.luts, 6), -b.layout.depth))


def _place(work: Work) -> Place:
    patch = work.patch
    end = patch.row + patch.rows
    return Place(work.phase, patch.column, tuple(range(patch.row, end, patch.lane_rows)), end)


def _turned(fit: Fit) -> Fit:
    """With rows and columns exchanged."""
    (m, ky, kx), (_, ny, nx) = fit.weights, fit.activations
    names = {0: 0, 1: 2, 2: 1}
    order = tuple(names[d] for d in fit.order)
    return Fit(fit.multiplier, fit.weight_port, order, (m, kx, ky), (1, nx, ny), fit.overlap)
