"""Networks known by name; a bare checkpoint is recognised by comparing its keys and shapes with these.

`ENTRIES` have a module that a checkpoint is loaded into; `FAMILIES` turn a state dict into integers at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from frontend.zoo import (
    cnv,
    espcn,
    fracbnn,
    fracbnn_imagenet,
    imagenet,
    mixed,
    mlperf_sound,
    mlperf_tiny,
    pokebnn,
    resnet,
    skynet,
    ultranet,
)
from frontend.zoo.entry import State, ZooEntry
from frontend.zoo.integers import IntegerFamily
from frontend.zoo.quantised import NAME, Bits, bits_of, with_bits

__all__ = ["ENTRIES", "FAMILIES", "IntegerFamily", "ZooEntry", "candidates", "entry_named"]

QUANTISABLE: Mapping[str, ZooEntry] = MappingProxyType(
    {
        entry.name: entry
        for entry in (
            *resnet.ENTRIES,
            *skynet.ENTRIES,
            *mlperf_tiny.ENTRIES,
            *imagenet.ENTRIES,
            *espcn.ENTRIES,
        )
    }
)
"""Networks of floats that have a quantised form, of any widths: called ``NAME_w4a4``."""

QUANTISED = ("resnet8", "resnet20", "resnet18", "mobilenet_v1_025", "mobilenet_v2", "skynet", "espcn")

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
            *espcn.ENTRIES,
            *mixed.ENTRIES,
            *(with_bits(QUANTISABLE[name], Bits(4, 4)) for name in QUANTISED),
        )
    }
)
"""By name; of the quantised forms one for each kind of network."""

FAMILIES: Mapping[str, IntegerFamily] = MappingProxyType(
    {family.name: family for family in (cnv.FAMILY, fracbnn.FAMILY, fracbnn_imagenet.FAMILY, pokebnn.FAMILY)}
)


def entry_named(name: str) -> ZooEntry | None:
    """The entry that a user means, quantised forms of any widths among them; None if there is none."""
    form = NAME.fullmatch(name)
    if name in ENTRIES or form is None or form[1] not in QUANTISABLE:
        return ENTRIES.get(name)
    return with_bits(QUANTISABLE[form[1]], Bits(int(form[2]), int(form[3])))


def candidates(state: State) -> list[ZooEntry]:
    """The entries that a checkpoint may belong to, in its sizes."""
    bits = bits_of(state)
    known = (with_bits(entry, bits) for entry in QUANTISABLE.values()) if bits else ENTRIES.values()
    return [entry.sized(state) for entry in known]
