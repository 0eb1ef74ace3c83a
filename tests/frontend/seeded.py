"""State dicts of binary networks with seeded values: other sizes than the trained ones have."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from frontend.errors import ModelError
from frontend.load import load_model
from ir.types import Array

State = dict[str, Array]


def assert_refused(state: State, folder: Path, message: str) -> None:
    """Loading it says in which file what does not fit."""
    file = folder / "net.npz"
    np.savez(file, **state)  # type: ignore[arg-type]
    with pytest.raises(ModelError) as raised:
        load_model(file)
    assert str(raised.value).startswith(f"{file}: ") and message in str(raised.value)


def cnv(convs: Sequence[int], dense: Sequence[int], fan_in: int, levels: int, ternary: bool, seed: int = 1) -> State:
    """Random weights, and thresholds around the middle of the accumulators."""
    rng = np.random.default_rng(seed)
    values = [-1, 0, 1] if ternary else [-1, 1]
    shapes = [(o, i, 3, 3) for i, o in zip((3, *convs), convs, strict=False)]
    shapes += [(o, i) for i, o in zip((fan_in, *dense), dense, strict=False)]
    state: State = {}
    for n, shape in enumerate(shapes):
        state[f"w{n}"] = rng.choice(values, shape).astype(np.int8)
        size = int(np.prod(shape[1:]))
        middle, spread = (size // 2, size // 8 + 1) if n and levels == 1 else (0, 200 if n == 0 else size // 8 + 1)
        state[f"t{n}"] = middle + rng.integers(-spread, spread, (shape[0], levels))
    del state[f"t{len(shapes) - 1}"]
    return state


def fracbnn(widths: Sequence[int], blocks: int, classes: int, seed: int = 1) -> State:
    """Random tensors of plausible size: two gated convolutions a block, ``blocks`` blocks a stage."""
    rng = np.random.default_rng(seed)
    state: State = {"conv1_weight": rng.normal(size=(widths[0], 96, 3, 3))}

    def norm(name: str, channels: int, gain: float) -> None:
        state[f"{name}_weight"] = gain * rng.uniform(0.5, 1.5, channels) * rng.choice([1, 1, 1, -1], channels)
        state[f"{name}_bias"] = rng.normal(0, 0.3, channels)

    norm("bn1", widths[0], 0.03)
    inputs = widths[0]
    for stage, outputs in enumerate(widths, 1):
        for number in range(blocks):
            block = f"layer{stage}_{number}"
            for n in (1, 2):
                state[f"{block}_conv{n}_weight"] = rng.choice([-1.0, 1.0], (outputs, inputs, 3, 3))
                state[f"{block}_conv{n}_threshold"] = rng.uniform(-3, 3, outputs)
                norm(f"{block}_bn{n}", outputs, 1 / np.sqrt(9 * inputs))
                norm(f"{block}_bn{n + 2}", outputs, 0.8)
                for part, scale in (("shift_x_bias", 0.3), ("shift_y_bias", 0.3), ("prelu_weight", 0.5)):
                    state[f"{block}_rprelu{n}_{part}"] = rng.normal(0, scale, outputs)
                inputs = outputs
    state["linear_weight"], state["linear_bias"] = rng.normal(size=(classes, inputs)), rng.normal(size=classes)
    return {name: value.astype(np.float32) for name, value in state.items()}


def fracbnn_imagenet(widths: Sequence[int], classes: int, extent: tuple[int, int], seed: int = 1) -> State:
    """Random tensors of plausible size under the names of the authors' module: a stem of ``widths[0]`` channels and a
    block for each width after it, each once or twice the one before."""
    rng = np.random.default_rng(seed)
    state: State = {
        "model.0.0.weight": rng.normal(size=(widths[0], 96, 3, 3)),
        "encoder.placeholder": np.zeros((1, 3, 32, *extent)),
        "img_mean": np.zeros((1, 3, 1, 1)),
        "teacher.fc.weight": np.zeros((2, 2)),
    }

    def norm(name: str, channels: int, gain: float) -> None:
        state[f"{name}.weight"] = gain * rng.uniform(0.5, 1.5, channels) * rng.choice([1, 1, 1, -1], channels)
        state[f"{name}.bias"] = rng.normal(0, 0.3, channels)
        state[f"{name}.running_mean"] = rng.normal(0, 0.3, channels)
        state[f"{name}.running_var"] = rng.uniform(0.5, 2, channels)

    norm("model.0.1", widths[0], 0.03)
    for number, (inputs, outputs) in enumerate(pairwise(widths), 1):
        block = f"model.{number}"
        for n, conv, channels, kernel in ((1, "conv3x3", inputs, 3), (2, "pointwise", outputs, 1)):
            fan_in = inputs * kernel**2
            state[f"{block}.{conv}.0.weight"] = rng.choice([-1.0, 1.0], (channels, inputs, kernel, kernel))
            state[f"{block}.{conv}.0.threshold"] = rng.uniform(-3, 3, (1, channels, 1, 1))
            norm(f"{block}.{conv}.1", channels, 1 / np.sqrt(fan_in))
            norm(f"{block}.shiftbn{n}", channels, 0.8)
            for part in ("shift_x", "shift_y"):
                state[f"{block}.rprelu{n}.{part}.bias"] = rng.normal(0, 0.3, (1, channels, 1, 1))
            state[f"{block}.rprelu{n}.prelu.weight"] = rng.normal(0.5, 0.7, channels)
    state["fc.weight"], state["fc.bias"] = rng.normal(size=(classes, widths[-1])), rng.normal(size=classes)
    return {name: value.astype(np.float32) for name, value in state.items()}


def pokebnn(
    stem: tuple[int, int], features: Sequence[int], classes: int, extent: tuple[int, int], seed: int = 1
) -> State:
    """Random tensors of plausible size: ``stem`` channels, a block for each of ``features``, four times as wide."""
    rng = np.random.default_rng(seed)
    state: State = {"picture": np.array(extent)}

    def norm(name: str, channels: int, gain: float) -> None:
        state[f"{name}.weight"] = gain * rng.uniform(0.5, 1.5, channels) * rng.choice([1, 1, 1, -1], channels)
        state[f"{name}.bias"] = rng.normal(0, 0.3, channels)
        state[f"{name}.running_mean"] = rng.normal(0, 0.3, channels)
        state[f"{name}.running_var"] = rng.uniform(0.5, 2, channels)

    def dprelu(name: str, channels: int) -> None:
        for key, middle in (("bias_x", 0.0), ("bias_y", 0.0), ("neg_slope", 0.25), ("pos_slope", 1.0)):
            state[f"{name}.{key}"] = rng.normal(middle, 0.3, channels)

    state["stem.conv.weight"] = rng.normal(size=(stem[0], 3, 4, 4))
    norm("stem.bn", stem[0], 0.15)
    dprelu("stem.dprelu", stem[0])
    state["stem.bound"] = np.array(3.0)
    state["stem.group.weight"] = rng.normal(size=(stem[1], 1, 3, 3))
    norm("stem.group_bn", stem[1], 0.4)
    dprelu("stem.group_dprelu", stem[1])
    inputs = stem[1]
    for number, narrow in enumerate(features):
        for n, (outputs, kernel) in enumerate(((narrow, 1), (narrow, 3), (4 * narrow, 1)), 1):
            module, hidden = f"block.{number}.{n}", max(1, inputs // 8)
            state[f"{module}.conv.weight"] = rng.normal(size=(outputs, inputs, kernel, kernel))
            norm(f"{module}.bn", outputs, 1 / np.sqrt(inputs * kernel**2))
            dprelu(f"{module}.dprelu", outputs)
            for k, shape in ((1, (hidden, inputs)), (2, (outputs, hidden))):
                state[f"{module}.se.{k}.weight"] = rng.normal(size=shape)
                state[f"{module}.se.{k}.bias"] = rng.normal(0, 0.5, shape[0])
                state[f"{module}.se.{k}.bound"] = np.array(2.0)
            norm(f"{module}.out", outputs, 1.2)
            inputs = outputs
    state["fc.weight"], state["fc.bias"] = rng.normal(size=(classes, inputs)), rng.normal(size=classes)
    return {name: value.astype(np.float32) for name, value in state.items()}


FAMILY_STATES: Mapping[str, Callable[[], State]] = {
    "cnv": lambda: cnv((16, 16, 32, 32, 64, 64), (64, 10), 64, 1, False),
    "fracbnn": lambda: fracbnn((8, 16), 1, 10),
    "fracbnn_imagenet": lambda: fracbnn_imagenet((8, 16, 16), 10, (32, 32)),
    "pokebnn": lambda: pokebnn((8, 16), (8, 8), 10, (32, 32)),
}
"""Each family of the zoo by a small network of its kind."""
