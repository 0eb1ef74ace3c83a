"""Convolutions of random widths, signs, kernels, paddings, extents, foldings and requantisations: equal integers."""

from __future__ import annotations

import numpy as np
import pytest
from design_runs import DSP, assert_equal, folded, native, random_inputs, reference, simulated
from layer_graphs import Sketch, activations, random_layer

from hls.design import build_design
from hls.layers.channel_conv import ChannelConv
from hls.layers.filter_conv import FilterConv
from hls.nodes.convolution import conv_foldings, convolution_packing
from hls.packing import GEOMETRIES
from ir.graph import Graph

GARBAGE = 0x5A5A_5A5A_5A5A_5A5A
"""What memories hold at power-up in the simulator: a design may not depend on it."""

FRAMES = 2


def check(seed: int, dsp: str = "dsp48e2") -> None:
    graph, rng = random_layer(seed), np.random.default_rng(seed + 1_000_000)
    run = simulated(graph, folded(graph, rng, GEOMETRIES[dsp]), GARBAGE)
    for _ in range(FRAMES):
        inputs = random_inputs(graph, rng)
        assert_equal(run(inputs), reference(graph, inputs), graph.types)


@pytest.mark.parametrize("seed", range(40))
def test_sample(seed: int) -> None:
    check(seed)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(40, 400))
def test_matrix(seed: int) -> None:
    check(seed, ("dsp48e1", "dsp48e2", "dsp58")[seed % 3])


def layer(weight_bits: int, activation_bits: int, kernel: int, signed: bool) -> Graph:
    """Six channels to four at 5x7, all the widths' extremes in weights and frames."""
    rng = np.random.default_rng(100 * weight_bits + 10 * activation_bits + kernel)
    sketch = Sketch({"x": activations((6, 5, 7), activation_bits, signed)}, rng)
    sketch.conv("conv", "x", 4, kernel, weight_bits)
    sketch.scale("act", "conv", activation_bits, signed)
    return sketch.graph("layer", "act")


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", [(1, 1), (1, 8), (2, 2), (3, 5), (4, 4), (8, 1), (8, 8)])
def test_widths_at_their_extremes(bits: tuple[int, int], signed: bool) -> None:
    """All inputs at either end against weights of -2**(w-1): every sum of the layer's range is reached or neared."""
    graph = layer(*bits, 3, signed)
    run = simulated(graph, folded(graph, np.random.default_rng(sum(bits))), GARBAGE)
    x = graph.inputs["x"]
    for value in (x.lo, x.hi):
        inputs = {"x": np.full(x.shape, value)}
        assert_equal(run(inputs), reference(graph, inputs), value)


@pytest.mark.full
@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("activation_bits", range(1, 9))
@pytest.mark.parametrize("weight_bits", range(1, 9))
def test_all_widths(weight_bits: int, activation_bits: int, kernel: int) -> None:
    graph = layer(weight_bits, activation_bits, kernel, bool(weight_bits % 2))
    rng = np.random.default_rng(kernel)
    run = simulated(graph, folded(graph, rng), GARBAGE)
    inputs = random_inputs(graph, rng)
    assert_equal(run(inputs), reference(graph, inputs))


def test_every_folding_of_a_packed_layer() -> None:
    """W4A4 3x3, filter packing: all pairs of SIMD and PE."""
    graph = layer(4, 4, 3, False)
    view = graph.view("conv")
    assert convolution_packing(view, DSP).multiplies == 6
    inputs = random_inputs(graph, np.random.default_rng(4))
    foldings = list(conv_foldings(view, DSP))
    assert {(f.simd, f.pe) for f in foldings} == {(s, p) for s in (1, 2, 3, 6) for p in (1, 2, 4)}
    for folding in foldings:
        design = build_design(graph, {"conv": {"simd": folding.simd, "pe": folding.pe}}, DSP)
        assert_equal(simulated(graph, design)(inputs), reference(graph, inputs), folding)


@pytest.mark.parametrize(
    ("kernel", "bits", "kind"), [(1, 4, ChannelConv), (2, 4, ChannelConv), (3, 4, FilterConv), (3, 8, ChannelConv)]
)
def test_native_code(kernel: int, bits: int, kind: type) -> None:
    """Both packings, compiled; three frames through one library, so that nothing may be left over from a frame."""
    graph, rng = layer(bits, bits, kernel, True), np.random.default_rng(kernel)
    design = folded(graph, rng)
    assert any(type(stage) is kind for stage in design.stages)
    run = native(graph, design)
    for _ in range(3):
        inputs = random_inputs(graph, rng)
        assert_equal(run(inputs), reference(graph, inputs))


@pytest.mark.full
@pytest.mark.parametrize("seed", range(1000, 1060))
def test_native_matrix(seed: int) -> None:
    graph, rng = random_layer(seed), np.random.default_rng(seed)
    run = native(graph, folded(graph, rng))
    inputs = random_inputs(graph, rng)
    assert_equal(run(inputs), reference(graph, inputs), graph.types)
