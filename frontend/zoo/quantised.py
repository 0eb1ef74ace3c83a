"""The quantised form of the zoo's float networks: the same modules with quantisers in the places of some of them.

Weights pass `frontend.quantisers.quantize_weight_tanh`, activations have learned steps (`frontend.steps.Steps`). Keys
are the float network's and a ``.step`` for each quantiser, so a float checkpoint is where training starts. The first
convolution and dense layers keep 8-bit weights, as is usual (Zhou et al., arXiv:1606.06160, section 3); what is added
to something else is rounded to 8 bits or more.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from frontend.quantisers import QuantConv2d, QuantLinear
from frontend.steps import Steps
from frontend.zoo.entry import State, ZooEntry
from frontend.zoo.parts import Bytes, Join, Signed, Sum

WIDTHS_KEY = "quantised"
"""In the state dict: (2,) bits of weights and activations, so that a checkpoint says what it is."""
NAME = re.compile(r"(\w+)_w([2-8])a([2-8])")
FINE = 8
"""Bits of the first and the dense layers' weights, and of what is added."""


@dataclass(frozen=True)
class Bits:
    weights: int
    activations: int

    @property
    def sums(self) -> int:
        return max(FINE, self.activations)


class QuantSum(nn.Module):
    """Both operands on one grid, so that integers are added."""

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.grid = Steps(bits, signed=True)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        z: Tensor = self.grid(x) + self.grid(y)
        return z


class QuantJoin(nn.Module):
    """Both operands, which are not negative, on one grid."""

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.grid = Steps(bits)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return torch.cat((self.grid(x), self.grid(y)), dim=1)


def quantised(network: nn.Module, bits: Bits, centred: bool = False) -> nn.Module:
    """The network itself, with quantisers in place of the modules of `PARTS`; ``centred``: its pictures are less their
    mean."""
    first = True
    for name, module in list(network.named_modules()):
        make = PARTS.get(type(module))
        if make is None:
            continue
        parent, _, child = name.rpartition(".")
        if first and make is _convolution:
            made = _convolution(module, replace(bits, weights=FINE), Centred if centred else QuantConv2d)
            first = False
        else:
            made = make(module, bits)
        setattr(network.get_submodule(parent), child, made)
    network.register_buffer(WIDTHS_KEY, torch.tensor([bits.weights, bits.activations]))
    return network


class Centred(QuantConv2d):
    """The first convolution where a picture is less its mean: the picture has a grid of its own."""

    def __init__(self, *sizes: Any, **more: Any) -> None:
        super().__init__(*sizes, **more)
        self.grid = Steps(FINE, signed=True, step=2 / 127)

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(self.grid(input))


def _convolution(module: Any, bits: Bits, kind: type[QuantConv2d] = QuantConv2d) -> nn.Module:
    return kind(
        module.in_channels,
        module.out_channels,
        module.kernel_size,
        stride=module.stride,
        padding=module.padding,
        groups=module.groups,
        bias=module.bias is not None,
        bits=bits.weights,
    )


PARTS: Mapping[type[nn.Module], Callable[[Any, Bits], nn.Module]] = {
    nn.Conv2d: _convolution,
    nn.Linear: lambda m, bits: QuantLinear(m.in_features, m.out_features, m.bias is not None, bits=FINE),
    nn.ReLU: lambda m, bits: Steps(bits.activations),
    nn.ReLU6: lambda m, bits: Steps(bits.activations),
    Bytes: lambda m, bits: Steps(FINE, step=1 / 255),
    Sum: lambda m, bits: QuantSum(bits.sums),
    Join: lambda m, bits: QuantJoin(bits.activations),
    Signed: lambda m, bits: Steps(bits.sums, signed=True),
}


def with_bits(entry: ZooEntry, bits: Bits) -> ZooEntry:
    """The entry's quantised form; its checkpoints say their widths themselves."""
    return replace(
        entry,
        name=f"{entry.name}_w{bits.weights}a{bits.activations}",
        factory=partial(_made, entry.factory, bits, bool(entry.picture and entry.picture.mean)),
        description=entry.description.replace("float32", f"W{bits.weights}A{bits.activations}"),
        fit=partial(_fit, entry, bits),
    )


def _made(factory: Callable[..., nn.Module], bits: Bits, centred: bool) -> nn.Module:
    return quantised(factory(), bits, centred)


def _fit(source: ZooEntry, bits: Bits, entry: ZooEntry, state: State) -> ZooEntry:
    sized = with_bits(source.sized(state), bits_of(state) or bits)
    return replace(sized, fit=entry.fit)


def bits_of(state: State) -> Bits | None:
    """What a quantised network's checkpoint says; None for any other."""
    given = state.get(WIDTHS_KEY)
    numbers = [int(n) for n in given.flatten().tolist()] if given is not None else []
    return Bits(*numbers) if len(numbers) == 2 and all(2 <= n <= 8 for n in numbers) else None
