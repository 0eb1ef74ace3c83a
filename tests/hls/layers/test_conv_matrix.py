"""Convolutions of random widths, signs, kernels, strides, groups, paddings, extents, foldings: equal integers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from design_runs import DSP, Runner, assert_equal, folded, native, random_inputs, reference, simulated
from layer_graphs import Sketch, activations, random_layer
from test_layer_flows import TARGET

from hls.csim import CSimulation
from hls.design import build_design
from hls.engine import DataflowEngine
from hls.layers.convolution import Convolution
from hls.layers.fabric import FabricMultiply
from hls.layers.packed import PackedMultiply
from hls.layers.windows import Columns, Windows
from hls.nodes import RULES
from hls.nodes.conv_layer import Layer
from hls.packing import GEOMETRIES
from hls.packing.rows import row_rate
from hls.program import Design
from ir.executor import execute
from ir.graph import Graph
from ir.ops import Conv2d

GARBAGE = 0x5A5A_5A5A_5A5A_5A5A
"""What memories hold at power-up in the simulator: a design may not depend on it."""

FRAMES = 2


def check(seed: int, dsp: str = "dsp48e2", depthwise: bool = False) -> None:
    graph, rng = random_layer(seed, depthwise), np.random.default_rng(seed + 1_000_000)
    run = simulated(graph, folded(graph, rng, GEOMETRIES[dsp]), GARBAGE)
    for _ in range(FRAMES):
        inputs = random_inputs(graph, rng)
        assert_equal(run(inputs), reference(graph, inputs), graph.types)


@pytest.mark.parametrize("seed", range(24))
def test_sample(seed: int) -> None:
    check(seed)


@pytest.mark.parametrize("seed", range(500, 512))
def test_depthwise_sample(seed: int) -> None:
    check(seed, depthwise=True)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(40, 400))
def test_matrix(seed: int) -> None:
    check(seed, tuple(GEOMETRIES)[seed % len(GEOMETRIES)])


@pytest.mark.full
@pytest.mark.parametrize("seed", range(520, 730))
def test_depthwise_matrix(seed: int) -> None:
    check(seed, tuple(GEOMETRIES)[seed % len(GEOMETRIES)], depthwise=True)


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


@pytest.mark.full
@pytest.mark.parametrize("dsp", GEOMETRIES)
def test_every_packing_of_every_geometry(dsp: str) -> None:
    """W4A4 3x3: one folding of each packing that the geometry offers."""
    graph = layer(4, 4, 3, False)
    inputs = random_inputs(graph, np.random.default_rng(4))
    seen = {}
    for folding in Layer(graph.view("conv"), GEOMETRIES[dsp]).shape.foldings():
        seen.setdefault((folding.channels, folding.width, folding.pixels), folding)
    for folding in seen.values():
        design = build_design(graph, {"conv": folding.configuration}, GEOMETRIES[dsp])
        assert_equal(simulated(graph, design)(inputs), reference(graph, inputs), folding)


def test_the_densest_packing_is_offered() -> None:
    """Plain packings of the published table (packing.md): W4A4 K3 6, W4A8 K3 3, W2A2 K3 15, W4A4 K1 4 on 27x18."""
    rates = {}
    for bits, kernel in (((4, 4), 3), ((4, 8), 3), ((2, 2), 3), ((4, 4), 1)):
        view = Layer(layer(*bits, kernel, False).view("conv"), DSP)
        packings = [view.multiply(f) for f in view.shape.foldings() if not (f.overlap or f.offset)]
        rates[bits, kernel] = max(row_rate(p.built, kernel) for p in packings if isinstance(p, PackedMultiply))
    assert rates == {((4, 4), 3): 6, ((4, 8), 3): 3, ((2, 2), 3): 15, ((4, 4), 1): 4}


def test_nothing_is_computed_to_be_discarded() -> None:
    """A padded 3x3 convolution takes a step per pair of output pixels, and at stride 1 one more at the end."""
    for stride, last in (((1, 1), 1), ((2, 2), 0)):
        width = 12
        sketch = Sketch({"x": activations((2, 8, width), 4)}, np.random.default_rng(0))
        sketch.add("conv", Conv2d(stride, (1, 1, 1, 1)), "x", w=np.ones((2, 2, 3, 3), np.int64))
        view = Layer(sketch.graph("g", "conv").view("conv"), DSP)
        outputs = 8 * width // stride[0] // stride[1]
        assert view.shape.steps(2).positions == outputs // 2 + last


def chosen(graph: Graph, wanted: Callable[[Design], bool]) -> Design:
    """The first design among the foldings that is as wanted."""
    view = graph.view("conv")
    designs = (build_design(graph, {"conv": c}, DSP) for c in RULES[Conv2d].configurations(view, DSP))
    return next(design for design in designs if wanted(design))


def is_wide(kind: type) -> Callable[[Design], bool]:
    """Several words and output groups at once, multiplied by ``kind``."""

    def wanted(design: Design) -> bool:
        conv = next(s for s in design.stages if isinstance(s, Convolution))
        return isinstance(conv.multiply, kind) and conv.output_groups > 1 and conv.lanes > 2

    return wanted


def test_row_sums_that_start_beyond_32_bits() -> None:
    """Every channel's windows start alike, at a number that HeteroCL has no constant for: a ROM holds it."""
    sketch = Sketch({"x": activations((64, 2, 3), 16, True)}, np.random.default_rng(7))
    sketch.add("conv", Conv2d(), "x", w=sketch.rng.integers(-127, 128, (4, 64, 1, 1)))
    graph = sketch.graph("wide", "conv").verify()

    def wanted(design: Design) -> bool:
        multiply, weights = next((s.multiply, s.arranged) for s in design.stages if isinstance(s, Convolution))
        starts = multiply.starts(weights).reshape(-1, multiply.sums)
        return bool((starts == starts[0]).all()) and multiply.start_bits(weights) > 32

    design = chosen(graph, wanted)
    run, inputs = simulated(graph, design, GARBAGE), random_inputs(graph, np.random.default_rng(8))
    assert_equal(run(inputs), reference(graph, inputs))


def networks() -> dict[str, Graph]:
    strided = Sketch({"x": activations((4, 9, 11), 4)}, np.random.default_rng(3))
    strided.add("conv", Conv2d((2, 2), (1, 1, 1, 1)), "x", w=strided.rng.integers(-8, 8, (6, 4, 3, 3)))
    strided.scale("act", "conv")
    depthwise = Sketch({"x": activations((6, 7, 8), 5)}, np.random.default_rng(4))
    depthwise.add("conv", Conv2d((1, 1), (2, 2, 2, 2), 6), "x", w=depthwise.rng.integers(-8, 8, (6, 1, 5, 5)))
    depthwise.scale("act", "conv")
    return {
        "1x1": layer(4, 4, 1, False),
        "3x3": layer(4, 4, 3, True),
        "7x7": layer(3, 2, 7, False),
        "strided": strided.graph("strided", "act"),
        "depthwise": depthwise.graph("depthwise", "act"),
    }


@pytest.mark.parametrize("name", networks())
def test_native_code(name: str) -> None:
    """Compiled; three frames through one library, so that nothing may be left over from a frame."""
    graph, rng = networks()[name], np.random.default_rng(1)
    run = native(graph, folded(graph, rng))
    for _ in range(3):
        inputs = random_inputs(graph, rng)
        assert_equal(run(inputs), reference(graph, inputs), name)


@pytest.mark.parametrize("kind", [PackedMultiply, FabricMultiply])
def test_native_code_of_either_multiplication(kind: type) -> None:
    graph, rng = layer(4, 4, 3, False), np.random.default_rng(2)
    design = chosen(graph, is_wide(kind))
    assert {Columns, Windows, Convolution} <= {type(stage) for stage in design.stages}
    inputs = random_inputs(graph, rng)
    assert_equal(native(graph, design)(inputs), reference(graph, inputs))


def test_under_ap_int() -> None:
    """The packaged program and testbench of a strided, packed convolution."""
    graph, engine = networks()["strided"], DataflowEngine()
    offers = {v.name: engine.candidates(engine.prepare(v, TARGET), TARGET) for v in graph.views()}  # type: ignore[arg-type]
    packed = [c for c in offers["conv"] if c.configuration["channels"]]
    artifact = engine.lower(graph, {"conv": packed[0], "act": offers["act"][0]}, TARGET)
    rng = np.random.default_rng(5)
    with CSimulation(artifact, graph) as program:
        for _ in range(FRAMES):
            values = execute(graph, random_inputs(graph, rng))
            assert_equal(program.run(values), {name: values[name] for name in graph.outputs})


@pytest.mark.full
@pytest.mark.parametrize("seed", range(1000, 1060))
def test_native_matrix(seed: int) -> None:
    graph, rng = random_layer(seed), np.random.default_rng(seed)
    run: Runner = native(graph, folded(graph, rng))
    inputs = random_inputs(graph, rng)
    assert_equal(run(inputs), reference(graph, inputs), graph.types)
