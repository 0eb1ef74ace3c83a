"""Convolutions without multiplier blocks: bit planes of every width, and graphs of adders."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from design_runs import DSP, assert_equal, native, random_inputs, reference, simulated
from layer_graphs import Sketch, activations
from test_layer_flows import TARGET

from hls.csim import CSimulation
from hls.design import build_design
from hls.engine import DataflowEngine
from hls.layers.constant import MOST_CONSTANTS, ConstantMultiply
from hls.layers.fabric import ActivationPlanes, BitPlanes, WeightPlanes
from hls.layers.multiply import Multiply
from hls.nodes.conv_layer import Layer
from hls.nodes.conv_shape import Folding
from hls.packing.ranges import Range
from hls.program import Design
from hls.resources.model import lut_dot, lut_dot_rom_bits, lut_dot_shared
from ir.executor import execute
from ir.graph import Graph
from ir.ops import Conv2d
from ir.types import Array

SIGNED = [False, True]


def layer(weights: Array, bits: int, signed: bool, groups: int = 1, padding: int = 1) -> Graph:
    """Weights (outputs, inputs, kernel, kernel) on activations of 5 x 7 pixels."""
    sketch = Sketch({"x": activations((weights.shape[1] * groups, 5, 7), bits, signed)}, np.random.default_rng(bits))
    sketch.add("conv", Conv2d(padding=(padding,) * 4, groups=groups), "x", w=weights)
    sketch.scale("act", "conv", 4)
    return sketch.graph("layer", "act")


def extreme(rng: np.random.Generator, shape: tuple[int, ...], bits: int) -> Array:
    """Weights of both ends and any, the first output's all -2**(bits - 1)."""
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    values = np.where(rng.random(shape) < 0.5, rng.choice([low, high], shape), rng.integers(low, high + 1, shape))
    values[0] = low
    return values


def foldings(graph: Graph, kind: type[Multiply]) -> list[Folding]:
    found = Layer(graph.view("conv"), DSP)
    return [f for f in found.shape.foldings() if not f.channels and isinstance(found.multiply(f), kind)]


def drawn(rng: np.random.Generator, graph: Graph, kind: type[Multiply], pixels: int | None = None) -> Design:
    options = [f for f in foldings(graph, kind) if pixels in (None, f.pixels)]
    return build_design(graph, {"conv": options[rng.integers(len(options))].configuration}, DSP)


def check_extremes(run: Callable[..., dict[str, Array]], graph: Graph, rng: np.random.Generator) -> None:
    x = graph.inputs["x"]
    for values in (np.full(x.shape, x.lo), np.full(x.shape, x.hi), random_inputs(graph, rng)["x"]):
        assert_equal(run({"x": values}), reference(graph, {"x": values}))


def check_widths(weight_bits: int, activation_bits: int, signed: bool, pixels: int) -> None:
    rng = np.random.default_rng(100 * weight_bits + 10 * activation_bits + pixels)
    shape = (4, int(rng.integers(1, 7)), *(int(rng.choice([1, 3])),) * 2)
    graph = layer(extreme(rng, shape, weight_bits), activation_bits, signed)
    kind = WeightPlanes if weight_bits <= activation_bits else ActivationPlanes
    check_extremes(simulated(graph, drawn(rng, graph, kind, pixels)), graph, rng)


@pytest.mark.parametrize("signed", SIGNED)
@pytest.mark.parametrize(
    ("bits", "pixels"), [((1, 1), 1), ((2, 1), 4), ((1, 8), 2), ((4, 4), 2), ((5, 3), 1), ((8, 8), 2), ((8, 7), 4)]
)
def test_widths(bits: tuple[int, int], signed: bool, pixels: int) -> None:
    check_widths(*bits, signed, pixels)


@pytest.mark.full
@pytest.mark.parametrize("pixels", [1, 2, 4])
@pytest.mark.parametrize("signed", SIGNED)
@pytest.mark.parametrize("activation_bits", range(1, 9))
@pytest.mark.parametrize("weight_bits", range(1, 9))
def test_all_widths_in_luts(weight_bits: int, activation_bits: int, signed: bool, pixels: int) -> None:
    check_widths(weight_bits, activation_bits, signed, pixels)


def lane_groups() -> Graph:
    """Three groups of one input and two outputs: with all kernel rows a pair and a lone lane in each."""
    return layer(extreme(np.random.default_rng(3), (6, 1, 3, 3), 4), 5, False, groups=3)


@pytest.mark.parametrize("weight_bits", [3, 6])
def test_pairs_and_lone_lanes_of_several_groups(weight_bits: int) -> None:
    """The sums of pairs lie where the groups look for them."""
    rng = np.random.default_rng(5)
    graph = layer(extreme(rng, (15, 1, 3, 3), weight_bits), 4, True, groups=15)
    wanted = next(f for f in foldings(graph, BitPlanes) if f.groups == 3 and f.rows == 3)
    check_extremes(simulated(graph, build_design(graph, {"conv": wanted.configuration}, DSP)), graph, rng)


CONSTANTS: dict[str, Callable[[], Graph]] = {
    "4 bits": lambda: layer(extreme(np.random.default_rng(1), (4, 3, 3, 3), 4), 4, False),
    "8 bits": lambda: layer(extreme(np.random.default_rng(2), (3, 2, 3, 3), 8), 8, True),
    "groups": lane_groups,
    "zeros": lambda: layer(np.zeros((2, 2, 3, 3), np.int64), 4, False),
    "some zeros": lambda: layer(np.eye(3, dtype=np.int64)[None, None] * [[[[1]]], [[[0]]], [[[-4]]]], 4, True),
    "one weight": lambda: layer(np.full((1, 1, 1, 1), -3), 3, False, padding=0),
}


@pytest.mark.parametrize("pixels", [1, 2])
@pytest.mark.parametrize("name", CONSTANTS)
def test_constants(name: str, pixels: int) -> None:
    graph, rng = CONSTANTS[name](), np.random.default_rng(len(name))
    check_extremes(simulated(graph, drawn(rng, graph, ConstantMultiply, pixels)), graph, rng)


@pytest.mark.parametrize("kind", [WeightPlanes, ActivationPlanes, ConstantMultiply])
def test_native_code_in_luts(kind: type[Multiply]) -> None:
    rng = np.random.default_rng(7)
    graph = layer(extreme(rng, (4, 5, 3, 3), 4), 3 if kind is ActivationPlanes else 4, True)
    check_extremes(native(graph, drawn(rng, graph, kind)), graph, rng)


@pytest.mark.parametrize("constant", SIGNED)
def test_in_luts_under_ap_int(constant: bool) -> None:
    """The packaged program, with the vendor's pragmas: no product is bound, and only planes have a ROM."""
    graph, engine, rng = CONSTANTS["4 bits"](), DataflowEngine(), np.random.default_rng(8)
    offers = {v.name: engine.candidates(engine.prepare(v, TARGET), TARGET) for v in graph.views()}  # type: ignore[arg-type]
    kind = ConstantMultiply if constant else BitPlanes
    multiply = Layer(graph.view("conv"), DSP).multiply
    wanted = [c for c in offers["conv"] if isinstance(multiply(Folding.of(c.configuration)), kind)]
    artifact = engine.lower(graph, {"conv": wanted[0], "act": offers["act"][0]}, TARGET)
    text = str(artifact.files["regions/layer/accelerator.cpp"])
    assert "bind_op" not in text and ("variable=conv_w " in text) != constant
    with CSimulation(artifact, graph) as program:
        for _ in range(2):
            values = execute(graph, random_inputs(graph, rng))
            assert_equal(program.run(values), {name: values[name] for name in graph.outputs})


def test_weights_in_their_own_places_become_constants() -> None:
    graph = layer(extreme(np.random.default_rng(1), (4, 3, 3, 3), 4), 4, False)
    for folding in foldings(graph, Multiply):
        alone = (folding.simd * folding.words, folding.pe, folding.rows) == (3, 4, 3)
        kind = ConstantMultiply if alone else BitPlanes
        assert isinstance(Layer(graph.view("conv"), DSP).multiply(folding), kind), folding


def test_many_constants_are_left_to_bit_planes() -> None:
    """12 x 12 x 9 weights exceed the limit; with all but a few zero they do not."""
    weights = np.ones((12, 12, 3, 3), np.int64)
    assert weights.size > MOST_CONSTANTS
    assert not foldings(layer(weights, 4, False), ConstantMultiply)
    few = weights * (np.arange(12) == 0)[:, None, None, None]
    assert foldings(layer(few, 4, False), ConstantMultiply)


def arranged(multiply: Multiply, lanes: int, outputs: int = 1) -> Array:
    return np.ones((1, 1, 1, 1, outputs, 1, lanes, multiply.taps), np.int64)


@pytest.mark.parametrize("bits", [(4, 4), (2, 7), (8, 3)])
def test_one_tap_costs_a_dot_product(bits: tuple[int, int]) -> None:
    """As the model has it from measurement; the sums of pairs once for all outputs."""
    multiply = BitPlanes.of(1, 1, Range.weights(bits[0], False), Range.activations(bits[1]))
    dot, shared = lut_dot(16, *bits), lut_dot_shared(16, *bits)
    assert multiply.resources(arranged(multiply, 16)) == dot + shared
    assert multiply.resources(arranged(multiply, 16, 3)) == dot + dot + dot + shared
    assert multiply.rom_bits(arranged(multiply, 16, 3)) == 3 * lut_dot_rom_bits(16, *bits)


def test_taps_share_the_sums_of_a_pixel() -> None:
    """Two pixels by three taps: row sums of 1, 2, 2 and 1 products a lane, but the pairs of two pixels only."""
    multiply = BitPlanes.of(3, 2, Range.weights(4, False), Range.activations(4))
    dots = [lut_dot(8 * n, 4, 4) for n in (1, 2, 2, 1)]
    assert multiply.resources(arranged(multiply, 8)) == sum(dots, lut_dot_shared(16, 4, 4))
