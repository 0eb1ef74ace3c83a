"""CNV from files of integers: equal to the published arithmetic, for the trained networks and others of the family."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import conv2d, max_pool2d

from frontend.errors import ModelError
from frontend.load import Model, load_model
from ir.executor import execute
from ir.ops import Conv2d
from ir.records import ClassifierHead
from ir.types import Array
from tests.frontend.seeded import State, cnv


def published(state: State, picture: Array, pools: Sequence[int]) -> Array:
    """The last sums as the files' authors define them, in float64: accumulators, thresholds below them, levels."""
    x = torch.from_numpy(np.clip(np.floor((2 * picture.astype(np.float64) / 255 - 1) * 128), -128, 127))[None]
    for i in range(len(state) // 2 + 1):
        w = torch.from_numpy(state[f"w{i}"].astype(np.float64))
        dense = w.ndim == 2
        sums = (w @ x.flatten()).reshape(1, -1, 1, 1) if dense else conv2d(x, w)
        if f"t{i}" not in state:
            return sums.flatten().numpy().astype(np.int64)
        t = torch.from_numpy(state[f"t{i}"].astype(np.float64))
        bipolar = i > 0 and t.shape[1] == 1
        acc = 2 * sums if i == 0 else (w[0].numel() + sums) / 2 if bipolar else sums
        count = (t.T[:, None, :, None, None] < acc).sum(0).double()
        x = 2 * count - 1 if t.shape[1] == 1 else count - 1
        if i in pools:
            x = max_pool2d(x, 2)
    raise AssertionError("every layer has thresholds")


def scores(model: Model, picture: Array) -> Array:
    graph = model.frozen().graph
    return execute(graph, {"input": picture})[graph.outputs[0]].flatten()


@pytest.mark.parametrize("widths", ["w1a1", "w2a2"])
def test_trained_networks(shared_data: Path, widths: str) -> None:
    file = shared_data / f"classifiers/cnv_{widths}.npz"
    model = load_model(file)
    assert f"recognised as 'cnv_{widths}' (CNV, 6 convolutions and 3 dense layers, {widths.upper()})" in model.origin
    assert isinstance(model.head, ClassifierHead) and model.head.labels[8] == "ship"
    assert (model.picture.order, model.picture.width, model.picture.height) == ("rgb", 32, 32)
    state = dict(np.load(file))
    pictures = np.load(shared_data / "cifar10/test500.npz")["x"][:4]
    for picture in (*pictures, np.full((3, 32, 32), 255), np.zeros((3, 32, 32), np.uint8)):
        assert np.array_equal(scores(model, picture), published(state, picture, (1, 3)))


@pytest.mark.parametrize(
    ("state", "pools", "name", "classes"),
    [
        (cnv((8, 8, 12, 12, 20, 20), (16, 100), 20, 1, False), (1, 3), "cnv_w1a1", 100),
        (cnv((8, 8, 8, 8), (24, 16, 10), 800, 2, True), (1,), "cnv_w2a2", 10),
        (cnv((8, 10), (7,), 10 * 13 * 13, 2, False), (0,), "cnv_w1a2", 7),
    ],
    ids=["narrow", "flattened", "shallow"],
)
def test_others_of_the_family(tmp_path: Path, state: State, pools: Sequence[int], name: str, classes: int) -> None:
    np.savez(tmp_path / "net.npz", **state)  # type: ignore[arg-type]
    model = load_model(tmp_path / "net.npz")
    assert model.graph.name == name and isinstance(model.head, ClassifierHead) and len(model.head.labels) == classes
    rng = np.random.default_rng(2)
    for picture in (rng.integers(0, 256, (3, 32, 32)), 255 * rng.integers(0, 2, (3, 32, 32))):
        assert np.array_equal(scores(model, picture), published(state, picture, pools))


def test_a_checkpoint_of_floats(tmp_path: Path) -> None:
    """The same tensors as a .pt file of float32 give the same graph."""
    state = cnv((8, 8, 12, 12, 20, 20), (16, 10), 20, 1, False)
    np.savez(tmp_path / "net.npz", **state)  # type: ignore[arg-type]
    torch.save({name: torch.from_numpy(value).float() for name, value in state.items()}, tmp_path / "net.pt")
    named, found = load_model(tmp_path / "net.pt", "cnv").graph, load_model(tmp_path / "net.npz").graph
    assert named.nodes == found.nodes and sum(isinstance(n.op, Conv2d) for n in found.nodes) == 8
    assert all(np.array_equal(named.constants[k], v) for k, v in found.constants.items())


def changed(name: str, value: Array) -> State:
    return {**cnv((8, 8, 12, 12, 20, 20), (16, 10), 20, 1, False), name: value}


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (changed("w1", np.full((8, 8, 3, 3), 2)), "'w1' holds 2..2 (allowed: -1, 0 and 1)"),
        (changed("w1", np.full((8, 8, 3, 3), 0.5)), "'w1' holds values that are no integers"),
        (changed("w1", np.zeros((8, 8, 3, 3))), "'w1' holds zeros, but reads bipolar activations"),
        (changed("w2", np.ones((12, 9, 3, 3))), "'w2' has shape (12, 9, 3, 3), needs 8 input channels"),
        (changed("w7", np.ones((10, 17))), "'w7' has shape (10, 17), needs 16 inputs"),
        (changed("w6", np.ones((16, 25))), "'w6' has 25 inputs, but 32x32 pictures leave 20 channels of 1x1"),
        (changed("t3", np.ones((12, 2))), "'t3' has 2 thresholds a channel, 't0' has 1"),
        (changed("t3", np.ones((12, 3))), "'t3' has shape (12, 3), needs (12, 1) or (12, 2)"),
        (changed("t3", np.ones((12, 0))), "'t3' is empty"),
        (changed("t3", np.full((12, 1), np.nan)), "'t3' holds values that are not finite"),
    ],
)
def test_what_does_not_fit(tmp_path: Path, state: State, message: str) -> None:
    file = tmp_path / "net.npz"
    np.savez(file, **state)  # type: ignore[arg-type]
    with pytest.raises(ModelError) as raised:
        load_model(file)
    assert str(raised.value).startswith(f"{file}: ") and message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_names_that_are_not_the_familys(tmp_path: Path) -> None:
    np.savez(tmp_path / "net.npz", weight=np.ones(3))
    with pytest.raises(ModelError, match="does not fit 'cnv', which has weights w0, w1"):
        load_model(tmp_path / "net.npz", "cnv")
