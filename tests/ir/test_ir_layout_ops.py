"""Transposition, reshaping, slices, padding, tables, products of matrices: against numpy, and refusals in one line."""

from __future__ import annotations

from math import exp

import numpy as np
import pytest

from ir.ops import (
    Affine,
    Curve,
    IntegerRmsNorm,
    IntegerSoftmax,
    Lookup,
    MatMul,
    MultiThreshold,
    Op,
    Operand,
    OperatorError,
    Pad,
    Quantize,
    Reshape,
    Slice,
    Transpose,
)
from ir.types import Array, TensorType

SHAPE = (4, 5, 6)


def tensor(lo: int = -9, hi: int = 9, shape: tuple[int, ...] = SHAPE) -> Operand:
    return Operand(TensorType.of_range(shape, lo, hi))


def constant(values: object) -> Operand:
    array = np.asarray(values)
    return Operand(TensorType.of_values(array), array)


def drawn(lo: int = -9, hi: int = 9, shape: tuple[int, ...] = SHAPE, seed: int = 0) -> Array:
    return np.random.default_rng(seed).integers(lo, hi + 1, shape)


MOVES: list[tuple[Op, object]] = [
    (Transpose((2, 0, 1)), lambda x: x.transpose(2, 0, 1)),
    (Reshape((10, 3, 4)), lambda x: x.reshape(10, 3, 4)),
    (Slice((3, 0, 1), (-2, 1, 2), (2, 5, 3)), lambda x: x[::-2, :, 1::2]),
    (Pad((1, 0, 2, 3), (0, 1), -20), lambda x: np.pad(x, ((0, 1), (1, 2), (0, 3)), constant_values=-20)),
]


@pytest.mark.parametrize(("op", "numpy"), MOVES)
def test_moves(op: Op, numpy: object) -> None:
    x = drawn()
    expected = numpy(x)  # type: ignore[operator]
    assert np.array_equal(op.evaluate((x,)), expected)
    type_ = op.infer((tensor(),))
    assert type_.shape == expected.shape
    assert (type_.lo, type_.hi) == (-20 if isinstance(op, Pad) else -9, 9)


def test_lookup() -> None:
    table = np.arange(-9, 10) ** 2 * 7
    assert np.array_equal(Lookup(-9).evaluate((drawn(), table)), drawn() ** 2 * 7)
    assert (Lookup(-9).infer((tensor(-2, 3), constant(table))).hi) == 63


def test_matmul_is_exact_at_the_ends_of_its_range() -> None:
    x, w = np.full((7, 3, 2), -128), np.full((5, 7, 2), 127)
    type_ = MatMul().infer((tensor(-128, 127, (7, 3, 2)), tensor(-128, 127, (5, 7, 2))))
    assert (type_.shape, type_.lo) == ((5, 3, 2), -128 * 127 * 7)
    assert (MatMul().evaluate((x, w)) == -128 * 127 * 7).all()
    x, w = drawn(shape=(7, 3, 2)), drawn(shape=(5, 7, 2), seed=1)
    assert np.array_equal(MatMul().evaluate((x, w)), np.einsum("kmb,nkb->nmb", x, w))


def test_integer_softmax_follows_the_real_one() -> None:
    """I-BERT's constants for a scale s: log2 = ln 2 / s, b = 1.353 / s, c = 0.344 / (0.3585 s^2)."""
    s = 0.01
    op = IntegerSoftmax(round(1.353 / s), round(0.344 / 0.3585 / s**2), round(np.log(2) / s), 256)
    x = drawn(-300, 300, (8, 3, 3))
    real = np.array([[[exp(v * s) for v in row] for row in plane] for plane in x])
    assert np.abs(op.evaluate((x,)) / 255 - real / real.sum(0)).max() < 0.01


def test_integer_normalisation_follows_the_real_one() -> None:
    x, weight = drawn(-120, 120, (16, 3, 3)), np.full(16, 50 << 16)
    real = x / np.sqrt((x.astype(float) ** 2).mean(0)) * 50
    assert np.abs(IntegerRmsNorm(16, -128, 127).evaluate((x, weight)) - np.clip(real, -128, 127)).max() < 2


@pytest.mark.parametrize(
    ("op", "operands", "message"),
    [
        (Transpose((0, 0, 1)), [tensor()], "order (0, 0, 1) is no order of three axes"),
        (Reshape((7, 1, 1)), [tensor()], "120 elements do not make up (7, 1, 1)"),
        (Slice((0, 0, 0), (1, 1, 1), (5, 1, 1)), [tensor()], "leaves x of shape (4, 5, 6)"),
        (Slice((0, 0, 0), (0, 1, 1), (1, 1, 1)), [tensor()], "in steps of (0, 1, 1)"),
        (Pad((-1, 0, 0, 0)), [tensor()], "must be 0 or more"),
        (Lookup(0), [tensor(), constant([1, 2])], "has a table for 0..1, x is"),
        (MatMul(), [tensor(), tensor()], "(4, 5, 6) does not meet (4, 5, 6)"),
        (IntegerSoftmax(0, 0, 1, 2), [tensor()], "b and c are 0"),
        (IntegerSoftmax(1 << 40, 0, 1, 2), [tensor()], "exceeds 63 bits"),
        (IntegerRmsNorm(70, 0, 1), [tensor(), constant([1] * 4)], "shift or range is out of bounds"),
        (Affine(), [tensor(), constant([1.0]), constant([1.0])], "need one per channel"),
        (Curve("sine"), [tensor()], "'sine' is unknown (allowed: relu"),
        (Quantize(0, 3), [tensor(), constant([np.nan])], "scale is not finite"),
        (Quantize(0, 3), [tensor(), constant([-1.0])], "scale has to be above 0"),
        (Quantize(3, 3), [tensor(), constant([1.0])], "range 3..3 is empty"),
        (MultiThreshold(-1.0), [tensor(), constant([[1.0]])], "gain has to be above 0"),
        (MultiThreshold(), [tensor(), constant([[np.nan]])], "table holds values that are no numbers"),
    ],
)
def test_refusals(op: Op, operands: list[Operand], message: str) -> None:
    with pytest.raises(OperatorError) as caught:
        op.infer(operands)
    assert message in str(caught.value)
