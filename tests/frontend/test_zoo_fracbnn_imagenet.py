"""FracBNN for ImageNet as integers: every half of every block against the published formula, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, prelu

from frontend.load import load_model
from frontend.zoo.fracbnn import STREAM
from ir.executor import execute
from ir.types import Array
from tests.frontend.seeded import State, assert_refused, fracbnn_imagenet

WIDTHS = (4, 8, 16, 16)


def parameter(state: State, name: str) -> Tensor:
    return torch.from_numpy(state[name].astype(np.float64)).reshape(-1, 1, 1)


def norm(state: State, name: str, x: Tensor) -> Tensor:
    gain, offset, mean, variance = (
        parameter(state, f"{name}.{part}") for part in ("weight", "bias", "running_mean", "running_var")
    )
    return (x - mean) / torch.sqrt(variance + 1e-5) * gain + offset


def quantised(x: Tensor, bits: int) -> Tensor:
    steps = (2.0**bits - 1) / 2
    return torch.round((x.clamp(-1, 1) + 1) * steps) / steps - 1


def half(state: State, block: str, n: int, x: Tensor) -> Tensor:
    """What the authors' module computes from x (1, C, H, W) with its convolution ``n``."""
    conv = f"{block}.{('conv3x3', 'pointwise')[n - 1]}"
    w = torch.from_numpy(np.sign(state[f"{conv}.0.weight"]).astype(np.float64))
    outputs, kernel = w.shape[0], w.shape[2]
    grows = len(state[f"{block}.pointwise.0.weight"]) > state[f"{block}.pointwise.0.weight"].shape[1]
    stride = 2 if n == 1 and grows and block != "model.1" else 1
    q = quantised(x, 2)
    a, b = conv2d(q.sign(), w, None, stride, kernel // 2) * 2 / 3, conv2d(q, w, None, stride, kernel // 2)
    y = norm(state, f"{conv}.1", torch.where(a > parameter(state, f"{conv}.0.threshold"), b, a))
    y = prelu(
        y + parameter(state, f"{block}.rprelu{n}.shift_x.bias"),
        parameter(state, f"{block}.rprelu{n}.prelu.weight").flatten(),
    )
    y = y + parameter(state, f"{block}.rprelu{n}.shift_y.bias")
    shortcut = quantised(x, 4)
    if stride == 2:
        shortcut = avg_pool2d(shortcut, 2)
    if outputs > shortcut.shape[1]:
        shortcut = torch.cat((shortcut, shortcut), 1)
    return norm(state, f"{block}.shiftbn{n}", y + shortcut)


def bits_of(picture: Array) -> Tensor:
    codes = torch.round(torch.from_numpy(picture.astype(np.float64)) / 8)
    bits = torch.where(torch.arange(32).reshape(1, 32, 1, 1) < codes[:, None], 1.0, -1.0)
    return bits.reshape(1, 96, *picture.shape[1:]).double()


def test_every_half_is_the_published_formula(tmp_path: Path) -> None:
    """Every 4-bit level is the nearest one, within a fine step; blocks of both strides; 24x16 pictures."""
    state = fracbnn_imagenet(WIDTHS, 7, (24, 16))
    np.savez(tmp_path / "net.npz", **state)  # type: ignore[arg-type]
    model = load_model(tmp_path / "net.npz")
    assert "recognised as 'fracbnn_imagenet' (FracBNN for ImageNet, 8 layers" in model.origin
    assert model.picture is not None and (model.picture.height, model.picture.width) == (24, 16)
    picture = np.random.default_rng(2).integers(0, 256, (3, 24, 16))
    values = execute(model.graph, {"input": picture})

    def real(name: str) -> Tensor:
        return torch.from_numpy(values[name] / 7.5 - 1)[None]

    def assert_levels(name: str, expected: Tensor) -> None:
        assert (real(name) - expected.clamp(-1, 1)).abs().max() <= 1 / 15 + 2**-12, name
        assert values[name].min() == 0 and values[name].max() == 15, "the test reaches all levels"

    w = torch.from_numpy(np.sign(state["model.0.0.weight"]).astype(np.float64))
    assert_levels("stem_out", norm(state, "model.0.1", conv2d(bits_of(picture), w, None, 2, 1)))
    before = "stem_out"
    for number in range(1, len(WIDTHS)):
        for n in (1, 2):
            expected = half(state, f"model.{number}", n, real(before))
            before = f"model_{number}_{n}_out"
            if (number, n) != (len(WIDTHS) - 1, 2):
                assert_levels(before, expected)
    last = (torch.from_numpy(values[before]) + STREAM.origin) / STREAM.steps
    assert (last - expected).abs().max() < 2**-10
    assert values["mean"].shape == (16, 1, 1) and values["linear"].shape == (7, 1, 1)
    record = model.frozen().dequantise["linear"]
    scores = values["linear"].flatten() * record.scale * np.array(record.gain) + np.array(record.bias)
    exact = state["fc.weight"].astype(np.float64) @ last.mean((1, 2)).numpy() + state["fc.bias"]
    assert np.abs(scores - exact).max() < 0.05


def test_the_picture_is_224_where_the_file_does_not_say(tmp_path: Path) -> None:
    state = fracbnn_imagenet((4, 8), 3, (8, 8))
    del state["encoder.placeholder"]
    torch.save({f"module.{k}": torch.from_numpy(v) for k, v in state.items()}, tmp_path / "net.pt")
    model = load_model(tmp_path / "net.pt", "fracbnn_imagenet")
    assert model.graph.inputs["input"].shape == (3, 224, 224)


def changed(name: str, value: Array | None) -> State:
    state = fracbnn_imagenet(WIDTHS, 3, (16, 16))
    return {k: v for k, v in {**state, name: value}.items() if v is not None}


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (changed("model.2.shiftbn2.bias", None), "'model_2_shiftbn2_bias' is missing"),
        (changed("model.2.pointwise.0.weight", np.ones((24, 8, 1, 1))), "needs 8 inputs and 8 or 16 outputs"),
        (changed("model.2.conv3x3.0.weight", np.ones((16, 8, 3, 3))), "needs 8 inputs and 8 outputs"),
        (changed("model.2.pointwise.0.weight", np.ones((16, 8, 3, 3))), "needs (O, I, 1, 1)"),
        (changed("model.9.conv3x3.0.weight", np.ones((16, 16, 3, 3))), "blocks are left out before 'model_9'"),
        (changed("model.0.0.weight", np.ones((4, 95, 3, 3))), "95 input channels, which are no thermometer code"),
        (changed("encoder.placeholder", np.zeros((1, 3, 32, 4, 4))), "needs (N, 3, levels, H, W) with at least 8"),
        (changed("fc.weight", np.ones((3, 17))), "'fc_weight' has shape (3, 17), needs 16 inputs"),
        (changed("gate", np.ones(3)), "'gate' is unknown"),
    ],
)
def test_what_does_not_fit(tmp_path: Path, state: State, message: str) -> None:
    assert_refused(state, tmp_path, message)
