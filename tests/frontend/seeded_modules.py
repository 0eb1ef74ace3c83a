"""Modules of the zoo with seeded weights, at sizes that tests can afford."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from frontend.steps import Steps
from frontend.zoo import ENTRIES, ZooEntry, entry_named
from ir.records import PictureHead


def seeded(entry: ZooEntry, seed: int = 1) -> nn.Module:
    """Weights of plausible size, batch norms that have an effect (a few with a negative gain), in evaluation mode."""
    torch.manual_seed(seed)
    module = entry.factory().eval()
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            assert part.running_mean is not None and part.running_var is not None
            part.running_mean.uniform_(-0.3, 0.3)
            part.running_var.uniform_(0.2, 1.5)
            part.weight.data.uniform_(0.4, 1.4)
            part.weight.data[::9] *= -1
            part.bias.data.uniform_(-0.2, 0.6)
        if isinstance(part, Steps):
            part.step.data *= 0.8 + 0.4 * torch.rand(())
        if isinstance(entry.head, PictureHead) and isinstance(part, nn.Conv2d) and part.bias is not None:
            part.bias.data.uniform_(0.1, 0.5)
    return module


def small(name: str, height: int, width: int) -> ZooEntry:
    """An entry of pictures for pictures of another size."""
    entry = ENTRIES.get(name) or entry_named(name)
    assert entry is not None and entry.picture is not None
    picture = replace(entry.picture, width=width, height=height)
    return replace(entry, picture=picture, input_shape=(1, 3, height, width))
