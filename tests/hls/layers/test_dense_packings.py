"""Convolutions whose products are packed with overlapping fields or with activations less an offset: equal integers."""

from __future__ import annotations

import numpy as np
import pytest
from design_runs import DSP, assert_equal, native, random_inputs, reference, simulated
from layer_graphs import Sketch, activations, random_layer
from test_layer_flows import TARGET

from hls.csim import CSimulation
from hls.design import build_design
from hls.engine import DataflowEngine
from hls.nodes.conv_layer import Layer
from hls.nodes.conv_shape import Folding
from hls.packing import GEOMETRIES, Geometry
from ir.executor import execute
from ir.graph import Graph

GARBAGE = 0x5A5A_5A5A_5A5A_5A5A


def layer(weight_bits: int, activation_bits: int, symmetric: bool, signed: bool = False, kernel: int = 3) -> Graph:
    """Six channels to four at 3x9; weights at both ends of their range and random ones."""
    rng = np.random.default_rng(100 * weight_bits + 10 * activation_bits + kernel)
    sketch = Sketch({"x": activations((6, 3, 9), activation_bits, signed)}, rng)
    top = (1 << weight_bits - 1) - 1
    low = -top if symmetric else -top - 1
    ends = rng.choice([low, top], (4, 6, kernel, kernel))
    values = np.where(rng.random(ends.shape) < 0.5, ends, rng.integers(low, top + 1, ends.shape))
    values[0], values[1] = low, top
    sketch.conv("conv", "x", 4, kernel, values=values)
    sketch.scale("act", "conv", 5)
    return sketch.graph("layer", "act")


def dense(graph: Graph, dsp: Geometry = DSP) -> list[Folding]:
    """A folding of every packing that is offered and not plain: one that does a dozen lanes at once."""
    found: dict[tuple[int, ...], list[Folding]] = {}
    for f in Layer(graph.view("conv"), dsp).shape.foldings():
        if f.overlap or f.offset:
            found.setdefault((f.channels, f.width, f.overlap, f.offset), []).append(f)
    return [min(options, key=lambda f: (abs(f.simd * f.words * f.rows - 12), f.pe)) for options in found.values()]


def check(graph: Graph, folding: Folding, dsp: Geometry = DSP) -> None:
    """Two frames at either end and two random ones, through memories that hold garbage at first."""
    rng, (x,) = np.random.default_rng(1), graph.inputs.values()
    run = simulated(graph, build_design(graph, {"conv": folding.configuration}, dsp), GARBAGE)
    ends = [{"x": np.full(x.shape, value)} for value in (x.hi, x.lo)]
    for inputs in (*ends, random_inputs(graph, rng), random_inputs(graph, rng)):
        assert_equal(run(inputs), reference(graph, inputs), folding)


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("bits", [(4, 4), (2, 2), (3, 5)])
def test_every_dense_packing_at_its_extremes(bits: tuple[int, int], symmetric: bool) -> None:
    graph = layer(*bits, symmetric)
    foldings = dense(graph)
    assert any(f.overlap for f in foldings)
    for folding in foldings:
        check(graph, folding)


@pytest.mark.full
@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("activation_bits", range(1, 9))
@pytest.mark.parametrize("weight_bits", range(2, 9))
def test_dense_packings_of_all_widths(weight_bits: int, activation_bits: int, kernel: int) -> None:
    graph = layer(weight_bits, activation_bits, bool(activation_bits % 2), bool(weight_bits % 2), kernel)
    for dsp in (DSP, GEOMETRIES["dsp58"], GEOMETRIES["ecp5"]):
        for folding in dense(graph, dsp):
            check(graph, folding, dsp)


def drawn(seed: int) -> None:
    """A random layer, densely packed where any packing of it is."""
    graph = random_layer(seed, depthwise=bool(seed % 3 == 0))
    foldings = [f for f in Layer(graph.view("conv"), DSP).shape.foldings() if f.overlap or f.offset]
    if foldings:
        check(graph, foldings[np.random.default_rng(seed).integers(len(foldings))])


@pytest.mark.parametrize("seed", range(2000, 2012))
def test_random_layers(seed: int) -> None:
    drawn(seed)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(2012, 2200))
def test_random_layer_matrix(seed: int) -> None:
    drawn(seed)


def test_native_code() -> None:
    """Three frames through one library."""
    graph, rng = layer(4, 4, True), np.random.default_rng(2)
    folding = max(dense(graph), key=lambda f: f.overlap)
    run = native(graph, build_design(graph, {"conv": folding.configuration}, DSP))
    for _ in range(3):
        inputs = random_inputs(graph, rng)
        assert_equal(run(inputs), reference(graph, inputs), folding)


@pytest.mark.parametrize("bits", [(4, 4), (2, 2)])
def test_under_ap_int(bits: tuple[int, int]) -> None:
    """The packaged program after the vendor post-pass, whose products are bound to multiplier blocks."""
    graph, engine, rng = layer(*bits, True), DataflowEngine(), np.random.default_rng(5)
    offers = {v.name: engine.candidates(engine.prepare(v, TARGET), TARGET) for v in graph.views()}  # type: ignore[arg-type]
    most = max(offers["conv"], key=lambda c: (c.configuration.get("overlap", 0), -c.cycles))
    assert most.configuration["overlap"]
    artifact = engine.lower(graph, {"conv": most, "act": offers["act"][0]}, TARGET)
    with CSimulation(artifact, graph) as program:
        for _ in range(2):
            values = execute(graph, random_inputs(graph, rng))
            assert_equal(program.run(values), {name: values[name] for name in graph.outputs})
