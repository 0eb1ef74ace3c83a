"""Quantisers by a step, as torch modules: fixed steps of known distributions, and steps that training learns.

Each is *one* custom operator, as in `frontend.quantisers`. Fixed steps are those that lose least of normally
distributed values: half-wave Gaussian activations (Cai et al., HWGQ, arXiv:1702.00953) and Gaussian weights in units of
their deviation, as in mixed-precision search (Cai and Vasconcelos, EdMIPS, arXiv:2004.05795). Learned steps have the
gradient of LSQ (Esser et al., arXiv:1902.08153).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

GAUSSIAN_STEPS = {1: 1.596, 2: 0.996, 3: 0.586, 4: 0.336, 5: 0.190, 6: 0.106, 7: 0.059, 8: 0.032}
"""By bits: the step for weights of deviation 1, as EdMIPS's networks have it."""
HALF_WAVE_STEPS = {1: 0.799, 2: 0.538, 3: 0.3217, 4: 0.185, 5: 0.104, 6: 0.058, 7: 0.033, 8: 0.019}
"""By bits: the step for the positive half of a normal distribution."""


@torch.library.custom_op("hetero::quantize_weight_gaussian", mutates_args=())
def quantize_weight_gaussian(w: Tensor, bits: int) -> Tensor:
    """``step * clamp(round(w / step), -2^(bits-1), 2^(bits-1) - 1)``, the step `GAUSSIAN_STEPS` times w's deviation."""
    step = GAUSSIAN_STEPS[bits] * w.std()
    half = 2 ** (bits - 1)
    return torch.clamp(torch.round(w / step), -half, half - 1) * step


@quantize_weight_gaussian.register_fake
def _(w: Tensor, bits: int) -> Tensor:
    return torch.empty_like(w)


def _no_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    pass


def _straight(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
    return grad, None


quantize_weight_gaussian.register_autograd(_straight, setup_context=_no_context)


@torch.library.custom_op("hetero::quantize_step", mutates_args=())
def quantize_step(x: Tensor, step: Tensor, lo: int, hi: int) -> Tensor:
    """``step * clamp(round(x / step), lo, hi)``; ``step`` is one number."""
    return torch.clamp(torch.round(x / step), lo, hi) * step


@quantize_step.register_fake
def _(x: Tensor, step: Tensor, lo: int, hi: int) -> Tensor:
    return torch.empty_like(x)


def _step_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, step, ctx.lo, ctx.hi = inputs
    ctx.save_for_backward(x, step)


def _step_backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:
    x, step = ctx.saved_tensors
    t = x / step
    inside = (t >= ctx.lo) & (t <= ctx.hi)
    # LSQ, equation 3; its section 2.2 scales the gradient by the number of values and levels.
    slope = torch.where(inside, torch.round(t) - t, t.clamp(ctx.lo, ctx.hi))
    scale = (x.numel() * max(ctx.hi, 1)) ** -0.5
    return grad * inside, (grad * slope).sum().reshape(step.shape) * scale, None, None


quantize_step.register_autograd(_step_backward, setup_context=_step_context)


class Steps(nn.Module):
    """Levels ``lo..hi`` of a step that training learns: ``step`` is a parameter."""

    step: Tensor

    def __init__(self, bits: int, signed: bool = False, step: float = 0.1) -> None:
        super().__init__()
        self.lo, self.hi = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
        self.step = nn.Parameter(torch.tensor(step))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = quantize_step(x, self.step, self.lo, self.hi)
        return y


class HalfWave(nn.Module):
    """Unsigned levels of a fixed step (`HALF_WAVE_STEPS`), which is in no state dict."""

    step: Tensor

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.hi = (1 << bits) - 1
        self.register_buffer("step", torch.tensor(HALF_WAVE_STEPS[bits]), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = quantize_step(x, self.step, 0, self.hi)
        return y


class GaussianConv2d(nn.Conv2d):
    """`nn.Conv2d` whose weights pass `quantize_weight_gaussian`; ``bits``: theirs, set after it is made."""

    bits: int = 4

    def forward(self, input: Tensor) -> Tensor:
        y: Tensor = self._conv_forward(input, quantize_weight_gaussian(self.weight, self.bits), self.bias)
        return y


class GaussianLinear(nn.Linear):
    """`nn.Linear` whose weights pass `quantize_weight_gaussian`."""

    bits: int = 8

    def forward(self, input: Tensor) -> Tensor:
        return nn.functional.linear(input, quantize_weight_gaussian(self.weight, self.bits), self.bias)
