"""Multiplier blocks: signed port widths and accumulator width (vendor data sheets)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Geometry:
    """A signed ``wide`` x ``narrow`` multiplier with an accumulator of ``accumulator`` bits behind it."""

    name: str
    wide: int
    narrow: int
    accumulator: int


GEOMETRIES: Mapping[str, Geometry] = MappingProxyType(
    {
        g.name: g
        for g in (
            Geometry("dsp48e1", 25, 18, 48),
            Geometry("dsp48e2", 27, 18, 48),
            Geometry("dsp58", 27, 24, 58),
            Geometry("macc18", 18, 18, 48),
        )
    }
)
