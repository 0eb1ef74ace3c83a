"""Every operator against loops over single elements, and its inferred range against the values that occur."""

from __future__ import annotations

from itertools import product
from math import floor, sqrt

import numpy as np
import pytest

from ir.ops import (
    BatchNorm,
    Concat,
    Conv2d,
    FakeQuantize,
    MaxPool2d,
    MultiplyShift,
    Op,
    Operand,
    OperatorError,
    SpaceToDepth,
    Thresholds,
)
from ir.types import Array, DType, TensorType


def constant(values: object) -> Operand:
    array = np.asarray(values)
    return Operand(TensorType.of_values(array), array)


def tensor(shape: tuple[int, ...], lo: int, hi: int) -> Operand:
    return Operand(TensorType.of_range(shape, lo, hi))


def convolved(x: Array, w: Array, op: Conv2d) -> Array:
    """The definition, one multiplication at a time, in Python's integers."""
    (channels, rows, columns), (outputs, depth, kh, kw) = x.shape, w.shape
    top, left, bottom, right = op.padding
    height = (rows + top + bottom - kh) // op.stride[0] + 1
    width = (columns + left + right - kw) // op.stride[1] + 1
    result = np.zeros((outputs, height, width), object)
    for o, i, j in np.ndindex(result.shape):
        first = o // (outputs // op.groups) * depth
        for c, r, s in np.ndindex(depth, kh, kw):
            y, z = i * op.stride[0] + r - top, j * op.stride[1] + s - left
            if 0 <= y < rows and 0 <= z < columns:
                result[o, i, j] += int(x[first + c, y, z]) * int(w[o, c, r, s])
    assert channels == depth * op.groups
    return result


CONVOLUTIONS = [
    ((3, 5, 6), (4, 3, 3, 3), Conv2d(padding=(1, 1, 1, 1))),
    ((3, 5, 6), (2, 3, 1, 1), Conv2d()),
    ((2, 7, 4), (3, 2, 5, 2), Conv2d(stride=(2, 1), padding=(0, 1, 2, 0))),
    ((4, 6, 6), (6, 2, 3, 3), Conv2d(stride=(1, 3), padding=(2, 0, 0, 1), groups=2)),
    ((4, 4, 5), (4, 1, 3, 3), Conv2d(padding=(1, 1, 1, 1), groups=4)),
    ((1, 2, 2), (1, 1, 4, 4), Conv2d(padding=(1, 1, 1, 1))),
]


@pytest.mark.parametrize(("x_shape", "w_shape", "op"), CONVOLUTIONS)
@pytest.mark.parametrize("bits", [1, 4, 8])
def test_convolution(x_shape: tuple[int, ...], w_shape: tuple[int, ...], op: Conv2d, bits: int) -> None:
    rng = np.random.default_rng(bits)
    x = rng.integers(-(1 << (bits - 1)), 1 << bits, x_shape)
    w = rng.integers(-(1 << (bits - 1)), 1 << (bits - 1), w_shape)
    got = op.evaluate([x, w])
    assert got.dtype == np.int64
    assert np.array_equal(got, convolved(x, w, op))
    type_ = op.infer([tensor(x_shape, -(1 << (bits - 1)), (1 << bits) - 1), constant(w)])
    assert type_.shape == got.shape
    assert type_.lo <= got.min() and got.max() <= type_.hi


def test_convolution_is_exact_close_to_the_executors_limit() -> None:
    x = np.array([(1 << 26) - 1, -(1 << 26)]).reshape(2, 1, 1)
    w = np.array([[(1 << 25) - 1, -(1 << 25)], [1, -1]]).reshape(2, 2, 1, 1)
    assert np.array_equal(Conv2d().evaluate([x, w]), convolved(x, w, Conv2d()))
    with pytest.raises(OperatorError, match=r"2\*\*53"):
        Conv2d().evaluate([x * 4, w])


def test_float_convolution_adds_its_bias() -> None:
    x, w = np.full((1, 2, 2), 0.5), np.ones((2, 1, 2, 2))
    got = Conv2d().evaluate([x, w, np.array([1.0, -3.0])])
    assert got.reshape(-1).tolist() == [3.0, -1.0]


@pytest.mark.parametrize("signs", [(-2, 1), (0, 3), (1, 2), (-3, -1)])
@pytest.mark.parametrize("padded", [False, True])
def test_range_of_a_convolution_is_exact(signs: tuple[int, int], padded: bool) -> None:
    """Every input of a tiny case is tried; one row of three pixels has a position that padding does not touch."""
    w = np.array([[[[2, -3, 1]]], [[[-1, 0, -2]]]])
    op = Conv2d(padding=(0, 1, 0, 1) if padded else (0, 0, 0, 0))
    seen = [op.evaluate([np.array(x).reshape(1, 1, 3), w]) for x in product(range(signs[0], signs[1] + 1), repeat=3)]
    type_ = op.infer([tensor((1, 1, 3), *signs), constant(w)])
    lowest, highest = int(np.min(seen)), int(np.max(seen))
    if padded and not signs[0] <= 0 <= signs[1]:  # zeros reach some taps only, never all at their worst
        assert type_.lo <= lowest and highest <= type_.hi
    else:
        assert (type_.lo, type_.hi) == (lowest, highest)
    assert type_.dtype == DType.holding(type_.lo, type_.hi)


def test_range_of_a_convolution_beyond_64_bits_is_an_error_not_a_wrapped_number() -> None:
    w = np.full((1, 4, 1, 1), -(1 << 31))
    with pytest.raises(ValueError, match="is no element type"):
        Conv2d().infer([tensor((4, 1, 1), -(1 << 31), (1 << 31) - 1), constant(w)])


@pytest.mark.parametrize(
    ("op", "x", "w", "message"),
    [
        (Conv2d(), (3, 4, 4), (2, 2, 3, 3), "3 channels meet weights for 2"),
        (Conv2d(groups=2), (4, 4, 4), (3, 2, 3, 3), "3 outputs do not divide into 2 groups"),
        (Conv2d(), (3, 2, 4), (2, 3, 3, 3), "kernel .* is larger than the padded input"),
        (Conv2d(), (3, 4), (2, 3, 3, 3), "takes .channels, height, width."),
        (Conv2d(stride=(0, 1)), (3, 4, 4), (2, 3, 3, 3), "stride must be at least 1"),
        (Conv2d(padding=(0, -1, 0, 0)), (3, 4, 4), (2, 3, 3, 3), "padding must be at least 0"),
        (Conv2d(groups=0), (3, 4, 4), (2, 3, 3, 3), "groups must be at least 1"),
    ],
)
def test_convolution_refuses(op: Conv2d, x: tuple[int, ...], w: tuple[int, ...], message: str) -> None:
    with pytest.raises(OperatorError, match=message):
        op.infer([tensor(x, 0, 3), constant(np.ones(w, int))])


def test_integer_convolution_needs_constant_weights_and_no_bias() -> None:
    x = tensor((1, 2, 2), 0, 3)
    with pytest.raises(OperatorError, match="must be a constant"):
        Conv2d().infer([x, tensor((1, 1, 1, 1), 0, 3)])
    with pytest.raises(OperatorError, match="belongs to the requantisation"):
        Conv2d().infer([x, constant(np.ones((1, 1, 1, 1), int)), constant([1])])


@pytest.mark.parametrize(("kernel", "stride"), [((2, 2), (2, 2)), ((3, 3), (2, 2)), ((1, 2), (3, 1)), ((3, 3), (3, 3))])
def test_max_pool(kernel: tuple[int, int], stride: tuple[int, int]) -> None:
    x = np.random.default_rng(3).integers(-9, 9, (2, 7, 8))
    op = MaxPool2d(kernel, stride)
    type_ = op.infer([tensor(x.shape, -9, 8)])
    got = op.evaluate([x])
    assert got.shape == type_.shape and (type_.lo, type_.hi) == (-9, 8)
    for c, i, j in np.ndindex(got.shape):
        window = [x[c, i * stride[0] + r, j * stride[1] + s] for r in range(kernel[0]) for s in range(kernel[1])]
        assert got[c, i, j] == max(window)


def test_pooling_refuses_what_it_cannot_window() -> None:
    with pytest.raises(OperatorError, match="larger than the input"):
        MaxPool2d((3, 3), (3, 3)).infer([tensor((1, 2, 5), 0, 1)])
    with pytest.raises(OperatorError, match="at least 1"):
        MaxPool2d((2, 2), (0, 2)).infer([tensor((1, 4, 4), 0, 1)])


@pytest.mark.parametrize("block", [1, 2, 3])
def test_space_to_depth_is_sub_position_major(block: int) -> None:
    x = np.arange(2 * 6 * 12).reshape(2, 6, 12)
    op = SpaceToDepth(block)
    got = op.evaluate([x])
    assert got.shape == op.infer([tensor(x.shape, 0, 143)]).shape
    for c, y, z in np.ndindex(x.shape):
        channel = ((y % block) * block + z % block) * 2 + c
        assert got[channel, y // block, z // block] == x[c, y, z]


def test_space_to_depth_refuses_extents_that_do_not_divide() -> None:
    with pytest.raises(OperatorError, match="no multiple of the block 2"):
        SpaceToDepth(2).infer([tensor((1, 4, 5), 0, 1)])
    with pytest.raises(OperatorError, match="block must be at least 1"):
        SpaceToDepth(0).infer([tensor((1, 4, 4), 0, 1)])


def test_concat_joins_channels_and_ranges() -> None:
    a, b = np.full((1, 2, 2), -4), np.full((2, 2, 2), 9)
    got = Concat().evaluate([a, b])
    assert got[0].tolist() == a[0].tolist() and got[1:].tolist() == b.tolist()
    type_ = Concat().infer([tensor((1, 2, 2), -4, 0), tensor((2, 2, 2), 3, 9)])
    assert (type_.shape, str(type_.dtype), type_.lo, type_.hi) == ((3, 2, 2), "int5", -4, 9)
    with pytest.raises(OperatorError, match="different extents"):
        Concat().infer([tensor((1, 2, 2), 0, 1), tensor((1, 2, 3), 0, 1)])
    with pytest.raises(OperatorError, match="at least two operands"):
        Concat().infer([tensor((1, 2, 2), 0, 1)])


@pytest.mark.parametrize("shift", [1, 4, 15])
def test_multiply_shift_rounds_half_up_then_clips(shift: int) -> None:
    rng = np.random.default_rng(shift)
    mul, add = np.array([0, 1, -1, 37, -255]), np.array([0, -5, 5, 1 << shift, -(1 << shift)])
    x = np.concatenate([rng.integers(-3000, 3000, (5, 40, 1)), np.full((5, 1, 1), -3000), np.full((5, 1, 1), 2999)], 1)
    op = MultiplyShift(shift, -7, 8)
    got = op.evaluate([x, mul, add])
    for c, i, _ in np.ndindex(x.shape):
        exact = floor((int(x[c, i, 0]) * int(mul[c]) + int(add[c])) / 2**shift + 0.5)
        assert got[c, i, 0] == min(max(exact, -7), 8)


def test_multiply_shift_at_63_bits() -> None:
    top = (1 << 31) - 1
    op = MultiplyShift(31, -(1 << 31), top)
    x, mul, add = np.array([[[top]], [[-top]]]), np.array([top, top]), np.array([top, -top])
    op.infer([tensor((2, 1, 1), -top, top), constant(mul), constant(add)])
    expected = [((a * top + b + (1 << 30)) >> 31) for a, b in ((top, top), (-top, -top))]
    assert op.evaluate([x, mul, add]).reshape(-1).tolist() == [min(max(v, -(1 << 31)), top) for v in expected]
    with pytest.raises(OperatorError, match="exceeds 63 bits"):
        op.infer([tensor((2, 1, 1), -(1 << 33), 1 << 33), constant(mul), constant(add)])


@pytest.mark.parametrize("lo", [-8, 0, 3])
def test_ranges_of_requantisations_are_exact(lo: int) -> None:
    """Against the values that occur over the operand's whole range."""
    x = np.arange(lo, 12)
    rows = np.broadcast_to(x, (3, 1, x.size))
    mul, add = constant([3, -2, 0]), constant([5, -9, 20])
    table, rising = constant([[-6, 1, 5], [0, 4, 40], [-30, 2, 2]]), constant([1, 0, 1])
    cases: list[tuple[Op, list[Operand]]] = [(MultiplyShift(2, -5, 9), [mul, add]), (Thresholds(-1), [table, rising])]
    for op, constants in cases:
        values = op.evaluate([rows, *(c.constant for c in constants)])
        type_ = op.infer([tensor((3, 1, x.size), lo, 11), *constants])
        assert (type_.lo, type_.hi) == (values.min(), values.max())


def test_thresholds_count_from_either_side() -> None:
    table, rising = np.array([[-2, 0, 0, 7], [-2, 0, 0, 7]]), np.array([1, 0])
    x = np.arange(-4, 10)
    got = Thresholds(-1).evaluate([np.broadcast_to(x, (2, 1, x.size)), table, rising])
    for i, v in enumerate(x.tolist()):
        assert got[0, 0, i] == -1 + sum(v >= t for t in table[0])
        assert got[1, 0, i] == -1 + sum(v <= t for t in table[1])


@pytest.mark.parametrize(
    ("op", "operands", "message"),
    [
        (MultiplyShift(0, 0, 3), ([1, 1], [0, 0]), "shift must be 1..62"),
        (MultiplyShift(63, 0, 3), ([1, 1], [0, 0]), "shift must be 1..62"),
        (MultiplyShift(4, 3, 3), ([1, 1], [0, 0]), "is empty"),
        (MultiplyShift(4, 0, 3), ([1], [0, 0]), "mul has shape"),
        (MultiplyShift(4, 0, 3), ([1, 1], [0]), "add has shape"),
        (MultiplyShift(4, 0, 3), ([1.5, 1.0], [0, 0]), "takes integers"),
        (MultiplyShift(4, 0, 3), ([1, 1],), "got 2 operands"),
        (Thresholds(), ([1, 1], [1, 1]), "table has shape"),
        (Thresholds(), ([[1], [1]], [1]), "rising has shape"),
        (Thresholds(), ([[0.5], [1.0]], [1, 1]), "takes integers"),
    ],
)
def test_requantisations_refuse(op: Op, operands: tuple[object, ...], message: str) -> None:
    with pytest.raises(OperatorError, match=message):
        op.infer([tensor((2, 3, 3), 0, 9), *(constant(o) for o in operands)])


def test_requantisations_need_constants() -> None:
    for op, shape in ((MultiplyShift(4, 0, 3), (2,)), (Thresholds(), (2, 3))):
        with pytest.raises(OperatorError, match="must be a constant"):
            op.infer([tensor((2, 3, 3), 0, 9), tensor(shape, 0, 1), tensor((2,), 0, 1)])


@pytest.mark.parametrize("outside", [False, True])
def test_batch_norm_is_its_formula(outside: bool) -> None:
    rng = np.random.default_rng(5)
    x, gamma, beta, mean = rng.normal(size=(2, 3, 3)), *rng.normal(size=(3, 2))
    var = np.array([1e-6, 4.0])
    got = BatchNorm(1e-3, outside).evaluate([x, gamma, beta, mean, var])
    for c, i, j in np.ndindex(x.shape):
        deviation = sqrt(var[c]) + 1e-3 if outside else sqrt(var[c] + 1e-3)
        assert got[c, i, j] == pytest.approx(gamma[c] * (x[c, i, j] - mean[c]) / deviation + beta[c], rel=1e-12)
    with pytest.raises(OperatorError, match="var has shape"):
        BatchNorm().infer([tensor((2, 3, 3), 0, 1), *[constant([1.0, 2.0])] * 3, constant([1.0])])


def test_fake_quantisation_ties_go_to_even() -> None:
    x = np.array([-1.0, -0.125, 0.125, 0.375, 0.625, 2.0])
    assert FakeQuantize(4.0, -1, 5).integers(x).tolist() == [-1, 0, 0, 2, 2, 5]
    assert FakeQuantize(4.0, -1, 5).evaluate([x]).tolist() == [-0.25, 0, 0, 0.5, 0.5, 1.25]
    for steps in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(OperatorError, match="positive and finite"):
            FakeQuantize(steps, 0, 3).infer([tensor((1,), 0, 1)])
    with pytest.raises(OperatorError, match="is empty"):
        FakeQuantize(4.0, 3, 3).infer([tensor((1,), 0, 1)])
