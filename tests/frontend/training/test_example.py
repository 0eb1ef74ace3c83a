"""The shipped checkpoint on scenes it never saw, beside baselines that see only colour."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from frontend.load import load_model
from frontend.lower.freeze import freeze
from frontend.training.boxes import decode, overlap
from frontend.training.dataset import UNSEEN_SEED, Samples, collect, render
from frontend.training.evaluate import Score, load_checkpoint, main, scores
from frontend.zoo.ultranet import HEAD, PICTURE
from ir.executor import execute

CHECKPOINT = Path(__file__).parents[3] / "examples" / "ultranet_4w4a.pt"


@pytest.fixture(scope="module")
def unseen() -> Samples:
    return collect(render(PICTURE, UNSEEN_SEED, 40, processes=1), PICTURE, 40)


@pytest.fixture(scope="module")
def measured(unseen: Samples) -> dict[str, Score]:
    return scores(load_checkpoint(CHECKPOINT), unseen)


def test_the_network_finds_targets_it_never_saw(measured: dict[str, Score]) -> None:
    assert measured["network"].mean_iou > 0.6
    assert measured["network"].found > 0.75


def test_colour_alone_does_not(measured: dict[str, Score]) -> None:
    assert {name: score for name, score in measured.items() if name != "network" and score.mean_iou >= 0.3} == {}
    assert len(measured) == 3


def test_its_integers_find_what_the_fake_quantised_values_find(unseen: Samples) -> None:
    """The frozen network in the reference executor and the torch network: nearly the same boxes, scene by scene."""
    frozen = freeze(load_model(CHECKPOINT).graph)
    ((name, type_),) = frozen.graph.inputs.items()
    ((output, real),) = frozen.dequantise.items()
    network = load_checkpoint(CHECKPOINT)
    for picture in unseen.pictures[:6]:
        raw = execute(frozen.graph, {name: picture.reshape(type_.shape)})[output]
        values = raw * real.scale + np.reshape(real.bias, (-1, 1, 1))
        with torch.no_grad():
            expected, _ = decode(network(torch.from_numpy(picture[None]).float() / 255), HEAD)
        box, _ = decode(torch.from_numpy(values)[None], HEAD)
        assert overlap(box, expected.double())[0] > 0.85


def test_the_checkpoint_is_small_and_in_the_published_form() -> None:
    assert CHECKPOINT.stat().st_size < 1_000_000
    content = torch.load(CHECKPOINT, weights_only=True)
    assert set(content) == {"model"}
    assert content["model"]["layers.0.weight"].shape == (16, 3, 3, 3)
    assert content["model"]["layers.28.bias"].shape == (36,)


def test_the_command_prints_json() -> None:
    result = CliRunner().invoke(main, [str(CHECKPOINT), "--scenes", "3", "--json"])
    assert result.exit_code == 0, result.output
    report = json.loads(result.output)
    assert set(report) == {"network", "colour", "blob"}
    assert all(0 <= score["mean_iou"] <= 1 for score in report.values())
