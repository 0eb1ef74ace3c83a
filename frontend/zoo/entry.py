"""What the zoo knows about a network besides its module: how a picture becomes its input, what its output means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from ir.records import Head, Picture


@dataclass(frozen=True)
class ZooEntry:
    """One network by name: `factory` makes the module, `input_shape` is its NCHW input for one picture."""

    name: str
    factory: Callable[[], nn.Module]
    input_shape: tuple[int, ...]
    picture: Picture
    head: Head
    description: str
