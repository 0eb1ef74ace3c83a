"""State dicts of binary networks with seeded values: other sizes than the trained ones have."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ir.types import Array

State = dict[str, Array]


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


FAMILY_STATES: Mapping[str, Callable[[], State]] = {
    "cnv": lambda: cnv((16, 16, 32, 32, 64, 64), (64, 10), 64, 1, False),
    "fracbnn": lambda: fracbnn((8, 16), 1, 10),
}
"""Each family of the zoo by a small network of its kind."""
