"""Multiplier blocks, read from the data files in ``geometries/`` (one per block, with the vendor's document)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from hls.packing.ranges import PackingError, Range


@dataclass(frozen=True)
class Port:
    """Widths of an operand port for signed and for unsigned operands (equal only where the block has a mode bit)."""

    signed: int
    unsigned: int

    def holds(self, values: Range) -> bool:
        if values.lo >= 0 and values.hi < 1 << self.unsigned:
            return True
        return values.signed_bits <= self.signed

    def largest_unit(self, values: Range) -> int:
        """The largest factor u for which ``u * values`` still fits."""
        half = 1 << (self.signed - 1)
        low = half // -values.lo if values.lo < 0 else half << self.signed
        high = (half - 1) // values.hi if values.hi > 0 else half << self.signed
        if values.lo >= 0 and values.hi > 0:
            high = max(high, ((1 << self.unsigned) - 1) // values.hi)
        return min(low, high)


@dataclass(frozen=True)
class Multiplier:
    """One way to use a block: ``lanes`` multipliers with these ports; ``summed`` lanes have one common sum.

    ``accumulator`` bits behind each; ``addend``: a word can be added to the product inside the block; ``pre_adder``:
    width of an adder before a port, 0 if there is none.
    """

    ports: tuple[Port, Port]
    accumulator: int
    lanes: int = 1
    summed: bool = False
    pre_adder: int = 0
    addend: bool = True

    @property
    def name(self) -> str:
        size = f"{self.ports[0].signed}x{self.ports[1].signed}"
        return size if self.lanes == 1 else f"{self.lanes}x({size}) {'summed' if self.summed else 'separate'}"

    @property
    def terms(self) -> int:
        """Products that are added before anything can be read."""
        return self.lanes if self.summed else 1


@dataclass(frozen=True)
class Geometry:
    """A multiplier block; the first of ``multipliers`` is its full-width use."""

    name: str
    title: str
    source: str
    multipliers: tuple[Multiplier, ...]
    aliases: tuple[str, ...] = ()

    @property
    def wide(self) -> int:
        return self.multipliers[0].ports[0].signed

    @property
    def narrow(self) -> int:
        return self.multipliers[0].ports[1].signed

    @property
    def accumulator(self) -> int:
        return self.multipliers[0].accumulator


def parse_multiplier(data: Mapping[str, Any]) -> Multiplier:
    """A ``multipliers`` entry; TypeError names a key that is missing or unknown."""
    first, second = (Port(int(p["signed"]), int(p["unsigned"])) for p in data["ports"])
    return Multiplier((first, second), **{key: value for key, value in data.items() if key != "ports"})


def load_geometry(path: Path) -> Geometry:
    """PackingError naming the file if it is not a geometry."""
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        multipliers = tuple(parse_multiplier(entry) for entry in data["multipliers"])
        return Geometry(path.stem, data["title"], data["source"], multipliers, tuple(data.get("aliases", ())))
    except (KeyError, TypeError, ValueError, yaml.YAMLError) as error:
        raise PackingError(f"{path.name} is no multiplier geometry: {error}") from None


def find_geometry(name: str) -> Geometry:
    """By name or alias, in any case; PackingError lists what there is."""
    for geometry in GEOMETRIES.values():
        if name.lower() in (geometry.name, *geometry.aliases):
            return geometry
    raise PackingError(f"unknown multiplier '{name}' (allowed: {', '.join(GEOMETRIES)})")


GEOMETRIES: Mapping[str, Geometry] = MappingProxyType(
    {path.stem: load_geometry(path) for path in sorted((Path(__file__).parent / "geometries").glob("*.yaml"))}
)
