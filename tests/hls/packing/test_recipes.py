"""Recipes multiply exactly: a seeded sample of all cells, random and extreme operands, against plain arithmetic."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from hls.packing.choose import solve
from hls.packing.geometry import GEOMETRIES
from hls.packing.layout import Layout
from hls.packing.proof import operand_space, prove
from hls.packing.ranges import PackingError, Range
from hls.packing.recipe import Recipe, recipe_from_json, recipe_to_json
from hls.packing.solver import Freedom, Problem
from tests.hls.packing.reference import decode_from_outside, plain_sums

CELLS = 60


def sample(seed: int) -> tuple[Problem, str, Freedom]:
    rng = np.random.default_rng(seed)
    w, a = (int(n) for n in rng.integers(1, 9, 2))
    kernel, stride, overlap = (
        int(rng.choice([1, 3, 5, 7])),
        int(rng.choice([1, 1, 1, 2, 3])),
        int(rng.choice([0, 1, 1, 2])),
    )
    symmetric, depthwise, signed = (bool(n) for n in rng.integers(0, [2, 2, 4]) == 1)
    types = Range.weights(w, symmetric), Range.activations(a, signed)
    return (
        Problem(*types, (kernel, kernel), stride, depthwise),
        list(GEOMETRIES)[seed % len(GEOMETRIES)],
        Freedom(overlap),
    )


@pytest.mark.parametrize("seed", range(CELLS))
def test_cell(seed: int) -> None:
    problem, name, freedom = sample(seed)
    recipe = solve(problem, GEOMETRIES[name], None, freedom)
    read_back = recipe_from_json(json.loads(json.dumps(recipe_to_json(recipe))))
    assert read_back == recipe
    rng = np.random.default_rng(seed)
    channels = int(rng.integers(1, 4))
    outputs = channels if problem.depthwise else int(rng.integers(1, 4))
    w_shape = (outputs, 1 if problem.depthwise else channels, *problem.kernel)
    a_shape = (channels, int(rng.integers(1, 6)), int(rng.integers(1, 20)))
    w_ends, a_ends = ([values.lo, values.hi] for values in (problem.weight, problem.activation))
    for weights, activations in (
        (rng.integers(w_ends[0], w_ends[1] + 1, w_shape), rng.integers(a_ends[0], a_ends[1] + 1, a_shape)),
        (rng.choice(w_ends, w_shape), rng.choice(a_ends, a_shape)),
        (np.full(w_shape, w_ends[0]), np.full(a_shape, a_ends[1])),
    ):
        want = plain_sums(weights, activations, problem.stride, problem.depthwise)
        assert np.array_equal(read_back.convolve(weights, activations), want)


def recipe_for(w: int, a: int, kernel: int, symmetric: bool, name: str = "dsp48e2", split: bool = True) -> Recipe:
    problem = Problem(Range.weights(w, symmetric), Range.activations(a), (1, kernel))
    return solve(problem, GEOMETRIES[name], None, Freedom(split=split))


@pytest.mark.parametrize(
    ("w", "a", "kernel", "symmetric"), [(2, 2, 3, True), (4, 4, 3, False), (8, 8, 1, False), (3, 5, 5, True)]
)
def test_recipe_is_enough_for_a_second_implementation(w: int, a: int, kernel: int, symmetric: bool) -> None:
    rng = np.random.default_rng(w)
    for one in recipe_to_json(recipe_for(w, a, kernel, symmetric))["passes"]:
        layout = one["layout"]
        m, ky, kx = layout["weights"]
        ny, nx = layout["activations"]
        w_ends = [layout["weight"]["lo"], layout["weight"]["hi"]]
        a_ends = [layout["activation"]["lo"], layout["activation"]["hi"]]
        for extreme in (True, False):
            for _ in range(50):
                if extreme:
                    weights, activations = rng.choice(w_ends, (m, ky, kx)), rng.choice(a_ends, (ny, nx))
                else:
                    weights = rng.integers(w_ends[0], w_ends[1] + 1, (m, ky, kx))
                    activations = rng.integers(a_ends[0], a_ends[1] + 1, (ny, nx))
                sums = decode_from_outside(one, weights, activations)
                want = plain_sums(weights[:, None], activations[None], 1, False)
                assert all(want[at] == value for at, value in sums.items()) and len(sums) == want.size


def test_proof_is_exhaustive_where_the_operand_space_is_small() -> None:
    small = prove(recipe_for(1, 1, 1, True, "gowin9", split=False), 1 << 20)
    large = prove(recipe_for(4, 4, 3, True), 1 << 20)
    assert (small.kind, large.kind) == ("exhaustive", "interval")
    assert small.bounds and large.bounds and large.cases > 1000


def tampered(recipe: Recipe, change: dict[str, object]) -> Recipe:
    one = recipe.passes[0]
    layout: Layout = replace(one.built.layout, **change)  # type: ignore[arg-type]
    return replace(recipe, passes=(replace(one, built=replace(one.built, layout=layout)), *recipe.passes[1:]))


def test_proof_refuses_tampered_recipes() -> None:
    recipe = recipe_for(4, 4, 3, False, split=False)
    layout = recipe.passes[0].built.layout
    assert operand_space(layout) > 0
    prove(recipe, 0)
    wide = tuple(stride + 9 if stride else 0 for stride in layout.strides)
    with pytest.raises(PackingError, match="exceeds its port"):
        prove(tampered(recipe, {"strides": wide}), 0)
    with pytest.raises(PackingError, match="digit"):
        prove(tampered(recipe, {"weight": Range(-6, 5)}), 0)


def test_values_out_of_range_are_refused() -> None:
    recipe = recipe_for(4, 4, 3, True)
    pixels = np.full((1, 1, 4), 15, np.int64)
    with pytest.raises(PackingError, match=r"weight -8 is out of range \(allowed: -7..7\)"):
        recipe.convolve(np.full((1, 1, 1, 3), -8, np.int64), pixels)
    with pytest.raises(PackingError, match="activation 16"):
        recipe.convolve(np.full((1, 1, 1, 3), -7, np.int64), pixels + 1)
