"""Sign and the precision-gated convolution: against single elements, floating-point FracBNN, and values that occur."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch

from ir.ops import Conv2d, GatedConv2d, Operand, OperatorError, Sign, is_bipolar
from ir.types import Array, DType, TensorType


def constant(values: object) -> Operand:
    array = np.asarray(values)
    return Operand(TensorType.of_values(array), array)


def levels(shape: tuple[int, ...]) -> Operand:
    return Operand(TensorType.of_dtype(shape, DType("uint", 2)))


def gated(x: Array, w: Array, threshold: Array, op: GatedConv2d) -> Array:
    """FracBNN's description times 3, one product at a time, in Python's integers."""
    (_, rows, columns), (outputs, depth, kh, kw) = x.shape, w.shape
    top, left, bottom, right = op.padding
    shape = (outputs, (rows + top + bottom - kh) // op.stride[0] + 1, (columns + left + right - kw) // op.stride[1] + 1)
    result = np.zeros(shape, np.int64)
    for o, i, j in np.ndindex(shape):
        first, a, b = o // (outputs // op.groups) * depth, 0, 0
        for c, r, s in np.ndindex(depth, kh, kw):
            y, z = i * op.stride[0] + r - top, j * op.stride[1] + s - left
            if 0 <= y < rows and 0 <= z < columns:
                q = (-3, -1, 1, 3)[x[first + c, y, z]]
                a += (2 if q > 0 else -2) * int(w[o, c, r, s])
                b += q * int(w[o, c, r, s])
        result[o, i, j] = b if a > threshold[o] else a
    return result


@pytest.mark.parametrize(
    ("x_shape", "w_shape", "op"),
    [
        ((3, 5, 6), (4, 3, 3, 3), GatedConv2d(padding=(1, 1, 1, 1))),
        ((2, 5, 5), (3, 2, 3, 3), GatedConv2d(stride=(2, 2), padding=(1, 1, 1, 1))),
        ((4, 3, 5), (6, 2, 2, 3), GatedConv2d((1, 2), (0, 2, 1, 0), 2)),
        ((5, 2, 2), (2, 5, 1, 1), GatedConv2d()),
    ],
)
def test_gated_convolution(x_shape: tuple[int, ...], w_shape: tuple[int, ...], op: GatedConv2d) -> None:
    rng = np.random.default_rng(len(w_shape) + w_shape[0])
    end = 2 * int(np.prod(w_shape[1:]))
    for threshold in (-end - 1, -2, 0, 3, end):
        x, w = rng.integers(0, 4, x_shape), rng.choice([-1, 1], w_shape)
        gates = np.full(w_shape[0], threshold) + np.arange(w_shape[0]) % 2
        got = op.evaluate([x, w, gates])
        assert np.array_equal(got, gated(x, w, gates, op))
        type_ = op.infer([levels(x_shape), constant(w), constant(gates)])
        assert type_.shape == got.shape and type_.lo <= got.min() and got.max() <= type_.hi


@pytest.mark.parametrize("threshold", range(-10, 11))
@pytest.mark.parametrize("padded", [False, True])
def test_range_of_a_gated_convolution(threshold: int, padded: bool) -> None:
    """Every input of a row of four; exact without padding."""
    w, gates = np.array([[[[1, -1, 1]]]]), np.array([threshold])
    op = GatedConv2d(padding=(0, 1, 0, 1) if padded else (0, 0, 0, 0))
    seen = [op.evaluate([np.array(x).reshape(1, 1, 4), w, gates]) for x in product(range(4), repeat=4)]
    type_ = op.infer([levels((1, 1, 4)), constant(w), constant(gates)])
    assert type_.lo <= np.min(seen) and np.max(seen) <= type_.hi
    if not padded:
        assert (type_.lo, type_.hi) == (np.min(seen), np.max(seen))


def test_a_trained_layer_of_fracbnn(shared_data: Path) -> None:
    """The published formula in float64 on a picture's activations, times 3."""
    network = np.load(shared_data / "classifiers/fracbnn_w1a1.4.npz")
    picture = torch.from_numpy(np.load(shared_data / "cifar10/test500.npz")["x"][3].astype(np.float64))
    bins = torch.arange(32).reshape(1, 32, 1, 1)
    thermometer = torch.where(bins < torch.round(picture / 8).unsqueeze(1), 1.0, -1.0).reshape(1, 96, 32, 32).double()
    first = torch.from_numpy(np.sign(network["conv1_weight"])).double()
    scale, shift = (torch.from_numpy(network[f"bn1_{n}"]).double().reshape(1, -1, 1, 1) for n in ("weight", "bias"))
    x = torch.nn.functional.conv2d(thermometer, first, padding=1) * scale + shift

    w, threshold = network["layer1_0_conv1_weight"], network["layer1_0_conv1_threshold"].astype(np.float64)
    q = torch.round((torch.clamp(x, -1, 1) + 1) * 1.5) / 1.5 - 1
    signs = torch.from_numpy(np.sign(w)).double()
    a = torch.nn.functional.conv2d(torch.sign(q), signs, padding=1) * 2 / 3
    b = torch.nn.functional.conv2d(q, signs, padding=1)
    expected = torch.where(a > torch.from_numpy(threshold).reshape(1, -1, 1, 1), b, a)[0].numpy()

    level = np.rint((np.clip(x[0].numpy(), -1, 1) + 1) * 1.5).astype(np.int64)
    gates = np.floor(3 * threshold).astype(np.int64)
    got = GatedConv2d(padding=(1, 1, 1, 1)).evaluate([level, np.sign(w).astype(np.int64), gates])
    np.testing.assert_allclose(got / 3, expected, atol=1e-9)
    opened = 2 * Conv2d(padding=(1, 1, 1, 1)).evaluate([np.where(level > 1, 1, -1), np.sign(w).astype(np.int64)])
    assert 0.02 < (opened > gates.reshape(-1, 1, 1)).mean() < 0.9  # both branches are taken


@pytest.mark.parametrize(
    ("x", "w", "threshold", "message"),
    [
        ((2, 3, 3), np.ones((2, 2, 1, 1), int), [1], "needs one per output"),
        ((2, 3, 3), np.array([1, 0]).reshape(1, 2, 1, 1), [1], "weights of -1 and \\+1"),
        ((3, 3, 3), np.ones((2, 2, 1, 1), int), [1, 1], "3 channels meet weights for 2"),
        ((2, 3, 3), np.ones((1, 2, 1, 1), int), [1.5], "takes integer thresholds"),
    ],
)
def test_gated_convolution_refuses(x: tuple[int, ...], w: Array, threshold: list[float], message: str) -> None:
    with pytest.raises(OperatorError, match=message):
        GatedConv2d().infer([levels(x), constant(w), constant(threshold)])


def test_gated_convolution_takes_levels_only() -> None:
    wide = Operand(TensorType.of_range((2, 3, 3), -3, 3))
    with pytest.raises(OperatorError, match=r"takes levels 0\.\.3"):
        GatedConv2d().infer([wide, constant(np.ones((1, 2, 1, 1), int)), constant([0])])


def test_sign_is_a_threshold_from_either_side() -> None:
    x, threshold, rising = np.arange(-4, 5), np.array([1, 1]), np.array([1, 0])
    got = Sign().evaluate([np.broadcast_to(x, (2, 1, x.size)), threshold, rising])
    assert got[0, 0].tolist() == [1 if v >= 1 else -1 for v in x.tolist()]
    assert got[1, 0].tolist() == [1 if v <= 1 else -1 for v in x.tolist()]


@pytest.mark.parametrize(("threshold", "rising", "ends"), [(-9, 1, (1, 1)), (-9, 0, (-1, -1)), (0, 1, (-1, 1))])
def test_type_of_a_sign(threshold: int, rising: int, ends: tuple[int, int]) -> None:
    x = Operand(TensorType.of_range((1, 2, 2), -8, 8))
    type_ = Sign().infer([x, constant([threshold]), constant([rising])])
    assert (type_.dtype.kind, type_.lo, type_.hi) == ("bipolar", *ends)


def test_sign_refuses_what_does_not_fit_its_channels() -> None:
    x = Operand(TensorType.of_range((2, 2, 2), -8, 8))
    with pytest.raises(OperatorError, match="threshold has shape"):
        Sign().infer([x, constant([1]), constant([1, 1])])
    with pytest.raises(OperatorError, match="rising has shape"):
        Sign().infer([x, constant([1, 2]), constant([1])])


def test_what_is_bipolar() -> None:
    assert is_bipolar(Operand(TensorType.of_dtype((2, 2, 2), DType("bipolar", 1))))
    assert is_bipolar(constant([-1, 1, 1]))
    assert not is_bipolar(constant([-1, 0, 1]))
    assert not is_bipolar(Operand(TensorType.of_range((2,), -1, 1)))
