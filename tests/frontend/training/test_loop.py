"""The training loop on small pictures: it learns, it resumes exactly, and what it trains is the network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from frontend.training.boxes import detection_loss
from frontend.training.dataset import Samples
from frontend.training.loop import Schedule, TrainingForm, calibrate, initialise, network_input, shipped_state, train
from frontend.zoo.ultranet import HEAD, UltraNet

SCHEDULE = Schedule(steps=60, batch=8, rate=5e-3, warmup=4, seed=1)


@pytest.fixture(scope="module")
def samples() -> Samples:
    """Bright rectangles on noise, 64x32."""
    rng = np.random.default_rng(4)
    pictures = rng.integers(0, 60, (48, 3, 32, 64), dtype=np.uint8)
    corners = rng.integers((2, 2, 8, 8), (40, 16, 22, 14), (48, 4))
    boxes = np.stack((corners[:, 0], corners[:, 0] + corners[:, 2], corners[:, 1], corners[:, 1] + corners[:, 3]), 1)
    for picture, (x0, x1, y0, y1) in zip(pictures, boxes, strict=True):
        picture[:, y0:y1, x0:x1] += 150
    return Samples(pictures, boxes.astype(np.float32))


def fresh(seed: int = 1) -> UltraNet:
    network = UltraNet()
    initialise(network, seed)
    return network


def test_the_training_form_computes_the_same() -> None:
    network = fresh()
    for name, value in network.state_dict().items():
        if name.endswith("weight") and value.ndim == 1:
            value[::3] *= -1  # negative scales are where the order of pooling and normalisation would show
    network.eval()
    x = torch.rand(2, 3, 32, 64)
    assert torch.equal(TrainingForm(network).eval()(x), network(x))


def test_every_parameter_receives_a_gradient(samples: Samples) -> None:
    network = fresh()
    values = TrainingForm(network).train()(network_input(samples.pictures[:8]))
    detection_loss(values, torch.from_numpy(samples.boxes[:8]), HEAD).total.backward()
    dead = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert not dead
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)


def test_a_short_run_lowers_the_loss(samples: Samples) -> None:
    losses = [progress.terms.total.item() for progress in train(fresh(), samples, HEAD, SCHEDULE)]
    assert len(losses) == SCHEDULE.steps
    assert np.mean(losses[-8:]) < 0.85 * np.mean(losses[:8])


def test_a_resumed_run_continues_the_interrupted_one(samples: Samples, tmp_path: Path) -> None:
    schedule = replace(SCHEDULE, steps=6)
    whole = fresh()
    for _ in train(whole, samples, HEAD, schedule):
        pass
    interrupted, state = fresh(), tmp_path / "state.pt"
    for progress in train(interrupted, samples, HEAD, schedule, state, save_every=3):
        if progress.step == 3:
            break
    resumed = fresh(seed=99)
    steps = [progress.step for progress in train(resumed, samples, HEAD, schedule, state, save_every=3)]
    assert steps == [3, 4, 5]
    for key, value in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[key], value, msg=key)


def test_state_of_another_schedule_is_refused(samples: Samples, tmp_path: Path) -> None:
    state, schedule = tmp_path / "state.pt", replace(SCHEDULE, steps=1)
    list(train(fresh(), samples, HEAD, schedule, state, save_every=1))
    with pytest.raises(ValueError, match="saved by a run with"):
        list(train(fresh(), samples, HEAD, replace(schedule, seed=2), state))


def test_calibration_averages_the_statistics_of_batches(samples: Samples) -> None:
    network = fresh()
    calibrate(network, samples, batch=16)
    first, norm = network.layers[0], network.layers[1]
    with torch.no_grad():
        y = [first(network_input(samples.pictures[i : i + 16])).double().numpy() for i in (0, 16, 32)]
    np.testing.assert_allclose(norm.running_mean.numpy(), np.mean([b.mean((0, 2, 3)) for b in y], 0), rtol=1e-4)
    np.testing.assert_allclose(norm.running_var.numpy(), np.mean([b.var((0, 2, 3), ddof=1) for b in y], 0), rtol=1e-4)
    assert norm.momentum == pytest.approx(0.1)
    assert not network.training


def test_the_schedule_warms_up_and_ends_at_zero() -> None:
    schedule = Schedule(steps=1000, rate=1.0, warmup=10)
    assert schedule.rate_at(0) == pytest.approx(0.1, rel=1e-3)
    assert schedule.rate_at(500) == pytest.approx(0.5)
    assert schedule.rate_at(999) < 1e-5


def test_shipped_state_halves_convolution_weights_only() -> None:
    state = shipped_state(fresh())
    assert set(state) == set(UltraNet().state_dict())
    assert {k for k, v in state.items() if v.dtype == torch.float16} == {k for k, v in state.items() if v.ndim == 4}
