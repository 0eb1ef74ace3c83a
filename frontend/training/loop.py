"""Quantisation-aware training from scratch: one loop, resumable, the same result for the same seed and thread count."""

from __future__ import annotations

import ctypes
import math
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from frontend.quantisers import BatchNorm2d, QuantActivation
from frontend.training.boxes import LossTerms, detection_loss
from frontend.training.dataset import Samples, augmented_batch
from ir.records import YoloHead

CALIBRATION_BATCHES = 64
_MALLOC_MMAP_MAX, _MALLOC_TRIM_THRESHOLD = -4, -1


@dataclass(frozen=True)
class Schedule:
    """Adam with a linear warm-up and a cosine to zero."""

    steps: int = 6000
    batch: int = 16
    rate: float = 3e-3
    warmup: int = 150
    seed: int = 0

    def rate_at(self, step: int) -> float:
        """Learning rate of step `step`, counted from 0."""
        ramp = min(1.0, (step + 1) / self.warmup)
        return self.rate * ramp * 0.5 * (1 + math.cos(math.pi * step / self.steps))


@dataclass(frozen=True)
class Progress:
    step: int
    rate: float
    terms: LossTerms


class TrainingForm(nn.Module):
    """The same network with each max-pool before its activation: equal values, since the activation is monotone.

    The activation then sees a quarter of the values, and the gradient reaches the true maximum where rounding made
    several equal. Shares all parameters with `network`, which must be an `UltraNet`-like `layers` sequence.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        stages = [*network.get_submodule("layers").children()]
        for i in range(1, len(stages)):
            if isinstance(stages[i - 1], QuantActivation) and isinstance(stages[i], nn.MaxPool2d):
                stages[i - 1], stages[i] = stages[i], stages[i - 1]
        self.stages = nn.Sequential(*stages)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.stages(x)
        return y


def initialise(network: nn.Module, seed: int) -> None:
    """Normal weights; a head that starts near zero values and low confidence."""
    generator = torch.Generator().manual_seed(seed)
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    for convolution in convolutions:
        nn.init.normal_(convolution.weight, std=0.2, generator=generator)
    head = convolutions[-1]
    assert head.bias is not None
    with torch.no_grad():
        # The quantiser scales the largest weight to 1: a heavy-tailed start keeps the others, and so the values, small.
        head.weight.copy_(torch.randn(head.weight.shape, generator=generator) ** 3 * 0.05)
        head.bias.view(-1, 6).copy_(torch.tensor((0.0, 0.0, 0.0, 0.0, -3.0, 0.0)))


def network_input(pictures: np.ndarray[Any, np.dtype[np.uint8]]) -> Tensor:
    """[N, 3, H, W] uint8 -> floats in [0, 1], channels last in memory (twice as fast on a CPU)."""
    return torch.from_numpy(pictures).to(memory_format=torch.channels_last).float().div_(255)


def train(
    network: nn.Module,
    samples: Samples,
    head: YoloHead,
    schedule: Schedule,
    resume: Path | None = None,
    save_every: int = 250,
) -> Iterator[Progress]:
    """Trains `network` in place, one step per item; `resume` is a file to continue from and to save to.

    Raises ValueError where the saved state belongs to another schedule.
    """
    keep_freed_memory()
    torch.manual_seed(schedule.seed)
    form = TrainingForm(network).train()
    for parameter in form.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    optimiser = torch.optim.Adam(form.parameters(), lr=schedule.rate, betas=(0.9, 0.99))
    first = _restore(resume, form, optimiser, schedule) if resume is not None and resume.exists() else 0
    for step in range(first, schedule.steps):
        batch = augmented_batch(samples, schedule.batch, np.random.default_rng((schedule.seed, step)))
        rate = schedule.rate_at(step)
        for group in optimiser.param_groups:
            group["lr"] = rate
        terms = detection_loss(form(network_input(batch.pictures)), torch.from_numpy(batch.boxes), head)
        optimiser.zero_grad()
        torch.autograd.backward(terms.total)
        nn.utils.clip_grad_norm_(form.parameters(), 10.0)
        optimiser.step()
        if resume is not None and (step + 1) % save_every == 0:
            _save(resume, step + 1, form, optimiser, schedule)
        yield Progress(step, rate, terms)


@torch.no_grad()
def calibrate(network: nn.Module, samples: Samples, batch: int = 32) -> None:
    """Replace the running statistics of every `BatchNorm2d` by plain averages over the first pictures of `samples`."""
    norms = [module for module in network.modules() if isinstance(module, BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    form = TrainingForm(network).train()
    for i in range(min(CALIBRATION_BATCHES, len(samples) // batch)):
        for norm in norms:
            norm.momentum = 1 / (i + 1)
        form(network_input(samples.pictures[i * batch : (i + 1) * batch]))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()


def shipped_state(network: nn.Module) -> dict[str, Tensor]:
    """The state dict with convolution weights in half precision: what they quantise to is what is measured."""
    return {
        key: value.detach().contiguous().to(torch.float16 if value.ndim == 4 else torch.float32)
        for key, value in network.state_dict().items()
    }


def keep_freed_memory() -> None:
    """Ask glibc not to return freed activations to the system; page faults cost half of a step otherwise."""
    if os.name == "posix":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_MALLOC_MMAP_MAX, 0)
            mallopt(_MALLOC_TRIM_THRESHOLD, 2**31 - 1)


def _save(path: Path, step: int, form: nn.Module, optimiser: torch.optim.Optimizer, schedule: Schedule) -> None:
    state = {
        "step": step,
        "model": form.state_dict(),
        "optimiser": optimiser.state_dict(),
        "schedule": asdict(schedule),
    }
    partial = path.with_suffix(".part")
    torch.save(state, partial)
    partial.replace(path)


def _restore(path: Path, form: nn.Module, optimiser: torch.optim.Optimizer, schedule: Schedule) -> int:
    state = torch.load(path, weights_only=True)
    if state["schedule"] != asdict(schedule):
        raise ValueError(f"{path} was saved by a run with {state['schedule']}, not {asdict(schedule)}")
    form.load_state_dict(state["model"])
    optimiser.load_state_dict(state["optimiser"])
    return int(state["step"])
