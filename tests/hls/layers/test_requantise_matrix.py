"""Requantisation stages, searched and multiplied: random widths, tables and signs, values beside every threshold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ap_runs import check_ap_int
from design_runs import DSP, Runner, assert_equal, native, reference, simulated
from layer_graphs import Sketch, activations

from hls.design import build_design
from hls.layers.requantise import RequantiseStage, ScaleShift, Search
from hls.nodes.requantise import requantisation, styles
from hls.packing import GEOMETRIES
from hls.program import Design
from ir.graph import Graph
from ir.ops import MultiplyShift, Thresholds
from ir.types import Array, DType, TensorType

GARBAGE = 0x5A5A_5A5A_5A5A_5A5A


def random_map(seed: int) -> Graph:
    """One multiply-shift or one table of thresholds over sums of 2 to 24 bits, awkward cases among them."""
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 7)), int(rng.integers(1, 4)), int(rng.integers(2, 6)))
    x = activations(shape, int(rng.integers(2, 25)), bool(rng.integers(3)))
    if rng.random() < 0.5:  # a range that does not fill its type
        low, high = sorted(rng.integers(x.lo, x.hi, 2, endpoint=True).tolist())
        x = TensorType(x.shape, x.dtype, low, high)
    sketch = Sketch({"x": x}, rng)
    if rng.random() < 0.5:
        out = DType("int" if rng.integers(2) else "uint", int(rng.integers(1, 9)))
        shift = int(rng.integers(1, 20))
        spread = 2.0**shift * (out.hi - out.lo + 1) / (x.hi - x.lo + 1)
        mul = np.rint(spread * rng.uniform(-2, 3, shape[0])).astype(np.int64)
        add = rng.integers(-(1 << (shift + out.bits)), 1 << (shift + out.bits), shape[0])
        sketch.add("map", MultiplyShift(shift, out.lo, out.hi), "x", mul=mul, add=add)
    else:
        count = int(rng.choice([1, 2, 3, 6, 7, 8, 15, 15, 16, 31, 40]))
        table = rng.integers(x.lo - 2, x.hi + 3, (shape[0], count))  # in any order, some outside the range
        if rng.random() < 0.3:
            table[:, count // 2 :] = table[:, :1]  # equal ones
        rising = np.full(shape[0], int(rng.integers(2))) if rng.random() < 0.5 else rng.integers(0, 2, shape[0])
        sketch.add("map", Thresholds(int(rng.integers(-count, 3))), "x", table=table, rising=rising)
    return sketch.graph(f"map{seed}", "map").verify()


def turns(graph: Graph) -> list[list[int]]:
    """Per channel the values of x at which the result may change, found by bisection of the reference."""
    view = graph.view("map")
    constants = [operand.constant for operand in view.operands[1:]]
    x = graph.inputs["x"]

    def at(value: int) -> Array:
        return view.op.evaluate([np.full((x.shape[0],), value), *constants])

    found: list[list[int]] = [[] for _ in range(x.shape[0])]
    parts = [(x.lo, x.hi)]
    while parts:
        low, high = parts.pop()
        changes = at(low) != at(high)
        if not changes.any() or sum(map(len, found)) > 400:
            continue
        if high - low == 1:
            for channel in np.flatnonzero(changes):
                found[channel] += [low, high]
            continue
        parts += [(low, (low + high) // 2), ((low + high) // 2, high)]
    return found


def frames(graph: Graph, count: int, rng: np.random.Generator) -> list[Array]:
    """Frames of values just below and at the thresholds, of the range's ends, and of any others."""
    x, edges = graph.inputs["x"], turns(graph)
    made = []
    for _ in range(count):
        values = rng.integers(x.lo, x.hi, x.shape, endpoint=True)
        for channel, known in enumerate(edges):
            near = rng.choice([*known, x.lo, x.hi], x.shape[1:])
            values[channel] = np.where(rng.random(x.shape[1:]) < 0.8, near, values[channel])
        made.append(values)
    return made


def designs(graph: Graph) -> list[Design]:
    """The stage in every style that its operator allows."""
    view = graph.view("map")
    design = build_design(graph, {}, DSP)
    made = []
    for style in styles(view):
        rule = requantisation(view, DSP, style)
        stages = [replace(s, rule=rule) if isinstance(s, RequantiseStage) else s for s in design.stages]
        made.append(replace(design, stages=tuple(stages)))
    return made


def compare(run: Runner, graph: Graph, seed: int, count: int = 3) -> None:
    for values in frames(graph, count, np.random.default_rng(seed)):
        assert_equal(run({"x": values}), reference(graph, {"x": values}), graph.types)


def check(seed: int) -> None:
    graph = random_map(seed)
    for design in designs(graph):
        compare(simulated(graph, design, GARBAGE), graph, seed)


@pytest.mark.parametrize("seed", range(20))
def test_sample(seed: int) -> None:
    check(seed)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(20, 260))
def test_matrix(seed: int) -> None:
    check(seed)


@pytest.mark.parametrize("seed", range(300, 305))
def test_native(seed: int) -> None:
    graph = random_map(seed)
    for design in designs(graph)[:1]:
        compare(native(graph, design), graph, seed)


def test_ap_int() -> None:
    """A searched 4-bit map with rising and falling channels, under ap_int."""
    graph = mapped(MultiplyShift(6, 0, 15), [40, -37, 0, 21], [100, 500, 300, -20])
    check_ap_int(graph, [{"x": values} for values in frames(graph, 3, np.random.default_rng(1))])


def mapped(op: MultiplyShift, mul: list[int], add: list[int], bits: int = 9) -> Graph:
    sketch = Sketch({"x": activations((len(mul), 3, 4), bits, True)}, np.random.default_rng(0))
    sketch.add("map", op, "x", mul=np.array(mul), add=np.array(add))
    return sketch.graph("region", "map").verify()


def beyond_32_bits(bits: int, lo: int, hi: int) -> Graph:
    sketch = Sketch({"x": activations((3, 2, 3), bits)}, np.random.default_rng(bits))
    mul = np.array([9, -9, 1 << 20]) if bits < 36 else np.array([2, -3, 1])
    sketch.add("map", MultiplyShift(2, lo, hi), "x", mul=mul, add=np.array([2, 7, -9]))
    return sketch.graph("region", "map").verify()


def wide_frames(graph: Graph) -> list[dict[str, Array]]:
    x, rng = graph.inputs["x"], np.random.default_rng(1)
    return [{"x": np.full(x.shape, end)} for end in (x.lo, x.hi)] + [
        {"x": rng.integers(x.lo, x.hi, x.shape, endpoint=True)}
    ]


@pytest.mark.parametrize("ends", [(0, (1 << 31) - 1), (0, (1 << 32) - 1), (-(1 << 33), 1 << 33)])
@pytest.mark.parametrize("bits", [31, 32, 33, 40])
def test_lanes_and_ends_beyond_the_constants_of_heterocl(bits: int, ends: tuple[int, int]) -> None:
    """Its constants have 32 bits: masks of such lanes, and such ends, are kept in registers and memories."""
    graph = beyond_32_bits(bits, *ends)
    run = simulated(graph, build_design(graph, {}, DSP), GARBAGE)
    for inputs in wide_frames(graph):
        assert_equal(run(inputs), reference(graph, inputs))


def test_wide_lanes_under_ap_int() -> None:
    graph = beyond_32_bits(33, 0, (1 << 32) - 1)
    check_ap_int(graph, wide_frames(graph))


@pytest.mark.parametrize(
    ("count", "falling", "levels"), [(1, 0, 1), (2, 1, 2), (3, 0, 2), (4, 1, 3), (15, 0, 4), (16, 1, 5), (255, 0, 8)]
)
def test_a_search_has_one_level_per_bit(count: int, falling: int, levels: int) -> None:
    table = np.arange(2 * count).reshape(2, count)
    search = Search.of(table, np.full(2, 1 - falling), 0, -1, 2 * count)
    assert search.levels == levels


def test_bounds_that_decide_nothing_are_dropped() -> None:
    """x is in 0..9: three bounds that every x reaches, one that none does, two that count."""
    table = np.array([[-5, 0, -1, 4, 7, 10], [0, -9, 0, 5, 12, 11]])
    search = Search.of(table, np.ones(2, np.int64), -2, 0, 9)
    assert search.levels == 2 and search.rise == 1
    assert search.bounds.tolist() == [[4, 7, 10], [5, 10, 10]]


def test_choice() -> None:
    """Up to 32 levels that can occur are searched for, more are multiplied; thresholds have no multiplier at all."""
    small, large = mapped(MultiplyShift(4, 0, 31), [20], [0]), mapped(MultiplyShift(4, 0, 32), [20], [0])
    assert isinstance(requantisation(small.view("map"), DSP), Search)
    assert isinstance(requantisation(large.view("map"), DSP), ScaleShift)
    unreached = mapped(MultiplyShift(4, -128, 127), [1], [0])  # x / 16 stays within -16..16, 33 levels
    assert styles(unreached.view("map"))[0] == "scale"
    unreached = mapped(MultiplyShift(4, -128, 127), [1], [0], bits=8)
    assert isinstance(requantisation(unreached.view("map"), DSP), Search)
    assert requantisation(small.view("map"), DSP).resources(20, 8).dsp == 0


@pytest.mark.parametrize(
    ("dsp", "accumulator", "multiplier", "count"),
    [
        ("dsp48e2", 24, 13, 1),
        ("dsp48e2", 27, 18, 1),
        ("dsp48e2", 18, 27, 1),
        ("dsp48e2", 28, 13, 2),
        ("dsp48e2", 24, 19, 2),
        ("dsp48e1", 25, 18, 1),
        ("dsp48e1", 26, 18, 2),
        ("gowin18", 18, 18, 1),
        ("gowin18", 24, 13, 2),
        ("gowin9", 24, 13, 6),
        ("intel27", 27, 27, 1),
    ],
)
def test_multipliers_by_port_width(dsp: str, accumulator: int, multiplier: int, count: int) -> None:
    """Counted by hand: signed parts of 27 and 18 bits (25x18 on E1, 9x9 on Gowin), lower parts one bit less."""
    mul = np.array([-(1 << (multiplier - 1))])
    rule = ScaleShift(mul, np.array([5]), 9, 0, 255, 30, GEOMETRIES[dsp])
    assert rule.resources(accumulator, 1).dsp == count
