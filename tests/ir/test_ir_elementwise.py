"""Elementwise and movement operators against torch; inferred ranges against every value of small cases."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from ir.graph import Graph, GraphError, Node
from ir.ops import OPERATORS, Add, Clip, DepthToSpace, Multiply, Op, Operand, OperatorError, PRelu, RPRelu, Upsample
from ir.ops.spatial import SpaceToDepth
from ir.types import Array, DType, TensorType

SHAPE = (6, 4, 5)


def constant(values: object) -> Operand:
    array = np.asarray(values)
    return Operand(TensorType.of_values(array), array)


def tensor(shape: tuple[int, ...], lo: int, hi: int) -> Operand:
    return Operand(TensorType.of_range(shape, lo, hi))


def draw(seed: int, shape: tuple[int, ...] = SHAPE, bits: int = 8) -> Array:
    return np.random.default_rng(seed).integers(-(1 << (bits - 1)), 1 << (bits - 1), shape)


def as_torch(values: Array) -> torch.Tensor:
    """(1, C, H, W) doubles: exact for all numbers here."""
    return torch.from_numpy(values.astype(np.float64))[None]


def assert_same(got: Array, expected: torch.Tensor) -> None:
    assert got.dtype == np.int64
    np.testing.assert_array_equal(got, expected[0].numpy())


@pytest.mark.parametrize("bits", [1, 4, 8, 32])
def test_sums_and_products(bits: int) -> None:
    x, y, per_channel = draw(1, bits=bits), draw(2, bits=bits), draw(3, SHAPE[:1], bits)
    assert_same(Add().evaluate([x, y]), torch.add(as_torch(x), as_torch(y)))
    bias = F.conv2d(
        as_torch(x), torch.eye(6, dtype=torch.float64)[:, :, None, None], torch.tensor(per_channel).double()
    )
    assert_same(Add().evaluate([x, per_channel]), bias)
    for shape in (SHAPE, (6, 1, 1), (1, 4, 5)):
        y = draw(4, shape, min(bits, 20))
        assert_same(Multiply().evaluate([x, y]), as_torch(x) * as_torch(y))


@pytest.mark.parametrize(("lo", "hi"), [(0, 127), (-5, 9), (3, 4), (-500, 500)])
def test_clip(lo: int, hi: int) -> None:
    x = draw(5)
    assert_same(Clip(lo, hi).evaluate([x]), torch.clamp(as_torch(x), lo, hi))


def test_clip_at_zero_is_relu() -> None:
    x = draw(6)
    assert_same(Clip(0, 127).evaluate([x]), F.relu(as_torch(x)))
    type_ = Clip(0, 127).infer([tensor(SHAPE, -128, 127)])
    assert (type_.dtype, type_.lo, type_.hi) == (DType("uint", 7), 0, 127)


@pytest.mark.parametrize("shift", [0, 3, 8])
def test_prelu(shift: int) -> None:
    """The result is ``2**shift`` times torch's with slopes ``slope / 2**shift``."""
    x, slope = draw(7), draw(8, SHAPE[:1], 6)
    real = F.prelu(as_torch(x), torch.from_numpy(slope / 2.0**shift))
    assert_same(PRelu(shift).evaluate([x, slope]), real * 2.0**shift)


def test_rprelu_is_prelu_between_two_shifts() -> None:
    x, before, slope, after = draw(9), *(draw(10 + i, SHAPE[:1], 6) for i in range(3))
    moved = as_torch(x) + torch.from_numpy(before)[None, :, None, None]
    bent = F.prelu(moved, torch.from_numpy(slope / 16.0)) * 16
    expected = bent + torch.from_numpy(after)[None, :, None, None]
    assert_same(RPRelu(4).evaluate([x, before, slope, after]), expected)


@pytest.mark.parametrize("block", [1, 2, 3])
def test_depth_to_space(block: int) -> None:
    x = draw(13, (2 * block * block, 3, 5))
    assert_same(DepthToSpace(block, "crd").evaluate([x]), F.pixel_shuffle(as_torch(x), block))
    back = SpaceToDepth(block).evaluate([DepthToSpace(block, "dcr").evaluate([x])])
    np.testing.assert_array_equal(back, x)


def test_depth_to_space_in_onnx_words() -> None:
    """The reshapes of ONNX's definition of DepthToSpace, mode DCR."""
    (c, h, w), b = (8, 3, 5), 2
    x = draw(14, (c, h, w))
    spread = x.reshape(b, b, c // (b * b), h, w).transpose(2, 3, 0, 4, 1).reshape(c // (b * b), h * b, w * b)
    np.testing.assert_array_equal(DepthToSpace(b, "dcr").evaluate([x]), spread)


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_upsample(factor: int) -> None:
    x = draw(15)
    assert_same(Upsample(factor).evaluate([x]), F.interpolate(as_torch(x), scale_factor=factor, mode="nearest"))


ENDS = [(-3, 2), (0, 3), (1, 2), (-3, -1), (-4, 0)]
CONSTANTS = [[-2, 3], [0, 0], [4, 1], [-1, -5]]


@pytest.mark.parametrize(("lo", "hi"), ENDS)
@pytest.mark.parametrize("values", CONSTANTS)
def test_ranges_of_maps_are_exact(lo: int, hi: int, values: list[int]) -> None:
    """Two channels of one pixel: all inputs are tried, the extremes must be those of the type."""
    rows: list[tuple[Op, Sequence[object]]] = [
        (Add(), [values]),
        (Clip(min(values), max(values) + 1), []),
        (PRelu(0), [values]),
        (PRelu(2), [values]),
        (RPRelu(1), [values[::-1], values, [5, -7]]),
    ]
    for op, given in rows:
        constants = [constant(v) for v in given]
        type_ = op.infer([tensor((2, 1, 1), lo, hi), *constants])
        seen = [
            op.evaluate([np.array(x).reshape(2, 1, 1), *(c.constant for c in constants)])
            for x in product(range(lo, hi + 1), repeat=2)
        ]
        assert (type_.lo, type_.hi) == (np.min(seen), np.max(seen)), op
        assert type_.dtype == DType.holding(type_.lo, type_.hi)


@pytest.mark.parametrize("op", [Add(), Multiply()])
@pytest.mark.parametrize(("x", "y"), list(product(ENDS, ENDS)))
def test_ranges_of_pairs_are_exact(op: Op, x: tuple[int, int], y: tuple[int, int]) -> None:
    type_ = op.infer([tensor((1, 1, 1), *x), tensor((1, 1, 1), *y)])
    values = product(range(x[0], x[1] + 1), range(y[0], y[1] + 1))
    seen = [int(op.evaluate([np.full((1, 1, 1), v) for v in pair]).item()) for pair in values]
    assert (type_.lo, type_.hi) == (min(seen), max(seen))


@pytest.mark.parametrize(
    ("op", "operands", "message"),
    [
        (Add(), [tensor(SHAPE, 0, 3)], "takes x, y; got 1 operands"),
        (Add(), [tensor(SHAPE, 0, 3), tensor((6, 4, 4), 0, 3)], r"y has shape \(6, 4, 4\), needs \(6, 4, 5\)"),
        (Add(), [tensor(SHAPE, 0, 3), tensor((6,), 0, 3)], r"y has shape \(6,\), needs \(6, 4, 5\)"),
        (Add(), [tensor(SHAPE, 0, 3), constant([1, 2])], r"y has shape \(2,\), needs one per channel"),
        (Add(), [tensor(SHAPE, 0, 3), constant(np.zeros(6))], "mixes integers and floats: uint2"),
        (Add(), [tensor(SHAPE, 0, 1 << 61), tensor(SHAPE, 0, 1 << 61)], "exceed 63 bits"),
        (Multiply(), [tensor(SHAPE, 0, 3), tensor((1, 1, 1), 0, 3)], r"needs one of \(6, 4, 5\), \(6, 1, 1\), \(1, 4"),
        (Multiply(), [tensor((6,), 0, 3), tensor((6,), 0, 3)], "takes x .channels, height, width."),
        (Clip(3, 3), [tensor(SHAPE, 0, 3)], "range 3..3 is empty"),
        (Clip(0, 1.5), [tensor(SHAPE, 0, 3)], "bounds 0..1.5 of integers must be integers"),
        (PRelu(63), [tensor(SHAPE, 0, 3), constant([1] * 6)], "shift must be 0..62, is 63"),
        (PRelu(1), [tensor(SHAPE, 0, 3), tensor((6,), 0, 3)], "slope must be a constant"),
        (PRelu(60), [tensor(SHAPE, 0, 7), constant([1] * 6)], "exceed 63 bits"),
        (RPRelu(1), [tensor(SHAPE, 0, 3), *[constant([1] * 6)] * 2, constant([1])], "after has shape"),
        (DepthToSpace(2), [tensor(SHAPE, 0, 3)], "6 channels are no multiple of the block's 4 positions"),
        (DepthToSpace(0), [tensor(SHAPE, 0, 3)], "block must be at least 1, is 0"),
        (DepthToSpace(1, "rcd"), [tensor(SHAPE, 0, 3)], "order must be dcr or crd, is rcd"),  # type: ignore[arg-type]
        (Upsample(0), [tensor(SHAPE, 0, 3)], "factor must be at least 1, is 0"),
        (Upsample(2), [tensor((6, 4), 0, 3)], "takes .channels, height, width."),
    ],
)
def test_what_is_not_defined_is_one_clear_error(op: Op, operands: Sequence[Operand], message: str) -> None:
    with pytest.raises(OperatorError, match=message) as error:
        op.infer(operands)
    assert "\n" not in str(error.value)


def test_movement_keeps_the_type() -> None:
    for dtype in (DType("int", 5), DType("bipolar", 1), DType("float", 32)):
        x = Operand(TensorType.of_dtype((8, 2, 3), dtype))
        for op, shape in ((DepthToSpace(2), (2, 4, 6)), (Upsample(3), (8, 6, 9))):
            type_ = op.infer([x])
            assert (type_.shape, type_.dtype, type_.lo, type_.hi) == (shape, dtype, x.type.lo, x.type.hi)


def test_the_graph_names_the_node() -> None:
    inputs = {"x": TensorType.of_range(SHAPE, 0, 3), "y": TensorType.of_range((6, 4, 4), 0, 3)}
    with pytest.raises(GraphError, match=r"node 'sum' \(Add\): y has shape"):
        Graph("g", inputs, (Node("sum", Add(), ("x", "y")),), ("sum",)).verify()
    assert {"Add", "Multiply", "Clip", "PRelu", "RPRelu", "DepthToSpace", "Upsample"} <= OPERATORS.keys()
