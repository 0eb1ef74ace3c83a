"""Networks known by name; a bare checkpoint is recognised by comparing its keys and shapes with these.

`ENTRIES` have a module that a checkpoint is loaded into; `FAMILIES` turn a state dict into integers at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from frontend.zoo import (
    cnv,
    fracbnn,
    fracbnn_imagenet,
    imagenet,
    mlperf_sound,
    mlperf_tiny,
    pokebnn,
    resnet,
    skynet,
    ultranet,
)
from frontend.zoo.entry import ZooEntry
from frontend.zoo.integers import IntegerFamily

__all__ = ["ENTRIES", "FAMILIES", "IntegerFamily", "ZooEntry"]

ENTRIES: Mapping[str, ZooEntry] = MappingProxyType(
    {
        entry.name: entry
        for entry in (
            *ultranet.ENTRIES,
            *resnet.ENTRIES,
            *skynet.ENTRIES,
            *mlperf_tiny.ENTRIES,
            *mlperf_sound.ENTRIES,
            *imagenet.ENTRIES,
        )
    }
)

FAMILIES: Mapping[str, IntegerFamily] = MappingProxyType(
    {family.name: family for family in (cnv.FAMILY, fracbnn.FAMILY, fracbnn_imagenet.FAMILY, pokebnn.FAMILY)}
)
