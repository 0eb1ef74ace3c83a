"""Resize stages between random extents, growing and shrinking, against the formula of pictures."""

from __future__ import annotations

import numpy as np
import pytest
from ap_runs import check_ap_int
from design_runs import DSP, Runner, assert_equal, native, random_inputs, reference, simulated
from layer_graphs import Sketch, activations

from hls.design import build_design
from hls.layers.resize import BilinearResize, Steps
from ir.graph import Graph
from ir.ops import Operand, OperatorError, Resize
from ir.resize import resize_bilinear
from ir.types import Array, DType, TensorType

GARBAGE = 0x5A5A_5A5A_5A5A_5A5A


def resized(shape: tuple[int, int, int], height: int, width: int, bits: int = 8) -> Graph:
    sketch = Sketch({"x": activations(shape, bits)}, np.random.default_rng(0))
    sketch.add("resize", Resize(height, width), "x")
    return sketch.graph("region", "resize").verify()


def random_resize(seed: int) -> Graph:
    """Extents of 1 to 16 either way, or a whole factor, or nearly the same."""
    rng = np.random.default_rng(seed)

    def axis() -> tuple[int, int]:
        small, large = sorted(rng.integers(1, 17, 2).tolist())
        match rng.integers(6):
            case 0:
                return large, small
            case 1:
                return small, large
            case 2:
                return small, small + 1
            case 3:
                return int(rng.integers(1, 5)) * small, small
            case 4:
                return large + 1, large
        return small, small * int(rng.integers(1, 4))

    (rows, height), (columns, width) = axis(), axis()
    channels = int(rng.choice([1, 2, 3, 3, 4, 6]))
    bits = 8 if rng.integers(2) else int(rng.integers(1, 9))
    return resized((channels, rows, columns), height, width, bits)


def frames(graph: Graph, seed: int) -> list[Array]:
    """All lowest, all highest, a checkerboard of both, and two at random with many extremes."""
    x, rng = graph.inputs["x"], np.random.default_rng(seed)
    board = np.indices(x.shape).sum(0) % 2 * x.hi
    drawn = [random_inputs(graph, rng)["x"] for _ in range(2)]
    return [np.full(x.shape, x.lo), np.full(x.shape, x.hi), board, *drawn]


def compare(run: Runner, graph: Graph, seed: int) -> None:
    op = graph.by_name["resize"].op
    assert isinstance(op, Resize)
    for values in frames(graph, seed):
        picture = resize_bilinear(values.astype(np.uint8).transpose(1, 2, 0), op.width, op.height)
        assert_equal(run({"x": values}), {"resize": picture.transpose(2, 0, 1).astype(np.int64)}, graph.types)


def check(seed: int) -> None:
    graph = random_resize(seed)
    compare(simulated(graph, build_design(graph, {}, DSP), GARBAGE), graph, seed)


@pytest.mark.parametrize("seed", range(20))
def test_sample(seed: int) -> None:
    check(seed)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(20, 260))
def test_matrix(seed: int) -> None:
    check(seed)


@pytest.mark.parametrize("seed", range(300, 304))
def test_native(seed: int) -> None:
    graph = random_resize(seed)
    compare(native(graph, build_design(graph, {}, DSP)), graph, seed)


def test_native_picture() -> None:
    """A picture of 90x161 to UltraNet's proportions."""
    graph = resized((3, 90, 161), 40, 80)
    compare(native(graph, build_design(graph, {}, DSP)), graph, 0)


def test_ap_int() -> None:
    """Grown in one axis and shrunk in the other, then requantised."""
    sketch = Sketch({"x": activations((3, 5, 9), 8)}, np.random.default_rng(4))
    sketch.add("resize", Resize(7, 4), "x")
    sketch.scale("act", "resize", 4)
    graph = sketch.graph("region", "act").verify()
    check_ap_int(graph, [random_inputs(graph, sketch.rng) for _ in range(3)])


def test_reference_of_the_operator() -> None:
    """Channels come first in a tensor and last in a picture."""
    graph = resized((3, 6, 8), 4, 5)
    values = frames(graph, 1)[3]
    expected = resize_bilinear(values.astype(np.uint8).transpose(1, 2, 0), 5, 4)
    assert np.array_equal(reference(graph, {"x": values})["resize"].transpose(1, 2, 0), expected)
    assert graph.types["resize"] == TensorType((3, 4, 5), DType("uint", 8), 0, 255)


@pytest.mark.parametrize(
    ("x", "op", "message"),
    [
        (TensorType.of_dtype((3, 4, 4), DType("int", 8)), Resize(2, 2), "takes uint1 to uint8, got int8"),
        (TensorType.of_dtype((3, 4, 4), DType("uint", 9)), Resize(2, 2), "takes uint1 to uint8, got uint9"),
        (TensorType.of_dtype((3, 4, 4), DType("uint", 8)), Resize(0, 2), "0x2 is no extent"),
        (TensorType.of_dtype((4, 4), DType("uint", 8)), Resize(2, 2), r"takes \(channels, height, width\)"),
    ],
)
def test_refusals(x: TensorType, op: Resize, message: str) -> None:
    with pytest.raises(OperatorError, match=message):
        op.infer([Operand(x)])


@pytest.mark.parametrize(
    ("shape", "height", "width", "cycles", "rows"),
    [
        ((3, 360, 640), 160, 320, 360 * 640, 1),
        ((3, 720, 1280), 160, 320, 720 * 1280, 1),
        ((3, 161, 321), 160, 320, 161 * 321, 1),
        ((3, 160, 320), 160, 320, 161 * 321, 1),  # targets lie on the last row and column: a step behind each
        ((3, 80, 160), 160, 320, 2 * 81 * 2 * 161, 2),
    ],
)
def test_cycles_and_memory(shape: tuple[int, int, int], height: int, width: int, cycles: int, rows: int) -> None:
    """A word a cycle where the picture shrinks; one row of sums of 15 bits is kept, two where it grows in height."""
    stage = build_design(resized(shape, height, width), {}, DSP).stages[1]
    assert isinstance(stage, BilinearResize)
    assert stage.cycles == cycles
    assert (stage.rows.slots > 1) + 1 == rows
    assert stage.resources.dsp == 9  # three products a lane: one along the row, two between rows


def test_every_target_has_a_place() -> None:
    for source, target in ((1, 1), (9, 4), (4, 9), (7, 7), (640, 320), (3, 100)):
        steps = Steps.of(source, target)
        assert sorted(steps.index[steps.index < target].tolist()) == list(range(target))
        assert steps.count >= source
