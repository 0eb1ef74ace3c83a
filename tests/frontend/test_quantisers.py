"""The quantisers against plain numpy, their gradients, their export, and the published networks through them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from frontend.quantisers import (
    BatchNorm2d,
    QuantConv2d,
    batch_norm_eps_outside,
    quantize_activation,
    quantize_weight_tanh,
    space_to_depth,
)
from frontend.zoo import ENTRIES

RNG = np.random.default_rng(11)


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_weights_are_the_integers_of_the_formula(bits: int) -> None:
    w = RNG.normal(0, 0.4, (8, 5, 3, 3))
    steps = 2 ** (bits - 1) - 1
    expected = np.rint(np.tanh(w) / np.abs(np.tanh(w)).max() * steps)
    got = quantize_weight_tanh(torch.from_numpy(w), bits).numpy() * steps
    np.testing.assert_allclose(got, expected, atol=1e-12)
    assert np.abs(got).max() == pytest.approx(steps)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_activations_are_the_integers_of_the_formula(bits: int) -> None:
    x = np.concatenate((RNG.uniform(-1, 2, 500), [-1e9, 0, 1, 1e9]))
    steps = 2**bits - 1
    got = quantize_activation(torch.from_numpy(x), bits).numpy() * steps
    np.testing.assert_allclose(got, np.rint(np.clip(x, 0, 1) * steps), atol=1e-12)


def test_weight_gradient_is_that_of_the_formula_without_rounding() -> None:
    w = torch.from_numpy(RNG.normal(0, 0.5, (4, 3, 3, 3))).requires_grad_()
    upstream = torch.from_numpy(RNG.normal(size=w.shape))
    (got,) = torch.autograd.grad(quantize_weight_tanh(w, 4), w, upstream)
    t = torch.tanh(w)
    (expected,) = torch.autograd.grad(t / t.abs().max(), w, upstream)
    torch.testing.assert_close(got, expected)


def test_activation_gradient_passes_inside_the_range_only() -> None:
    x = torch.tensor([-0.5, 0.01, 0.5, 0.99, 1.5], requires_grad=True)
    (got,) = torch.autograd.grad(quantize_activation(x, 4), x, torch.full((5,), 2.0))
    assert got.tolist() == [0, 2, 2, 2, 0]


def test_batch_norm_keeps_eps_outside_the_root() -> None:
    x, mean, weight, bias = (RNG.normal(size=s) for s in ((2, 3, 4, 5), 3, 3, 3))
    var = np.array([1.7, 1e-8, 0.0])  # the last two are where inside and outside differ by orders of magnitude
    expected = (x - mean[:, None, None]) * (weight / (np.sqrt(var) + 1e-5))[:, None, None] + bias[:, None, None]
    tensors = [torch.from_numpy(a) for a in (x, mean, var, weight, bias)]
    np.testing.assert_allclose(batch_norm_eps_outside(*tensors, 1e-5).numpy(), expected, rtol=1e-9, atol=1e-6)
    inside = F.batch_norm(*tensors, training=False, eps=1e-5).numpy()
    assert np.abs(inside - expected).max() > 100


def test_batch_norm_in_training_is_that_of_torch() -> None:
    ours, theirs = BatchNorm2d(3), nn.BatchNorm2d(3)
    x = torch.from_numpy(RNG.normal(2, 3, (4, 3, 5, 5))).float()
    torch.testing.assert_close(ours.train()(x), theirs.train()(x))
    torch.testing.assert_close(ours.running_var, theirs.running_var)


def test_batch_norm_loads_a_state_with_or_without_the_batch_count() -> None:
    state = nn.BatchNorm2d(3).state_dict()
    BatchNorm2d(3).load_state_dict(state)
    del state["num_batches_tracked"]
    BatchNorm2d(3).load_state_dict(state)
    assert set(BatchNorm2d(3).state_dict()) == set(state)


def test_space_to_depth_is_sub_position_major() -> None:
    x = torch.arange(2 * 3 * 4 * 6).view(2, 3, 4, 6).float()
    y = space_to_depth(x, 2)
    assert y.shape == (2, 12, 2, 3)
    for sy, sx, c, row, column in np.ndindex(2, 2, 3, 2, 3):
        assert torch.equal(y[:, (sy * 2 + sx) * 3 + c, row, column], x[:, c, 2 * row + sy, 2 * column + sx])


OPERATOR_CASES = [
    (quantize_weight_tanh, (torch.randn(4, 3, 3, 3, requires_grad=True), 4)),
    (quantize_activation, (torch.randn(2, 3, 4, 4, requires_grad=True), 4)),
    (space_to_depth, (torch.randn(2, 3, 4, 6, requires_grad=True), 2)),
    (
        batch_norm_eps_outside,
        (
            torch.randn(2, 3, 4, 4, requires_grad=True),
            torch.randn(3),
            torch.rand(3),
            torch.randn(3, requires_grad=True),
            torch.randn(3, requires_grad=True),
            1e-5,
        ),
    ),
]


@pytest.mark.parametrize(("operator", "arguments"), OPERATOR_CASES)
def test_operators_are_registered_soundly(operator: object, arguments: tuple[object, ...]) -> None:
    torch.library.opcheck(operator, arguments)


def test_gradients_of_the_linear_operators() -> None:
    x, weight, bias = (torch.randn(s, dtype=torch.float64, requires_grad=True) for s in ((2, 3, 4, 4), 3, 3))
    mean, var = torch.randn(3, dtype=torch.float64), torch.rand(3, dtype=torch.float64) + 0.1
    assert torch.autograd.gradcheck(lambda x, w, b: batch_norm_eps_outside(x, mean, var, w, b, 1e-5), (x, weight, bias))
    assert torch.autograd.gradcheck(lambda x: space_to_depth(x, 2), (x,))


@pytest.mark.parametrize(("name", "reorganised"), [("ultranet", 0), ("ultranet_bypass", 1)])
def test_export_keeps_each_quantiser_as_one_node(name: str, reorganised: int) -> None:
    entry = ENTRIES[name]
    program = torch.export.export(entry.factory().eval(), (torch.zeros(entry.input_shape),))
    nodes = Counter(str(node.target) for node in program.graph.nodes if node.op == "call_function")
    assert nodes == Counter(
        {
            "hetero.quantize_weight_tanh.default": 9,
            "aten.conv2d.default": 9,
            "hetero.batch_norm_eps_outside.default": 8,
            "hetero.quantize_activation.default": 8,
            "aten.max_pool2d.default": 4,
            "hetero.space_to_depth.default": reorganised,
            "aten.cat.default": reorganised,
        }
    )


def published(name: str, shared_data: Path) -> nn.Module:
    network = ENTRIES[name].factory()
    archive = np.load(shared_data / "detectors" / f"{name}_4w4a.npz")
    network.load_state_dict({key: torch.from_numpy(archive[key]) for key in archive.files}, strict=True)
    return network.double().eval()


@pytest.mark.parametrize("name", ["ultranet", "ultranet_bypass"])
def test_published_checkpoints_fit_and_find_their_objects(name: str, shared_data: Path) -> None:
    golden = np.load(shared_data / "golden" / f"{name}_first8.npz")
    pictures = torch.from_numpy(golden["img_bgr_160x320"][:3]).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        values = published(name, shared_data)(pictures.double()).numpy()
    expected = golden["raw_int32_36x10x20"][:3] / 105 + golden["last_bias"][:, None, None]
    # Float and frozen multipliers round some activations differently; over nine layers that comes to a little noise.
    assert np.corrcoef(values.ravel(), expected.ravel())[0, 1] > 0.998
    confidence, golden_confidence = (v.reshape(3, 6, 6, 200)[:, :, 4].mean(1).argmax(1) for v in (values, expected))
    assert confidence.tolist() == golden_confidence.tolist()


def test_published_network_agrees_with_its_frozen_integers_layer_by_layer(shared_data: Path) -> None:
    """Each layer on the integer input of the golden network: weights equal, activations off by one in few places."""
    layers = list(published("ultranet", shared_data).get_submodule("layers").children())
    frozen = np.load(shared_data / "golden" / "ultranet_integers.npz")
    golden = np.load(shared_data / "golden" / "ultranet_first8.npz")
    x = torch.from_numpy(golden["img_bgr_160x320"][:1]).permute(0, 3, 1, 2).double()
    steps, n = 255, 0
    for i, layer in enumerate(layers[:-1]):
        if isinstance(layer, nn.MaxPool2d):
            x = layer(x)
        if not isinstance(layer, QuantConv2d):
            continue
        weight = torch.from_numpy(frozen[f"w{n}"]).double()
        assert torch.equal(torch.round(quantize_weight_tanh(layer.weight, 4) * 7), weight)
        inc, bias = (torch.from_numpy(frozen[f"{k}{n}"]).long()[:, None, None] for k in ("inc", "bias"))
        shift = int(frozen[f"shift{n}"])
        acc = F.conv2d(x, weight, padding=1).long()
        integers = ((acc * inc + bias + (1 << (shift - 1))) >> shift).clamp(0, 15)
        with torch.no_grad():
            difference = layers[i + 2](layers[i + 1](layer(x / steps))) * 15 - integers
        assert difference.abs().max() < 1.001
        assert (difference.abs() > 0.5).double().mean() < 0.005
        x, steps, n = integers.double(), 15, n + 1
    raw = F.conv2d(x, torch.from_numpy(frozen["w8"]).double().reshape(36, 64, 1, 1)).numpy()
    np.testing.assert_array_equal(raw, golden["raw_int32_36x10x20"][:1])
