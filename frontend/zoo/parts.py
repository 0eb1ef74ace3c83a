"""Places where a float network of the zoo does what its quantised form has to round (`frontend.zoo.quantised`).

None of them has a state of its own, so that keys are those of the public float checkpoints.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Sum(nn.Module):
    """What a block computes, added to its shortcut."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x + y


class Join(nn.Module):
    """Channels of two tensors behind each other."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return torch.cat((x, y), dim=1)


class Bytes(nn.ReLU):
    """Values of a picture, 0..1."""


class Signed(nn.Identity):
    """A value of either sign that a convolution reads."""
