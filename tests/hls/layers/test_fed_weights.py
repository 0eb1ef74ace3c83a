"""Weights from outside: UltraRAM filled once a frame, or streamed in every step; any packing, any folding."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import test_dense_packings
from ap_runs import check_ap_int
from design_runs import DSP, assert_equal, native, random_inputs, reference, simulated
from layer_graphs import Sketch, activations, random_layer

from hetero_compile.board import load_board
from hls.design import build_design
from hls.engine import DataflowEngine
from hls.layers.convolution import Convolution
from hls.layers.packed import PackedMultiply
from hls.layers.weights import FED, FedStyle, WeightFeed
from hls.nodes.base import UnsupportedNodeError
from hls.nodes.conv_layer import Layer
from hls.nodes.conv_shape import Folding
from hls.packing import GEOMETRIES
from hls.program import Design
from hls.resources.model import fifo
from ir.graph import Graph
from ir.ops import Conv2d
from ir.target import HostLink, Target

GARBAGE = 0x5A5A_5A5A_5A5A_5A5A


def fed_design(graph: Graph, style: FedStyle, rng: np.random.Generator, dsp: str = "dsp48e2") -> Design | None:
    """With a random folding of the convolution; None where each of its weights has a place of its own."""
    (conv,) = (view for view in graph.views() if isinstance(view.op, Conv2d))
    options = list(Layer(conv, GEOMETRIES[dsp]).shape.foldings())
    folding = replace(options[rng.integers(len(options))], memory=style)
    try:
        return build_design(graph, {conv.name: folding.configuration}, GEOMETRIES[dsp])
    except UnsupportedNodeError:
        return None


def check(seed: int, style: FedStyle, dsp: str = "dsp48e2", depthwise: bool = False) -> None:
    graph, rng = random_layer(seed, depthwise), np.random.default_rng(seed + 3_000_000)
    design = fed_design(graph, style, rng, dsp)
    if design is None:
        return
    assert [s.style for s in design.stages if isinstance(s, WeightFeed)] == [style]
    run = simulated(graph, design, GARBAGE)
    for _ in range(2):
        inputs = random_inputs(graph, rng)
        assert_equal(run(inputs), reference(graph, inputs), (seed, style))


@pytest.mark.parametrize("style", FED)
@pytest.mark.parametrize("seed", range(12))
def test_sample(seed: int, style: FedStyle) -> None:
    check(seed, style, depthwise=seed % 4 == 3)


@pytest.mark.full
@pytest.mark.parametrize("style", FED)
@pytest.mark.parametrize("seed", range(100, 220))
def test_matrix(seed: int, style: FedStyle) -> None:
    check(seed, style, tuple(GEOMETRIES)[seed % len(GEOMETRIES)], depthwise=seed % 4 == 3)


def layer() -> Graph:
    """W4A4 3x3, 8 channels to 6, all extremes among the weights."""
    sketch = Sketch({"x": activations((8, 5, 6), 4)}, np.random.default_rng(5))
    sketch.conv("conv", "x", 6, 3, 4)
    sketch.scale("act", "conv", 4)
    return sketch.graph("layer", "act")


PLAIN = Folding(simd=4, pe=2, rows=3, pixels=2, channels=1, width=2)
IN_LUTS = Folding(simd=2, pe=3, rows=1, pixels=2)
FOLDINGS = {"packed": PLAIN, "in LUTs": IN_LUTS}


@pytest.mark.parametrize("style", FED)
@pytest.mark.parametrize("products", FOLDINGS)
def test_native_and_under_ap_int(products: str, style: FedStyle) -> None:
    graph, rng = layer(), np.random.default_rng(1)
    configuration = replace(FOLDINGS[products], memory=style).configuration
    run = native(graph, build_design(graph, {"conv": configuration}, DSP))
    frames = [random_inputs(graph, rng) for _ in range(3)]
    for inputs in frames:
        assert_equal(run(inputs), reference(graph, inputs), products)
    check_ap_int(graph, frames, {"conv": configuration})


def test_dense_packings_keep_what_is_not_in_the_word() -> None:
    """Overlapping fields and centred activations: low bits and corrections stay in ROMs beside the fed words."""
    graph, rng = test_dense_packings.layer(4, 4, symmetric=True), np.random.default_rng(2)
    offered = test_dense_packings.dense(graph)
    assert any(f.overlap for f in offered) and any(f.offset for f in offered)
    for folding, style in product(offered, FED):
        design = build_design(graph, {"conv": replace(folding, memory=style).configuration}, DSP)
        inputs = random_inputs(graph, rng)
        assert_equal(simulated(graph, design, GARBAGE)(inputs), reference(graph, inputs), (folding, style))


def test_the_port_brings_every_word_in_order() -> None:
    """Decoded from the port's words by hand: two's complement fields, the lowest first."""
    graph = layer()
    for style in FED:
        design = build_design(graph, {"conv": replace(PLAIN, memory=style).configuration}, DSP)
        (conv,) = (s for s in design.stages if isinstance(s, Convolution))
        (feed,) = (s for s in design.stages if isinstance(s, WeightFeed))
        assert isinstance(conv.multiply, PackedMultiply)
        values = conv.multiply.memory(conv.arranged).reshape(conv.iterations, -1)
        bits, lanes = feed.sources[0].bits, feed.sources[0].lanes
        words = (
            feed.words.reshape(-1, conv.iterations).T if style == "uram" else feed.words.reshape(conv.iterations, -1)
        )
        for iteration, row in enumerate(values.tolist()):
            for element, value in enumerate(row):
                word = int(words[iteration, element // lanes]) >> (element % lanes * bits)
                field = word & ((1 << bits) - 1)
                assert field - (field >> (bits - 1) << bits) == value
        assert feed.repeats == (1 if style == "uram" else conv.steps.positions)
        assert feed.traffic == feed.words.size * feed.repeats * feed.port_bits // 8


def test_a_weight_with_its_own_place_cannot_be_fed() -> None:
    whole = Folding(simd=8, pe=6, rows=3, channels=1, width=1, pixels=1, memory="uram")
    with pytest.raises(UnsupportedNodeError, match="conv: weights of style uram, but each has a place of its own"):
        build_design(layer(), {"conv": whole.configuration}, DSP)


def wide() -> Graph:
    """W8A8 1x1, 256 channels to 64 at 4 x 4 pixels: 16 Ki weights, a few steps a frame."""
    sketch = Sketch({"x": activations((256, 4, 4), 8)}, np.random.default_rng(6))
    sketch.conv("conv", "x", 64, 1, 8)
    sketch.scale("act", "conv", 8)
    return sketch.graph("wide", "act")


def board_without_driver() -> Target:
    return replace(load_board("zu3eg-rvv"), link=HostLink())


def test_streamed_weights_are_not_offered_where_a_driver_cannot_feed_them() -> None:
    engine, target = DataflowEngine(), load_board("zu3eg-rvv")
    offered = engine.candidates(engine.prepare(wide().view("conv"), target), target)  # type: ignore[arg-type]
    assert target.link.driver == "uio" and offered
    assert "streamed" not in {c.configuration["memory"] for c in offered}


def test_ultra_ram_is_offered_where_there_is_some() -> None:
    engine, target = DataflowEngine(), board_without_driver()
    assert target.fabric is not None
    rich = replace(target, fabric=replace(target.fabric, budget=replace(target.fabric.budget, uram=64)))
    styles = []
    for board in (target, rich):
        offered = engine.candidates(engine.prepare(wide().view("conv"), board), board)  # type: ignore[arg-type]
        styles.append({c.configuration["memory"] for c in offered})
        for c in offered:
            style = c.configuration["memory"]
            assert (c.resources.uram > 0) == (style == "uram")
            assert (c.traffic > 0) == (style in FED)
    assert "uram" not in styles[0] and "streamed" in styles[0] and {"uram", "streamed"} <= styles[1]


def test_an_accelerator_with_its_weights_outside_is_a_package_region() -> None:
    """The engine's artifact: the weights are files of the package, and memory is spared. Its size was known before."""
    engine, target, graph = DataflowEngine(), board_without_driver(), wide()
    offers = {v.name: engine.candidates(engine.prepare(v, target), target) for v in graph.views()}  # type: ignore[arg-type]
    chosen = next(c for c in offers["conv"] if c.configuration["memory"] == "streamed")
    choices = {"conv": chosen, "act": offers["act"][0]}
    drafted, artifact = engine.drafted(graph, choices, target), engine.lower(graph, choices, target)
    deeper = [fifo(depth, 64).lut - fifo(2, 64).lut for depth in (4, 8, 16, 32)]
    assert drafted.dsp == artifact.resources.dsp
    assert 0 <= artifact.resources.lut - drafted.lut <= max(deeper) * len(artifact.stages)
    header = artifact.files["regions/wide/memory.h"]
    assert "conv_memory_words" in header
    (port,) = artifact.weights
    stated = re.search(r"// (\d+) times a frame\nstatic const int(\d+)_t conv_memory_words\[(\d+)\]", header)
    assert stated is not None
    repeats, bits, words = map(int, stated.groups())
    assert (port.name, port.bytes, port.repeats) == ("conv_memory", words * bits // 8, repeats)
    assert "conv_memory_words," in artifact.files[artifact.weight_source]
    assert '#include "memory.h"' in artifact.files["regions/wide/simulator.cpp"]
    (conv,) = (s for s in artifact.stages if s.name == "conv")
    assert conv.resources.bram18 == 0
