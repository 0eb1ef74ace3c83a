"""What a candidate of a convolution promises is what its stages take, with other layers of the same shape before it."""

from __future__ import annotations

import numpy as np
import pytest
from design_runs import DSP
from layer_graphs import Sketch, activations, weights

from hls.nodes import RULES, raster
from hls.nodes.conv_layer import Layer
from hls.nodes.conv_shape import Folding, sketches
from ir.graph import Graph
from ir.ops import Conv2d
from ir.target import Resources

SHAPE = (6, 5, 3, 3)


def layer(seed: int, form: str, bits: int = 4, order: int = 1) -> Graph:
    """Weights of one shape, requantised in different ways; ``order`` of the outputs, 0: all weights the largest."""
    rng = np.random.default_rng(seed)
    sketch = Sketch({"x": activations((SHAPE[1], 6, 9), bits, False)}, rng)
    drawn = weights(rng, SHAPE, bits)
    drawn[0, 0, 0, :2] = -(1 << bits - 1), (1 << bits - 1) - 1
    sketch.add(
        "conv", Conv2d(padding=(1, 1, 1, 1)), "x", w=drawn[::order] if order else np.full_like(drawn, drawn.max())
    )
    last = "conv"
    if form == "scale":
        last = sketch.scale("act", "conv", 4)
    elif form == "compare":
        last = sketch.compare("act", "conv", 15)
    return sketch.graph(f"layer{seed}", last).verify()


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_candidates_are_their_stages(bits: int) -> None:
    """Small enough that some foldings have every weight in a place of its own."""
    rule = RULES[Conv2d]
    for seed, form in enumerate(["scale", "scale", "compare", "none", "scale", "compare"]):
        view = layer(seed, form, bits).view("conv")
        for number, candidate in enumerate(rule.candidates(view, DSP, uram=True)):
            if number % 41 != seed:
                continue
            folding = Folding.of(candidate.configuration)
            source = raster("x", view.operands[0].type, folding.simd * folding.groups)
            stages = rule.stages(view, [source], candidate.configuration, DSP)
            assert candidate.cycles == max(stage.cycles for stage in stages), folding
            assert candidate.resources == sum((stage.resources for stage in stages), Resources()), folding


def test_layers_of_one_shape_share_what_they_take() -> None:
    """Outputs in another order have the same sums; a larger weight has not."""
    first, second, third = (Layer(layer(10, "scale", 4, order).view("conv"), DSP) for order in (1, -1, 0))
    assert sketches(first.shape, False) is sketches(second.shape, False)
    assert sketches(first.shape, False) is not sketches(third.shape, False)
