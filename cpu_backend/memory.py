"""Static memory planning: which bytes of one arena every buffer gets, so that no two that live together overlap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

ALIGNMENT = 64


@dataclass(frozen=True)
class Lifetime:
    """A buffer of ``size`` bytes, written first in step ``first`` and read last in step ``last`` (inclusive)."""

    name: str
    size: int
    first: int
    last: int

    def __post_init__(self) -> None:
        if self.size < 1 or self.last < self.first:
            raise ValueError(f"buffer '{self.name}' of {self.size} bytes lives from {self.first} to {self.last}")

    def meets(self, other: Lifetime) -> bool:
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class Plan:
    """Byte offset of every buffer in an arena of ``size`` bytes; no arena is smaller than ``lower_bound``."""

    offsets: Mapping[str, int]
    size: int
    lower_bound: int


def aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def plan(buffers: Sequence[Lifetime]) -> Plan:
    """Places the largest buffers first, each into the lowest gap between those it meets."""
    placed: list[tuple[int, Lifetime]] = []
    for buffer in sorted(buffers, key=lambda b: (-b.size, b.first, b.name)):
        offset = 0
        for start, other in sorted(((o, b) for o, b in placed if b.meets(buffer)), key=lambda each: each[0]):
            if offset + buffer.size <= start:
                break
            offset = max(offset, aligned(start + other.size))
        placed.append((offset, buffer))
    size = max((aligned(offset + buffer.size) for offset, buffer in placed), default=0)
    return Plan({buffer.name: offset for offset, buffer in placed}, size, max_live(buffers))


def max_live(buffers: Sequence[Lifetime]) -> int:
    """Aligned bytes that are live together in the fullest step."""
    steps = {buffer.first for buffer in buffers}
    return max((sum(aligned(b.size) for b in buffers if b.first <= step <= b.last) for step in steps), default=0)
