"""Networks known by name; a bare checkpoint is recognised by comparing its keys and shapes with these."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from frontend.zoo import resnet, skynet, ultranet
from frontend.zoo.entry import ZooEntry

__all__ = ["ENTRIES", "ZooEntry"]

ENTRIES: Mapping[str, ZooEntry] = MappingProxyType(
    {entry.name: entry for entry in (*ultranet.ENTRIES, *resnet.ENTRIES, *skynet.ENTRIES)}
)
