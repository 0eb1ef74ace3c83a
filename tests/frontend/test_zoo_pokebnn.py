"""PokeBNN as integers: every PokeConv against its formula in float64, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad, relu, relu6

from frontend.load import load_model
from frontend.zoo.pokebnn import MEAN, STD, STREAM
from ir.executor import execute
from ir.ops import Multiply
from ir.types import Array
from tests.frontend.seeded import State, assert_refused, pokebnn

STEM, FEATURES, EXTENT = (4, 8), (4, 8, 8), (48, 40)


def parameter(state: State, name: str) -> Tensor:
    return torch.from_numpy(state[name].astype(np.float64))


def norm(state: State, name: str, x: Tensor) -> Tensor:
    gain, offset, mean, variance = (
        parameter(state, f"{name}.{part}").reshape(-1, 1, 1)
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    return (x - mean) / torch.sqrt(variance + 1e-5) * gain + offset


def dprelu(state: State, name: str, x: Tensor) -> Tensor:
    """``slope * (x - bias_x) - bias_y``, as in the authors' code."""
    keys = ("bias_x", "bias_y", "neg_slope", "pos_slope")
    bias_x, bias_y, below, above = (parameter(state, f"{name}.{key}").reshape(-1, 1, 1) for key in keys)
    x = x - bias_x
    return torch.where(x >= 0, above, below) * x - bias_y


def fake_quantised(w: Tensor, bits: int) -> Tensor:
    """Symmetric, one scale per output channel."""
    most = 2 ** (bits - 1) - 1
    scale = w.abs().flatten(1).max(1).values.reshape(-1, *[1] * (w.ndim - 1)) / most
    return torch.round(w / scale) * scale


def same(x: Tensor, kernel: int, stride: int) -> Tensor:
    """JAX's padding SAME, of zeros."""
    total = [max((-(-size // stride) - 1) * stride + kernel - size, 0) for size in x.shape[2:]]
    return pad(x, (total[1] // 2, total[1] - total[1] // 2, total[0] // 2, total[0] - total[0] // 2))


def fitted(r: Tensor, y: Tensor, copies: bool) -> Tensor:
    """The authors' reshape_add, but for the addition."""
    inputs, outputs = r.shape[1], y.shape[1]
    if inputs > outputs:
        r = r.reshape(1, outputs, inputs // outputs, *r.shape[2:]).mean(2)
    elif inputs < outputs:
        r = r.repeat(1, outputs // inputs, 1, 1) if copies else pad(r, (0, 0, 0, 0, 0, outputs - inputs))
    if r.shape != y.shape:
        mean = torch.full((outputs, 1, 3, 3), 1 / 9, dtype=torch.float64)
        r = conv2d(same(r, 3, 2), mean, None, 2, groups=outputs)
    return r


def gate(state: State, module: str, x: Tensor) -> Tensor:
    """The rounding of its inputs to 4 bits included."""
    first, second = (parameter(state, f"{module}.se.{n}.bound") for n in (1, 2))
    s = torch.round(x.mean((2, 3), keepdim=True) * 7 / first).clamp(-7, 7) * first / 7
    w = [fake_quantised(parameter(state, f"{module}.se.{n}.weight"), 4)[:, :, None, None] for n in (1, 2)]
    s = relu(conv2d(s, w[0], parameter(state, f"{module}.se.1.bias")))
    s = torch.round(s * 15 / second).clamp(0, 15) * second / 15
    return relu6(conv2d(s, w[1], parameter(state, f"{module}.se.2.bias")) + 3) / 6


def poke_conv(state: State, module: str, x: Tensor, r: Tensor | None, stride: int, s: Tensor) -> Tensor:
    w = parameter(state, f"{module}.conv.weight").sign()
    y = norm(
        state,
        f"{module}.bn",
        conv2d(same(torch.where(x >= 0, 1.0, -1.0).double(), w.shape[2], stride), w, None, stride),
    )
    y = y + fitted(x, y, copies=False) + (0 if r is None else fitted(r, y, copies=True))
    return norm(state, f"{module}.out", dprelu(state, f"{module}.dprelu", y) * s)


def stem(state: State, picture: Array) -> Tensor:
    std = torch.tensor(STD).double().reshape(-1, 1, 1)
    x = torch.from_numpy(picture / 255.0)[None] - torch.tensor(MEAN).double().reshape(-1, 1, 1)
    w = fake_quantised(parameter(state, "stem.conv.weight") / std, 8)
    y = dprelu(state, "stem.dprelu", norm(state, "stem.bn", conv2d(x, w, None, 4)))
    bound = parameter(state, "stem.bound")
    y = torch.round(y * 127 / bound).clamp(-127, 127) * bound / 127
    w = fake_quantised(parameter(state, "stem.group.weight"), 8)
    return dprelu(state, "stem.group_dprelu", norm(state, "stem.group_bn", conv2d(y, w, None, 1, 1, groups=STEM[0])))


def test_every_poke_conv_is_the_published_formula(tmp_path: Path) -> None:
    """On what the integers before it stand for; gates apart, whose 4-bit inputs a rounding may move."""
    state = pokebnn(STEM, FEATURES, 5, EXTENT)
    np.savez(tmp_path / "net.npz", **state)  # type: ignore[arg-type]
    model = load_model(tmp_path / "net.npz")
    assert "recognised as 'pokebnn' (PokeBNN, 9 binary convolutions)" in model.origin
    assert sum(isinstance(node.op, Multiply) for node in model.graph.nodes) == 9
    picture = np.random.default_rng(2).integers(0, 256, (3, *EXTENT))
    values = execute(model.graph, {"input": picture})

    def real(name: str) -> Tensor:
        return torch.from_numpy((values[name] + STREAM.origin) / STREAM.steps)[None]

    before, narrow = "stem_out_act", 0
    first = stem(state, picture)
    error = (real(before) - first).abs()  # a value at the edge of two 8-bit levels may take either
    assert error.mean() < 2**-9 and error.max() < 0.2
    for number, features in enumerate(FEATURES):
        r = real(before)
        for n in (1, 2, 3):
            module, x = f"block.{number}.{n}", real(before)
            name = module.replace(".", "_")
            s = torch.from_numpy(values[f"{name}_gate"] / 255.0)[None]
            assert (gate(state, module, x) - s).abs().max() <= 0.5 / 255 + 1e-9
            stride = 2 if n == 2 and 0 < narrow < features else 1
            expected = poke_conv(state, module, x, r if n == 3 else None, stride, s)
            before = f"{name}_out"
            assert (real(before) - expected).abs().max() < 2**-9, name
        narrow = features
    assert values["block_2_3_out"].shape == (32, 6, 5) and values["linear"].shape == (5, 1, 1)


@pytest.mark.full
@pytest.mark.parametrize(("width", "classes"), [(0.5, 1000), (1, 10)])
def test_the_published_sizes_are_read_off_the_shapes(width: float, classes: int, tmp_path: Path) -> None:
    """PokeBNN-0.5x and 1x, 16 blocks, for 32x32 pictures."""
    features = [int(width * f) for f, count in ((64, 3), (128, 4), (256, 6), (512, 3)) for _ in range(count)]
    np.savez(tmp_path / "net.npz", **pokebnn((32, 64), features, classes, (32, 32)))  # type: ignore[arg-type]
    graph = load_model(tmp_path / "net.npz").graph
    assert sum(isinstance(node.op, Multiply) for node in graph.nodes) == 48
    assert graph.view("block_15_3_out").type.shape == (2048 * width, 1, 1)
    assert graph.view(graph.outputs[0]).type.shape == (classes, 1, 1)


def changed(name: str, value: Array | None) -> State:
    state = pokebnn(STEM, FEATURES, 3, (16, 16))
    return {k: v for k, v in {**state, name: value}.items() if v is not None}


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (changed("block.1.2.dprelu.pos_slope", None), "'block.1.2.dprelu.pos_slope' is missing"),
        (
            changed("block.1.2.se.2.weight", np.ones((9, 1))) | {"block.1.2.se.2.bias": np.ones(9)},
            "'block.1.2.se.2.weight' has shape (9, 1), needs 8 outputs",
        ),
        (pokebnn(STEM, (3,), 3, (16, 16)), "averages 8 channels to 3, which does not divide them"),
        (
            changed("block.1.1.conv.weight", np.ones((8, 9, 1, 1))),
            "'block.1.1.conv.weight' has shape (8, 9, 1, 1), needs 16",
        ),
        (changed("block.1.1.se.1.bound", np.zeros(1)), "'block.1.1.se.1.bound' has to be one number above 0"),
        (changed("block.7.1.conv.weight", np.ones((8, 8, 1, 1))), "blocks are left out before 'block.7'"),
        (changed("stem.group.weight", np.ones((9, 1, 3, 3))), "needs (O, 1, 3, 3), O a multiple of 4"),
        (changed("picture", np.array([4, 4])), "'picture' is 4x4, needs at least 8x8"),
        (changed("head.weight", np.ones(3)), "'head.weight' is unknown"),
    ],
)
def test_what_does_not_fit(tmp_path: Path, state: State, message: str) -> None:
    assert_refused(state, tmp_path, message)
