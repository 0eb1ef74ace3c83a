"""Binary and gated convolutions of random shapes, foldings and requantisations: the reference executor's integers."""

from __future__ import annotations

import numpy as np
import pytest
from binary_graphs import add_binary_conv, add_sign, bipolar, random_layer
from design_runs import DSP, assert_equal, folded, native, random_inputs, reference, simulated
from layer_graphs import Sketch
from test_layer_flows import TARGET

from hls.csim import CSimulation
from hls.design import build_design
from hls.engine import DataflowEngine
from hls.layers.binary import TapWindow, XnorConv
from hls.nodes.binary import binary_foldings
from ir.executor import execute
from ir.graph import Graph
from ir.ops import Conv2d
from ir.types import DType, TensorType

GARBAGE = 0x5A5A_5A5A_5A5A_5A5A
"""What memories hold at power-up in the simulator: a design may not depend on it."""

GATED = pytest.mark.parametrize("gated", [False, True], ids=["binary", "gated"])


def check(seed: int, gated: bool) -> None:
    graph, rng = random_layer(seed, gated), np.random.default_rng(seed + 1_000_000)
    run = simulated(graph, folded(graph, rng), GARBAGE)
    for _ in range(2):
        inputs = random_inputs(graph, rng)
        assert_equal(run(inputs), reference(graph, inputs), graph.types)


@GATED
@pytest.mark.parametrize("seed", range(10))
def test_sample(seed: int, gated: bool) -> None:
    check(seed, gated)


@pytest.mark.full
@GATED
@pytest.mark.parametrize("seed", range(10, 250))
def test_matrix(seed: int, gated: bool) -> None:
    check(seed, gated)


@GATED
@pytest.mark.parametrize("seed", [3])
def test_native(seed: int, gated: bool) -> None:
    check_native(seed, gated)


@pytest.mark.full
@GATED
@pytest.mark.parametrize("seed", range(1000, 1005))
def test_native_matrix(seed: int, gated: bool) -> None:
    check_native(seed, gated)


def check_native(seed: int, gated: bool) -> None:
    """Three frames through one library, so that nothing may be left over from a frame."""
    graph, rng = random_layer(seed, gated), np.random.default_rng(seed)
    run = native(graph, folded(graph, rng))
    for _ in range(3):
        inputs = random_inputs(graph, rng)
        assert_equal(run(inputs), reference(graph, inputs), graph.types)


def layer(gated: bool, channels: int = 6, outputs: int = 4) -> Graph:
    shape = (channels, 3, 4)
    x = TensorType.of_dtype(shape, DType("uint", 2)) if gated else bipolar(shape)
    sketch = Sketch({"x": x}, np.random.default_rng(channels))
    add_sign(sketch, "act", add_binary_conv(sketch, "conv", "x", outputs, gated=gated))
    return sketch.graph("layer", "act").verify()


@GATED
def test_every_folding(gated: bool) -> None:
    graph = layer(gated)
    inputs = random_inputs(graph, np.random.default_rng(4))
    foldings = list(binary_foldings(graph.view("conv")))
    simds, pes = (1, 2, 3, 6), (1, 2, 4)
    assert {(f.simd, f.pe, f.rows) for f in foldings} == {(s, p, r) for s in simds for p in pes for r in (1, 3)}
    for folding in foldings:
        choice = {"simd": folding.simd, "pe": folding.pe, "rows": folding.rows, "words": folding.words}
        design = build_design(graph, {"conv": choice}, DSP)
        assert_equal(simulated(graph, design)(inputs), reference(graph, inputs), folding)


@GATED
@pytest.mark.parametrize("value", [0, 1])
def test_all_agree_or_none(gated: bool, value: int) -> None:
    """Every sum reaches an end of its range: weights and activations of one sign, full words of 64 and 32 lanes."""
    lanes = 32 if gated else 64
    x = TensorType.of_dtype((lanes, 3, 3), DType("uint", 2) if gated else DType("bipolar", 1))
    sketch = Sketch({"x": x}, np.random.default_rng(0))
    add_binary_conv(sketch, "conv", "x", 2, gated=gated)
    sketch.constants["conv.w"][0], sketch.constants["conv.w"][1] = 1, -1
    graph = sketch.graph("layer", "conv").verify()
    design = build_design(graph, {"conv": {"simd": lanes, "pe": 1, "rows": 3, "words": 1}}, DSP)
    inputs = {"x": np.full(x.shape, (x.lo, x.hi)[value])}
    assert_equal(simulated(graph, design)(inputs), reference(graph, inputs))


def test_several_words_of_a_pixel_at_once() -> None:
    """A fully connected layer of 128 channels: two words of 64, each step takes one or both."""
    sketch = Sketch({"x": bipolar((128, 1, 1))}, np.random.default_rng(1))
    add_sign(sketch, "act", add_binary_conv(sketch, "conv", "x", 8, (1, 1)))
    graph = sketch.graph("dense", "act").verify()
    inputs = random_inputs(graph, np.random.default_rng(2))
    cycles = {}
    for words in (1, 2):
        design = build_design(graph, {"conv": {"simd": 64, "pe": 2, "rows": 1, "words": words}}, DSP)
        assert_equal(simulated(graph, design)(inputs), reference(graph, inputs), words)
        (conv,) = (stage for stage in design.stages if isinstance(stage, XnorConv))
        cycles[words] = conv.cycles
    assert cycles == {1: 8, 2: 4}


@pytest.mark.parametrize(("stride", "positions"), [((1, 1), 64), ((2, 1), 32), ((2, 2), 16)])
def test_only_wanted_positions_are_computed(stride: tuple[int, int], positions: int) -> None:
    sketch = Sketch({"x": bipolar((4, 8, 8))}, np.random.default_rng(3))
    add_binary_conv(sketch, "conv", "x", 4, op=Conv2d(stride, (1, 1, 1, 1)))
    graph = sketch.graph("strided", "conv").verify()
    design = build_design(graph, {"conv": {"simd": 4, "pe": 2, "rows": 3, "words": 1}}, DSP)
    window, conv = (s for s in design.stages if isinstance(s, TapWindow | XnorConv))
    assert conv.cycles == 2 * positions
    assert window.cycles in range(64, 110)  # the picture with its padding


@pytest.mark.slow
@GATED
def test_ap_int(gated: bool) -> None:
    """The Vitis C++ with its testbench, by the engine as the flow calls it; 24 channels in full words."""
    graph, engine = layer(gated, 24), DataflowEngine()
    choices = {}
    for view in graph.views():
        prepared = engine.prepare(view, TARGET)
        choices[view.name] = engine.candidates(prepared, TARGET)[-1]  # type: ignore[arg-type]
    artifact = engine.lower(graph, choices, TARGET)
    rng = np.random.default_rng(11)
    with CSimulation(artifact, graph) as program:
        for _ in range(2):
            values = execute(graph, random_inputs(graph, rng))
            assert_equal(program.run(values), {name: values[name] for name in graph.outputs})
