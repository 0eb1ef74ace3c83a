"""FracBNN as integers: every half of every block against the published formula in float64, and what is refused.

Whole networks are compared by accuracy (tests/flow/test_flow_classifiers.py): a level that flips at its edge flips
others behind it, so scores of single pictures differ by more than the roundings.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, prelu

from frontend.load import Model, load_model
from frontend.zoo.fracbnn import MEAN, STREAM, STREAM_BITS
from ir.executor import execute
from ir.ops import GatedConv2d, MultiplyShift
from ir.records import ClassifierHead
from ir.types import Array
from tests.frontend.seeded import State, assert_refused, fracbnn


def half(state: State, block: str, n: int, x: Tensor) -> Tensor:
    """One gated convolution with what follows it, as the authors' module computes it; x (1, C, H, W)."""

    def of(name: str) -> Tensor:
        return torch.from_numpy(state[f"{block}_{name}"].astype(np.float64)).reshape(-1, 1, 1)

    w = torch.from_numpy(np.sign(state[f"{block}_conv{n}_weight"]).astype(np.float64))
    stride = w.shape[0] // w.shape[1]
    q = torch.round((x.clamp(-1, 1) + 1) * 1.5) / 1.5 - 1
    a, b = conv2d(q.sign(), w, None, stride, 1) * 2 / 3, conv2d(q, w, None, stride, 1)
    y = torch.where(a > of(f"conv{n}_threshold"), b, a) * of(f"bn{n}_weight") + of(f"bn{n}_bias")
    y = prelu(y + of(f"rprelu{n}_shift_x_bias"), of(f"rprelu{n}_prelu_weight").flatten())
    y = y + of(f"rprelu{n}_shift_y_bias")
    if stride == 2:
        x = avg_pool2d(x, 2)
        x = torch.cat((x, x), 1)
    return (y + x) * of(f"bn{n + 2}_weight") + of(f"bn{n + 2}_bias")


def bits_of(picture: Array) -> Tensor:
    """The thermometer code of 32 levels a colour."""
    codes = torch.round(torch.from_numpy(picture.astype(np.float64)) / 8)
    return (
        torch.where(torch.arange(32).reshape(1, 32, 1, 1) < codes[:, None], 1.0, -1.0).reshape(1, 96, 32, 32).double()
    )


def assert_halves(state: State, model: Model, picture: Array, blocks: Sequence[str]) -> None:
    """Every part of the network on what the integers before it stand for."""
    values = execute(model.graph, {"input": picture})
    steps: dict[str, Array] = {"mean": np.array(MEAN.steps)}

    def real(name: str) -> Tensor:
        origin = MEAN.origin if name == "mean" else STREAM.origin
        return torch.from_numpy((values[name] + origin) / steps[name].reshape(-1, 1, 1))[None]

    def close(name: str, before: Array, gain: Array, expected: Tensor) -> None:
        """Steps by what the multipliers are; ``before``: those of their operand."""
        view = model.graph.view(name)
        assert isinstance(view.op, MultiplyShift)
        steps[name] = before * view.operands[1].constant / 2.0**view.op.shift / gain.astype(np.float64)
        assert np.abs(steps[name] / STREAM.steps - 1).max() < 2**-14
        limit = 2.0 ** (STREAM_BITS - 1) / STREAM.steps - 0.01
        error = (real(name).clamp(-limit, limit) - expected.clamp(-limit, limit)).abs()
        assert error.max() < 2**-14 and error.mean() < 2**-18, (name, float(error.max()), float(error.mean()))

    w = torch.from_numpy(np.sign(state["conv1_weight"]).astype(np.float64))
    gain, offset = (
        torch.from_numpy(state[f"bn1_{n}"].astype(np.float64)).reshape(-1, 1, 1) for n in ("weight", "bias")
    )
    close("bn1", np.array(1.0), state["bn1_weight"], conv2d(bits_of(picture), w, None, 1, 1) * gain + offset)
    before = "bn1"
    for block in blocks:
        for n in (1, 2):
            name, gain_after = f"{block}_{n}_out", state[f"{block}_bn{n + 2}_weight"]
            pooled = len(gain_after) > len(steps[before])
            operand = np.tile(4 * steps[before], 2) if pooled else steps[before]
            close(name, operand, gain_after, half(state, block, n, real(before)))
            before = name
    assert (real("mean") - real(before).mean((2, 3), keepdim=True)).abs().max() < 0.51 / MEAN.steps
    (name,) = model.graph.outputs
    record = model.frozen().dequantise[name]
    scores = values[name].flatten() * record.scale * np.array(record.gain) + np.array(record.bias)
    weights, bias = (state[f"linear_{n}"].astype(np.float64) for n in ("weight", "bias"))
    got = weights @ real("mean").flatten().numpy() + bias
    assert np.abs(scores - got).max() < np.abs(weights).max() / 254 * real("mean").abs().sum()  # half a step a weight


@pytest.mark.parametrize("index", [0, pytest.param(7, marks=pytest.mark.full)])
def test_the_trained_network(shared_data: Path, index: int) -> None:
    file = shared_data / "classifiers/fracbnn_w1a1.4.npz"
    model, state = load_model(file), dict(np.load(file))
    assert "recognised as 'fracbnn' (FracBNN, 20 layers" in model.origin
    assert isinstance(model.head, ClassifierHead) and model.head.labels[0] == "airplane"
    picture = np.load(shared_data / "cifar10/test500.npz")["x"][index]
    assert_halves(state, model, picture, [f"layer{s}_{b}" for s in (1, 2, 3) for b in range(3)])


def test_another_of_the_family(tmp_path: Path) -> None:
    """Other widths and depth, 100 classes, gains of either sign."""
    state = fracbnn((6, 12), 2, 100)
    np.savez(tmp_path / "net.npz", **state)  # type: ignore[arg-type]
    model = load_model(tmp_path / "net.npz")
    assert isinstance(model.head, ClassifierHead) and model.head.labels[99] == "worm"
    assert sum(isinstance(node.op, GatedConv2d) for node in model.graph.nodes) == 8
    rng = np.random.default_rng(2)
    for picture in (rng.integers(0, 256, (3, 32, 32)), 255 * rng.integers(0, 2, (3, 32, 32))):
        assert_halves(state, model, picture, ["layer1_0", "layer1_1", "layer2_0", "layer2_1"])


def test_a_checkpoint_of_the_authors_module(tmp_path: Path) -> None:
    """Names with dots, parallel training's prefix, four-dimensional parameters and batch norms with statistics."""
    state = fracbnn((6, 12), 1, 10)
    rng = np.random.default_rng(3)
    folded, modules = dict(state), {}
    for name, value in state.items():
        parts = name.replace("shift_x_", "shift-x.").replace("shift_y_", "shift-y.").replace("_", ".").replace("-", "_")
        lifted = value.reshape(1, -1, 1, 1) if "threshold" in name or "shift" in name else value
        modules[f"module.{parts}"] = torch.from_numpy(lifted)
    for name in [n.removesuffix("_weight") for n in state if "bn" in n and n.endswith("_weight")]:
        mean, var = rng.normal(0, 0.2, len(state[f"{name}_bias"])), rng.uniform(0.5, 2, len(state[f"{name}_bias"]))
        dotted = f"module.{name.replace('_', '.')}"
        modules[f"{dotted}.running_mean"], modules[f"{dotted}.running_var"] = torch.tensor(mean), torch.tensor(var)
        modules[f"{dotted}.num_batches_tracked"] = torch.tensor(7)
        gain = state[f"{name}_weight"] / np.sqrt(var + 1e-5)
        folded |= {f"{name}_weight": gain, f"{name}_bias": state[f"{name}_bias"] - mean * gain}
    modules["module.encoder.placeholder"] = torch.zeros(1, 3, 32, 2, 2)
    torch.save({"state_dict": modules}, tmp_path / "net.pt")
    np.savez(tmp_path / "net.npz", **folded)  # type: ignore[arg-type]
    dotted, plain = load_model(tmp_path / "net.pt").graph, load_model(tmp_path / "net.npz", "fracbnn").graph
    assert dotted.nodes == plain.nodes
    assert all(np.array_equal(dotted.constants[k], v) for k, v in plain.constants.items())


def changed(name: str, value: Array | None) -> State:
    state = fracbnn((6, 12), 1, 10)
    return {k: v for k, v in {**state, name: value}.items() if v is not None}


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (changed("layer2_0_bn4_bias", None), "'layer2_0_bn4_bias' is missing"),
        (changed("layer2_0_bn4_bias", np.ones(5)), "'layer2_0_bn4_bias' has shape (5,), needs (12,)"),
        (
            changed("layer1_0_bn1_weight", np.full(6, 1e7)),
            "'layer1_0_1_act_line': a gain of -9.22955e+06",
        ),
        (changed("layer2_0_conv1_weight", np.ones((12, 5, 3, 3))), "needs 6 inputs and 6 or 12 outputs"),
        (changed("layer1_0_conv2_weight", np.zeros((6, 6, 3, 3))), "'layer1_0_conv2_weight' holds a 0"),
        (changed("conv1_weight", np.ones((6, 94, 3, 3))), "94 input channels, which are no thermometer code"),
        (changed("linear_weight", np.ones((10, 13))), "'linear_weight' has shape (10, 13), needs 12 inputs"),
        (changed("downsample_weight", np.ones(3)), "'downsample_weight' is unknown"),
        (changed("layer4_0_conv1_weight", np.ones((6, 6, 3, 3))), "blocks are left out before 'layer4_0'"),
        (changed("layer2_0_conv3_weight", np.ones((12, 12, 3, 3))), "'layer2_0_conv3_weight' is unknown"),
        (
            changed("layer1_0_rprelu1_prelu_weight", np.full(6, 1e9)),
            "(channel 1) exceed 27-bit multipliers",
        ),
        (changed("linear_bias", np.ones(0)), "'linear_bias' is empty"),
    ],
)
def test_what_does_not_fit(tmp_path: Path, state: State, message: str) -> None:
    assert_refused(state, tmp_path, message)
