"""What the meter counts in a region, and the beats that follow from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SCALAR = ("alu", "mul", "div", "load", "store", "branch", "jump", "float", "system")
CONFIGURATION = "vset"
VECTOR_MEMORY = ("vload", "vstore")
VECTOR_ARITHMETIC = ("vadd", "vmul", "vdiv", "vlogic", "vcompare", "vmove", "vperm", "vred", "vmask")
VECTOR = (*VECTOR_MEMORY, *VECTOR_ARITHMETIC)
CLASSES = (*SCALAR, CONFIGURATION, *VECTOR)
"""The classes of plugin/decode.h, which says what is in each; its `unknown` never gets this far."""
GROUPS = 7
"""Sizes of vector operations: EMUL 1/8, 1/4, 1/2, 1, 2, 4, 8."""


class MeterError(RuntimeError):
    """Counts that cannot be had or trusted; one line."""


@dataclass(frozen=True)
class Counts:
    """One region, all its entries together.

    ``groups`` has vector operations by EMUL, the largest among destination and sources; ``elements`` the accesses of
    strided, indexed and segment loads and stores, VLMAX for each register group (``vl`` is not known to the emulator's
    plugins: a partial vector counts like a whole one). Bytes and misses are 0 where no caches were modelled.
    """

    entries: int
    instructions: Mapping[str, int]
    groups: Mapping[str, tuple[int, ...]]
    elements: Mapping[str, int]
    loaded: int
    stored: int
    l1_misses: int
    l2_misses: int

    @property
    def total(self) -> int:
        """Instructions of all classes."""
        return sum(self.instructions.values())

    def beats(self, vlen: int, dlen: int) -> dict[str, int]:
        """Per vector class the sum of ceil(VLEN * EMUL / DLEN), and one beat per element where accesses are single."""
        each = [-(-vlen * (1 << group) // (8 * dlen)) for group in range(GROUPS)]
        return {
            name: sum(n * beats for n, beats in zip(self.groups[name], each, strict=True)) + self.elements[name]
            for name in VECTOR
        }

    def arithmetic_beats(self, vlen: int, dlen: int) -> int:
        beats = self.beats(vlen, dlen)
        return sum(beats[name] for name in VECTOR_ARITHMETIC)

    def memory_beats(self, vlen: int, dlen: int) -> int:
        beats = self.beats(vlen, dlen)
        return sum(beats[name] for name in VECTOR_MEMORY)

    def as_json(self) -> dict[str, Any]:
        """Plain values, classes that did not occur left out."""
        return {
            "entries": self.entries,
            "instructions": {name: n for name, n in self.instructions.items() if n},
            "groups": {name: list(n) for name, n in self.groups.items() if any(n)},
            "elements": {name: n for name, n in self.elements.items() if n},
            "loaded": self.loaded,
            "stored": self.stored,
            "l1_misses": self.l1_misses,
            "l2_misses": self.l2_misses,
        }


def read_report(report: Mapping[str, Any]) -> dict[int, Counts]:
    """Regions by number, from the plugin's JSON. MeterError where the plugin found the counts to be worthless."""
    if report["fault"]:
        raise MeterError(report["fault"])
    regions: dict[int, Counts] = {}
    for entry in report["regions"]:
        if unknown := entry["instructions"].get("unknown"):
            raise MeterError(f"region {entry['region']} executed {unknown} instructions that the meter does not know")
        regions[entry["region"]] = Counts(
            entry["entries"],
            {name: entry["instructions"][name] for name in CLASSES},
            {name: tuple(entry["groups"][name]) for name in VECTOR},
            {name: entry["elements"][name] for name in VECTOR},
            entry["loaded"],
            entry["stored"],
            entry["l1_misses"],
            entry["l2_misses"],
        )
    return regions
