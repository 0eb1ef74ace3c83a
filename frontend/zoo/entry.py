"""What the zoo knows about a network besides its module: how a picture becomes its input, what its output means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import nn

from ir.records import ClassifierHead, Head, Picture


@dataclass(frozen=True)
class ZooEntry:
    """One network by name: `factory` makes the module, `input_shape` is its input for one picture, NCHW.

    ``classes``: the key of the tensor that has a row for each class, if their number is free; `factory` takes it then.
    """

    name: str
    factory: Callable[..., nn.Module]
    input_shape: tuple[int, ...]
    picture: Picture
    head: Head
    description: str
    classes: str = ""

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The module's state by key, made without memory for it."""
        with torch.device("meta"):
            return {key: tuple(value.shape) for key, value in self.factory().state_dict().items()}

    def sized(self, state: Mapping[str, torch.Tensor]) -> ZooEntry:
        """The entry with as many classes as the state has, where that is free. Other numbers have no names."""
        rows = state.get(self.classes)
        if rows is None or rows.ndim == 0:
            return self
        known = self.head.labels if isinstance(self.head, ClassifierHead) else ()
        count = int(rows.shape[0])
        labels = known if count == len(known) else tuple(f"class {n}" for n in range(count))
        return replace(self, factory=partial(self.factory, count), head=ClassifierHead(labels), classes="")
