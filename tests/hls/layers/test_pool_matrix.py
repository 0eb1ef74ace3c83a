"""Pooling stages of random windows, strides, paddings, extents and widths; whole maps; several pixels in a word."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ap_runs import check_ap_int
from design_runs import DSP, Runner, assert_equal, native, random_inputs, reference, simulated
from layer_graphs import Sketch, activations

from hls.design import build_design
from hls.heterocl.lower import lower
from hls.heterocl.simulate import Simulator
from hls.layers.movement import Load, Store
from hls.layers.pooling import Pooling
from hls.layers.stage import Wire
from hls.nodes import RULES, UnsupportedNodeError
from hls.nodes.pooling import PoolRule
from hls.program import Design, Port, schedule
from ir.graph import Graph
from ir.ops import MaxPool2d, Pool, SumPool2d
from ir.types import Array, TensorType

GARBAGE = 0x5A5A_5A5A_5A5A_5A5A


def pooled(x: TensorType, op: Pool) -> Graph:
    sketch = Sketch({"x": x}, np.random.default_rng(0))
    sketch.add("pool", op, "x")
    return sketch.graph("region", "pool").verify()


def random_pool(seed: int) -> Graph:
    """Any window up to 7x7 at any stride up to 4x4, some as large as the map, padded or not; 1 to 12 bits."""
    rng = np.random.default_rng(seed)
    kernel = (int(rng.choice([1, 2, 2, 3, 3, 5, 7])), int(rng.choice([1, 2, 2, 3, 3, 4, 7])))
    stride = kernel if rng.random() < 0.3 else (int(rng.integers(1, 5)), int(rng.integers(1, 5)))
    padding = tuple(int(rng.integers(0, k)) for k in (*kernel, *kernel)) if rng.random() < 0.5 else (0, 0, 0, 0)
    rows = int(rng.integers(max(1, kernel[0] - padding[0] - padding[2]), kernel[0] + 7))
    columns = int(rng.integers(max(1, kernel[1] - padding[1] - padding[3]), kernel[1] + 8))
    if rng.random() < 0.15:
        kernel, padding = (rows, columns), (0, 0, 0, 0)
    x = activations((int(rng.integers(1, 7)), rows, columns), int(rng.integers(1, 13)), bool(rng.integers(2)))
    if rng.random() < 0.3:
        low, high = sorted(rng.integers(x.lo, x.hi, 2, endpoint=True).tolist())
        x = TensorType(x.shape, x.dtype, low, high)
    kind = MaxPool2d if rng.integers(2) else SumPool2d
    return pooled(x, kind(kernel, stride, padding))  # type: ignore[arg-type]


def compare(run: Runner, graph: Graph, seed: int) -> None:
    """A frame of each end of the range, and two of values at and between them."""
    x, rng = graph.inputs["x"], np.random.default_rng(seed)
    ends = [{"x": np.full(x.shape, end)} for end in (x.lo, x.hi)]
    for inputs in (*ends, random_inputs(graph, rng), random_inputs(graph, rng)):
        assert_equal(run(inputs), reference(graph, inputs), graph.by_name["pool"].op)


def check(seed: int) -> None:
    graph = random_pool(seed)
    design = build_design(graph, {}, DSP)
    compare(simulated(graph, design, GARBAGE), graph, seed)
    stage = design.stages[1]
    assert isinstance(stage, Pooling)
    assert stage.rows.kept <= max(stage.kernel[0] - 1, 0)


@pytest.mark.parametrize("seed", range(20))
def test_sample(seed: int) -> None:
    check(seed)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(20, 320))
def test_matrix(seed: int) -> None:
    check(seed)


@pytest.mark.parametrize("seed", range(400, 405))
def test_native(seed: int) -> None:
    graph = random_pool(seed)
    compare(native(graph, build_design(graph, {}, DSP)), graph, seed)


def test_ap_int() -> None:
    """A signed 3x3 maximum of the same extent joined to what it pools: the branch beside it is sized by its delay."""
    sketch = Sketch({"x": activations((4, 6, 7), 5, True)}, np.random.default_rng(3))
    sketch.add("best", MaxPool2d((3, 3), (1, 1), (1, 1, 1, 1)), "x")
    sketch.concat("joined", "x", "best")
    sketch.add("sum", SumPool2d((3, 2), (2, 2), (0, 1, 1, 0)), "joined")
    graph = sketch.graph("region", "sum").verify()
    check_ap_int(graph, [random_inputs(graph, sketch.rng) for _ in range(3)])


@pytest.mark.parametrize(
    ("op", "rows", "words"),
    [
        (MaxPool2d((2, 2), (2, 2)), 1, 4),  # a running row of the result's width
        (MaxPool2d((3, 3), (3, 3)), 1, 3),
        (MaxPool2d((3, 3), (1, 1)), 2, 7),
        (MaxPool2d((3, 3), (2, 2)), 1, 4),  # rows 2i and 2i+1 belong to one window each but for the one that closes
        (MaxPool2d((5, 5), (1, 1), (2, 2, 2, 2)), 4, 9),
        (SumPool2d((9, 9), (1, 1)), 1, 1),  # the whole map: one sum a channel
        (MaxPool2d((1, 1), (2, 2)), 0, 5),
    ],
)
def test_memory_and_cycles(op: Pool, rows: int, words: int) -> None:
    """On 9x9: rows of results kept, their width, and a cycle per word where the strides divide the map."""
    stage = build_design(pooled(activations((2, 9, 9), 4), op), {}, DSP).stages[1]
    assert isinstance(stage, Pooling)
    assert (stage.rows.kept, stage.columns.count) == (rows, words)
    if op.stride == (3, 3) or (op.stride == (1, 1) and not any(op.padding)):
        assert stage.cycles == 81


def test_wide_sums_have_no_generator() -> None:
    view = pooled(TensorType.of_range((1, 4, 4), 0, (1 << 30) - 1), SumPool2d()).view("pool")
    with pytest.raises(UnsupportedNodeError, match=r"pooling to uint32 has no generator \(allowed: up to 31 bits\)"):
        RULES[SumPool2d].object(view, DSP)


# Several pixels in a word


@pytest.mark.parametrize(
    ("pixels", "kernel", "stride", "sides", "taken"),
    [
        (1, 3, 1, (1, 1), True),
        (2, 2, 2, (0, 0), True),
        (4, 2, 2, (0, 0), True),
        (2, 4, 4, (0, 0), True),
        (2, 1, 1, (0, 0), True),
        (2, 3, 3, (0, 0), False),
        (2, 2, 1, (0, 0), False),
        (2, 2, 2, (1, 0), False),
        (2, 2, 2, (0, 1), False),
    ],
)
def test_which_words_are_taken(pixels: int, kernel: int, stride: int, sides: tuple[int, int], taken: bool) -> None:
    assert Pooling.takes(pixels, kernel, stride, *sides) is taken
    graph = pooled(activations((2, 8, 8), 4), MaxPool2d((2, kernel), (2, stride), (0, sides[0], 0, sides[1])))
    assert PoolRule().takes(graph.view("pool"), pixels) is taken


def to_words(values: Array, wire: Wire, beyond: int = 0) -> Array:
    """A tensor (C, H, W) as the words of a wire, the left pixel and the first channel low; ``beyond`` fills pixels
    behind the row."""
    words = np.zeros(wire.shape, object)
    for y, j, g in np.ndindex(wire.shape):
        for p in range(wire.pixels):
            for c in range(wire.lanes):
                column = j * wire.pixels + p
                value = int(values[g * wire.lanes + c, y, column]) if column < values.shape[2] else beyond
                words[y, j, g] |= (value & ((1 << wire.bits) - 1)) << wire.bits * (p * wire.lanes + c)
    return words


def check_pixels(graph: Graph, pixels: int, lanes: int, rng: np.random.Generator) -> Pooling:
    """A hand-made design from words of several pixels to those that come of them, two frames."""
    x, y = graph.inputs["x"], graph.types["pool"]
    channels, height, width = x.shape
    shape = (height, -(-width // pixels), channels // lanes)
    memory = Wire("memory", *shape, lanes, x.dtype.bits, x.dtype.signed, pixels)
    source = replace(memory, name="source")
    (stage,) = PoolRule().stages(graph.view("pool"), [source], {}, DSP)
    assert isinstance(stage, Pooling)
    (target,) = stage.targets
    stores = replace(target, name="results")
    load, store = Load("load", (memory,), (source,)), Store("store", (target,), (stores,), 64)
    design = Design("pixels", (load, stage, store), (Port(memory, 64),), (Port(stores, 64),))
    simulator = Simulator(lower(schedule(design)), garbage=GARBAGE)
    for _ in range(2):
        inputs = random_inputs(graph, rng)
        expected = to_words(reference(graph, inputs)["pool"], target)
        given = to_words(inputs["x"], memory, int(rng.integers(1 << x.dtype.bits)))
        got = simulator.run(given, np.zeros(target.shape, np.int64)).arrays[1]
        inside = (y.shape[2] - (target.columns - 1) * target.pixels) * lanes * target.bits  # of a row's last word
        mask = np.full(target.columns, (1 << target.word_bits) - 1, object)
        mask[-1] = (1 << inside) - 1
        np.testing.assert_array_equal(
            got.astype(object) & mask[:, None], expected & mask[:, None], err_msg=f"{graph.by_name['pool'].op}"
        )
    return stage


PIXELS = [(2, 2), (2, 1), (2, 4), (4, 2), (4, 4), (3, 3), (3, 6), (6, 3), (4, 1), (2, 6)]


@pytest.mark.parametrize("seed", range(20))
def test_pixel_groups(seed: int) -> None:
    """Aligned windows of n pixels a word, rows that end within a word, results of one or several pixels."""
    rng = np.random.default_rng(seed)
    pixels, width = PIXELS[seed % len(PIXELS)]
    height = int(rng.integers(1, 4))
    top = int(rng.integers(height)) if rng.random() < 0.3 else 0
    stride = (int(rng.integers(1, 4)), width)
    bits, kind = int(rng.integers(1, 5)), MaxPool2d if rng.integers(2) else SumPool2d
    lanes = 2 if pixels * 2 * (bits + 5) <= 64 else 1
    shape = (lanes * int(rng.integers(1, 3)), height + int(rng.integers(1, 5)), width * 2 + int(rng.integers(0, 5)))
    graph = pooled(activations(shape, bits, bool(rng.integers(2))), kind((height, width), stride, (top, 0, 0, 0)))
    check_pixels(graph, pixels, lanes, rng)


def test_a_pair_wire_is_pooled_in_half_the_cycles() -> None:
    graph = pooled(activations((4, 8, 16), 4), MaxPool2d())
    stage = check_pixels(graph, 2, 4, np.random.default_rng(0))
    assert stage.cycles == 8 * 16 // 2 and stage.targets[0].shape == (4, 8, 1)
