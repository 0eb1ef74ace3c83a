"""What the zoo knows about a network besides its module: what its input is, what its output means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import nn

from ir.records import ClassifierHead, Head, Picture

State = Mapping[str, torch.Tensor]


def _as_it_is(entry: ZooEntry, state: State) -> ZooEntry:
    return entry


@dataclass(frozen=True)
class ZooEntry:
    """One network by name: `factory` makes the module, `input_shape` is that of one input, with a batch of 1.

    The input is a ``picture`` (NCHW), or else a plain tensor of real values. Without a ``head`` the output is a plain
    tensor, too. ``fit`` gives the entry in the sizes of a state dict, which may be any: one that it does not know stays
    as it is. Besides shapes it may hold what the module was made with (`frontend.checkpoint.SETTINGS`). ``landmark``: a
    key that the network has in any size and few others have, so that most modules need not be made to recognise one.
    """

    name: str
    factory: Callable[..., nn.Module]
    input_shape: tuple[int, ...]
    picture: Picture | None
    head: Head | None
    description: str
    fit: Callable[[ZooEntry, State], ZooEntry] = _as_it_is
    landmark: str = ""

    def may_fit(self, state: State) -> bool:
        """False for a state that cannot be this network's; makes no module."""
        return not self.landmark or self.landmark in state

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The module's state by key, made without memory for it."""
        with torch.device("meta"):
            return {key: tuple(value.shape) for key, value in self.factory().state_dict().items()}

    def sized(self, state: State) -> ZooEntry:
        """The entry in the sizes that the state has, where these are free."""
        return self.fit(self, state)

    def with_classes(self, count: int) -> ZooEntry:
        """The same with so many classes; other numbers than the usual one have no names."""
        known = self.head.labels if isinstance(self.head, ClassifierHead) else ()
        labels = known if count == len(known) else tuple(f"class {n}" for n in range(count))
        return replace(self, head=ClassifierHead(labels))


def classes_of(key: str) -> Callable[[ZooEntry, State], ZooEntry]:
    """For `ZooEntry.fit`: the tensor ``key`` has a row for each class, and the factory takes their number."""

    def fit(entry: ZooEntry, state: State) -> ZooEntry:
        rows = state.get(key)
        if rows is None or rows.ndim == 0:
            return entry
        count = int(rows.shape[0])
        return replace(entry.with_classes(count), factory=partial(entry.factory, count))

    return fit
