"""Quantisers of the networks we train and import, as torch modules.

Each quantiser is *one* custom operator, so that `torch.export` keeps it as one node whose meaning the importer
reads directly, instead of a chain of `tanh`, `div` and `round` which it would have to recognise. All operators have
straight-through gradients: `round` counts as the identity, everything around it is differentiated as it stands.

The weight and activation quantisers are those of DoReFa-Net (Zhou et al., arXiv:1606.06160), in the signed variant of
UltraNet; `batch_norm_eps_outside` is the batch normalisation of UltraNet's published integer form.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name
from torch import Tensor, nn


@torch.library.custom_op("hetero::quantize_weight_tanh", mutates_args=())
def quantize_weight_tanh(w: Tensor, bits: int) -> Tensor:
    """Symmetric per-tensor weights in {-1, ..., 0, ..., 1}, `2^bits - 1` levels: `tanh`, divide by the largest, round.

    Shape as `w`; bits >= 2 (at one bit the step `1 / (2^(bits-1) - 1)` is infinite).
    """
    levels = 2 ** (bits - 1) - 1
    w = torch.tanh(w)
    quantised: Tensor = torch.round(w / w.abs().max() * levels) / levels
    return quantised


@quantize_weight_tanh.register_fake
def _(w: Tensor, bits: int) -> Tensor:
    return torch.empty_like(w)


def _weight_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(inputs[0])


def _weight_backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
    (w,) = ctx.saved_tensors
    t = torch.tanh(w)
    largest = t.abs().max()
    # d(t_i / m): every weight moves itself, and the largest one (equal ones share) moves the scale of all.
    owners = t.abs() == largest
    d_largest = -(grad * t).sum() / largest**2
    d_tanh = grad / largest + owners * t.sign() * d_largest / owners.sum()
    return d_tanh * (1 - t * t), None


quantize_weight_tanh.register_autograd(_weight_backward, setup_context=_weight_context)


@torch.library.custom_op("hetero::quantize_activation", mutates_args=())
def quantize_activation(x: Tensor, bits: int) -> Tensor:
    """Unsigned activations in {0, ..., 1}, `2^bits` levels: clamp to [0, 1], round. Shape as `x`."""
    levels = 2**bits - 1
    return x.clamp(0, 1).mul_(levels).round_().div_(levels)


@quantize_activation.register_fake
def _(x: Tensor, bits: int) -> Tensor:
    return torch.empty_like(x)


def _activation_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(inputs[0])


def _activation_backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
    (x,) = ctx.saved_tensors
    return torch.ops.aten.hardtanh_backward(grad, x, 0.0, 1.0), None  # passes inside (0, 1), one pass over memory


quantize_activation.register_autograd(_activation_backward, setup_context=_activation_context)


@torch.library.custom_op("hetero::batch_norm_eps_outside", mutates_args=())
def batch_norm_eps_outside(x: Tensor, mean: Tensor, var: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """Batch normalisation by stored statistics with eps *outside* the root: `weight / (sqrt(var) + eps)`.

    `x` is [N, C, H, W], the others [C]. For a channel that is nearly dead (var about eps) this differs from torch's
    `sqrt(var + eps)` by orders of magnitude.
    """
    scale = weight / (var.sqrt() + eps)
    offset = bias - mean * scale
    return x * scale[:, None, None] + offset[:, None, None]


@batch_norm_eps_outside.register_fake
def _(x: Tensor, mean: Tensor, var: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    return torch.empty_like(x)


def _norm_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, mean, var, weight, _, ctx.eps = inputs
    ctx.save_for_backward(x, mean, var, weight)


def _norm_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    # The statistics are constants here: this operator stands for evaluation and for training with them frozen.
    x, mean, var, weight = ctx.saved_tensors
    inverse = 1 / (var.sqrt() + ctx.eps)
    d_bias = grad.sum((0, 2, 3))
    d_weight = ((grad * x).sum((0, 2, 3)) - mean * d_bias) * inverse
    return grad * (weight * inverse)[:, None, None], None, None, d_weight, d_bias, None


batch_norm_eps_outside.register_autograd(_norm_backward, setup_context=_norm_context)


@torch.library.custom_op("hetero::space_to_depth", mutates_args=())
def space_to_depth(x: Tensor, block: int) -> Tensor:
    """[N, C, H, W] -> [N, block^2 * C, H / block, W / block]; output channel `(sy * block + sx) * C + c`.

    Sub-position major, unlike `torch.nn.functional.pixel_unshuffle`, which is channel major. H and W must be multiples
    of `block` (RuntimeError otherwise).
    """
    n, c, h, w = x.shape
    x = x.reshape(n, c, h // block, block, w // block, block)
    # permute alone may return a view of the input, which a custom operator must not
    return x.permute(0, 3, 5, 1, 2, 4).reshape(n, block * block * c, h // block, w // block).clone()


@space_to_depth.register_fake
def _(x: Tensor, block: int) -> Tensor:
    n, c, h, w = x.shape
    return x.new_empty(n, block * block * c, h // block, w // block)


def _depth_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.shape, ctx.block = inputs[0].shape, inputs[1]


def _depth_backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
    n, c, h, w = ctx.shape
    b = ctx.block
    return grad.reshape(n, b, b, c, h // b, w // b).permute(0, 3, 4, 1, 5, 2).reshape(n, c, h, w), None


space_to_depth.register_autograd(_depth_backward, setup_context=_depth_context)


class QuantConv2d(nn.Conv2d):
    """`nn.Conv2d` whose weights pass `quantize_weight_tanh`; the bias, where there is one, stays float."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        *,
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] | str = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = False,
        bits: int = 4,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias)
        self.bits = bits

    def forward(self, input: Tensor) -> Tensor:
        weight: Tensor = quantize_weight_tanh(self.weight, self.bits)
        y: Tensor = self._conv_forward(input, weight, self.bias)
        return y


class QuantLinear(nn.Linear):
    """`nn.Linear` whose weights pass `quantize_weight_tanh`; the bias stays float."""

    def __init__(self, in_features: int, out_features: int, bias: bool = True, *, bits: int = 8) -> None:
        super().__init__(in_features, out_features, bias)
        self.bits = bits

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, quantize_weight_tanh(self.weight, self.bits), self.bias)


class QuantActivation(nn.Module):
    """`quantize_activation` as a module."""

    def __init__(self, bits: int = 4) -> None:
        super().__init__()
        self.bits = bits

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = quantize_activation(x, self.bits)
        return y


class BatchNorm2d(nn.Module):
    """Batch statistics in training, as torch's; `batch_norm_eps_outside` in evaluation.

    State-dict keys are torch's without `num_batches_tracked`, which the published checkpoints lack and which is
    dropped where a checkpoint carries it.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, *, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.eps = eps
        self.momentum = momentum
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            return F.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, True, self.momentum, self.eps
            )
        y: Tensor = batch_norm_eps_outside(x, self.running_mean, self.running_var, self.weight, self.bias, self.eps)
        return y

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        state_dict.pop(prefix + "num_batches_tracked", None)
        super()._load_from_state_dict(state_dict, prefix, *args)


class SpaceToDepth(nn.Module):
    """`space_to_depth` as a module."""

    def __init__(self, block: int = 2) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = space_to_depth(x, self.block)
        return y
