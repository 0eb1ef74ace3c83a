"""Stages of few lanes: what a candidate of them promises, and that words are split for them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from design_runs import DSP, assert_equal, random_inputs, reference, simulated
from layer_graphs import Sketch, activations
from test_layer_flows import TARGET

from hls.design import build_design
from hls.engine import DataflowEngine
from hls.layers.regroup import Shifting
from hls.nodes import RULES
from hls.streams import stream_blocks
from ir.graph import Graph
from ir.ops import Add, Clip, Multiply, PRelu, Upsample
from ir.target import Resources

ENGINE = DataflowEngine()
Make = Callable[[Sketch, str], str]

MAKES: dict[str, Make] = {
    "clip": lambda s, x: s.add("last", Clip(1, 9), x),
    "prelu": lambda s, x: s.add("last", PRelu(4), x, slope=np.arange(-4, 4)),
    "pool": lambda s, x: s.pool("last", x),
    "upsample": lambda s, x: s.add("last", Upsample(2), x),
    "block": lambda s, x: s.block("last", x),
    "scale": lambda s, x: s.scale("last", s.pool("pooled", x)),
    "add": lambda s, x: s.add("last", Add(), x, s.scale("y", s.conv("b", "x", 8))),
    "multiply": lambda s, x: s.add("last", Multiply(), x, s.scale("y", s.conv("b", "x", 8))),
}


def behind_a_wide_layer(kind: str) -> Graph:
    """A convolution that makes words of all 8 channels, and something behind it."""
    s = Sketch({"x": activations((4, 4, 6), 4)}, np.random.default_rng(3))
    return s.graph("region", MAKES[kind](s, s.scale("a", s.conv("conv", "x", 8)))).verify()


def wide(graph: Graph) -> dict[str, dict[str, object]]:
    """Choices that make words of 8 channels in every layer before the last."""
    choices = {}
    for node in graph.nodes[:-1]:
        options = list(RULES[type(node.op)].configurations(graph.view(node.name), DSP))
        fit = [c for c in options if c.get("pe", 8) == 8 and c.get("pixels", 1) == 1 and c.get("groups", 1) == 1]
        choices[node.name] = dict(fit[-1])
    return choices


@pytest.mark.parametrize("kind", MAKES)
def test_a_candidate_holds_its_stages_and_the_splitting(kind: str) -> None:
    graph = behind_a_wide_layer(kind)
    view = graph.view("last")
    offered = list(RULES[type(view.op)].candidates(view, DSP))
    assert [c.configuration["lanes"] for c in offered] == [1, 2, 4, 8]
    assert [c.cycles for c in offered] == sorted((c.cycles for c in offered), reverse=True)
    before = wide(graph)
    for candidate in offered:
        design = build_design(graph, {**before, "last": candidate.configuration}, DSP)
        own = [s for s in design.stages if s.name == "last" or (isinstance(s, Shifting) and "_by" in s.name)]
        assert len([s for s in own if s.name == "last"]) == 1
        assert (len(own) > 1) == (candidate.configuration["lanes"] != 8), candidate
        assert candidate.cycles == max(s.cycles for s in own)
        assert candidate.resources == sum((s.resources for s in own), Resources()), candidate


@pytest.mark.parametrize("kind", MAKES)
def test_exact_at_any_lanes(kind: str) -> None:
    graph, rng = behind_a_wide_layer(kind), np.random.default_rng(4)
    for lanes in (1, 2, 4):
        run = simulated(graph, build_design(graph, {**wide(graph), "last": {"lanes": lanes}}, DSP), garbage=-1)
        inputs = random_inputs(graph, rng)
        assert_equal(run(inputs), reference(graph, inputs), lanes)


def branches(channels: int, rows: int, columns: int, layers: int, bits: int) -> Graph:
    """3x3 convolutions, and past all of them an addition."""
    s = Sketch({"x": activations((channels, rows, columns), bits)}, np.random.default_rng(5))
    first = last = s.scale("first", s.conv("conv0", "x", channels), bits)
    for number in range(1, layers + 1):
        last = s.scale(f"act{number}", s.conv(f"conv{number}", last, channels), bits)
    return s.graph("region", s.add("sum", Add(), first, last)).verify()


@pytest.mark.parametrize(
    ("channels", "rows", "columns", "layers", "bits"), [(8, 16, 32, 2, 4), (16, 16, 16, 3, 8), (4, 12, 80, 6, 8)]
)
def test_what_a_join_holds(channels: int, rows: int, columns: int, layers: int, bits: int) -> None:
    """The block RAMs of the stream past the layers, as the search for depths leaves it, are about as estimated."""
    graph = branches(channels, rows, columns, layers, bits)
    choices = {}
    for view in graph.views():
        prepared = ENGINE.prepare(view, TARGET)
        slow = [c for c in ENGINE.candidates(prepared, TARGET) if c.cycles <= 4 * rows * columns * channels]  # type: ignore[arg-type]
        choices[view.name] = min(slow, key=lambda c: c.resources.lut)
    made = ENGINE.lower(graph, choices, TARGET)
    (held,) = (s.resources.bram18 for s in made.stages if s.name.endswith("_fork"))
    assert held <= stream_blocks(graph.view("sum")) <= 2 * held + 1


def test_no_joins_nothing_held() -> None:
    graph = behind_a_wide_layer("add")
    assert stream_blocks(graph.view("last")) == 0, "both operands are as late"
    assert stream_blocks(graph.view("a")) == 0
