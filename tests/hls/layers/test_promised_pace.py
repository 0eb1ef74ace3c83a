"""What candidates promise is what lowering keeps: taking words of several pixels apart is part of the choice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from design_runs import DSP
from layer_graphs import Sketch, activations
from test_layer_flows import TARGET

from hls.design import build_design
from hls.engine import DataflowEngine
from hls.layers.windows import Pixels
from hls.nodes.conv_layer import Layer
from hls.nodes.conv_shape import Folding
from hls.spread import spread_cycles
from ir.graph import Graph

ENGINE = DataflowEngine()
LATER = ("conv_b", "conv_c", "conv_d")


def network(columns: int) -> Graph:
    """Convolution, pool, convolution, a branch around one, a last one: readers of several and of single pixels."""
    net = Sketch({"x": activations((3, 8, columns), 4)}, np.random.default_rng(1))
    pooled = net.pool("pool", net.scale("a", net.conv("conv_a", "x", 8)))
    inner = net.scale("b", net.conv("conv_b", pooled, 12))
    again = net.scale("c", net.conv("conv_c", inner, 8))
    joined = net.concat("joined", pooled, again)
    return net.graph("net", net.scale("d", net.conv("conv_d", joined, 4, kernel=1))).verify()


def foldings(graph: Graph, name: str) -> Iterator[Folding]:
    return Layer(graph.view(name), DSP).shape.foldings()


@pytest.mark.parametrize("columns", [12, 18])
def test_the_stages_that_take_words_apart(columns: int) -> None:
    """Their cycles in designs of every packing of the first layer."""
    graph = network(columns)
    single = {name: next(f.configuration for f in foldings(graph, name) if f.pixels == 1) for name in LATER}
    seen = {(f.pixels, f.pe): f for f in foldings(graph, "conv_a") if f.pixels > 1}
    assert len(seen) > 6
    for folding in seen.values():
        design = build_design(graph, {**single, "conv_a": folding.configuration}, DSP)
        apart = [stage.cycles for stage in design.stages if isinstance(stage, Pixels)]
        assert spread_cycles(graph.view("a"), folding.pe, folding.pixels) == max(apart, default=0), folding


@pytest.mark.parametrize("name", ["conv_a", "conv_b"])
def test_no_candidate_is_faster_than_its_words_are_taken_apart(name: str) -> None:
    graph = network(12)
    offered = ENGINE.candidates(ENGINE.prepare(graph.view(name), TARGET), TARGET)  # type: ignore[arg-type]
    bound = 0
    for candidate in offered:
        folding = Folding.of(candidate.configuration)
        apart = spread_cycles(graph.view(name[-1]), folding.pe * folding.groups, folding.pixels)
        assert candidate.cycles >= apart
        bound += candidate.cycles == apart
    assert bound or name == "conv_a"  # whose own pace is slower whatever the choice


def test_pools_pass_words_of_fewer_pixels_on() -> None:
    """12 columns in words of 4: the pool makes words of 2 from them, which the next layer wants single."""
    graph = network(12)
    act, pool = graph.view("a"), graph.view("pool")
    assert spread_cycles(act, 2, 1) == 0
    assert spread_cycles(act, 2, 4) == spread_cycles(pool, 2, 2) == 4 * 6 * 4  # 4 x 6 pixels of 8 channels, 2 a word
    assert spread_cycles(act, 2, 3) == 8 * 12 * 4  # no pool reads words of 3


def test_what_leaves_the_accelerator_is_single_pixels() -> None:
    graph = network(12)
    whole = replace(graph, outputs=("a", "d"))
    assert spread_cycles(whole.view("a"), 2, 4) == 8 * 12 * 4
