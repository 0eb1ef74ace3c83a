"""Seeded weights for networks of the zoo whose trained ones nobody brings along."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from frontend.zoo import ENTRIES

PICTURES = 2
"""What batch norms take their statistics from."""


def seeded_state(name: str, seed: int = 0) -> dict[str, Tensor]:
    """A state dict of the zoo's module ``name``: weights as trainers start with (He et al., 2015), batch norms of gains
    around 1 whose statistics are those of the activations they normalise, so that ranges are as in a trained network.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        entry = ENTRIES[name]
        module = entry.factory()
        for part in module.modules():
            if isinstance(part, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(part.weight)
            if isinstance(part, nn.BatchNorm2d):
                nn.init.uniform_(part.weight, 0.5, 1.5)
                nn.init.normal_(part.bias, 0.0, 0.2)
                part.momentum = None  # the mean of what is seen
        with torch.no_grad():
            module.train()(torch.randn((PICTURES, *entry.input_shape[1:])))
    return {key: value.clone() for key, value in module.state_dict().items()}
