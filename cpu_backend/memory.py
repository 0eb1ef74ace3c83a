"""Static memory planning: which bytes of one arena every buffer gets, so that no two that live together overlap."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

ALIGNMENT = 64
MOVES = 100
"""Placements tried from each order."""
Placement = dict[str, int]
"""Byte offset of every buffer."""


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


ORDERS: tuple[Callable[[Lifetime], tuple[int, ...]], ...] = (
    lambda b: (-b.size,),
    lambda b: (-b.size * (b.last - b.first + 1),),
    lambda b: (b.first - b.last, -b.size),
    lambda b: (b.first, -b.size),
    lambda b: (-b.last, -b.size),
)
"""What is placed first: the largest, most bytes times steps, the longest-lived, in order of time, from the end."""


def aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def plan(buffers: Sequence[Lifetime]) -> Plan:
    """The smallest of several placements, none of which is better than ``lower_bound``.

    Buffers are placed one after another, each into the lowest gap between those it meets: in a few orders, and then,
    from each, with the buffer that reaches highest placed earlier and earlier.
    """
    bound = max_live(buffers)
    best: Placement = {}
    size = -1
    for key in ORDERS:
        order = sorted(buffers, key=lambda buffer: (*key(buffer), buffer.first, buffer.name))
        for _ in range(min(MOVES, len(order) + 1)):
            placed = _place(order)
            ends = [aligned(placed[buffer.name] + buffer.size) for buffer in order]
            if size < 0 or max(ends, default=0) < size:
                best, size = placed, max(ends, default=0)
            if size == bound:
                return Plan(best, size, bound)
            highest = ends.index(max(ends))
            order.insert(highest // 2, order.pop(highest))
    return Plan(best, size, bound)


def _place(order: Sequence[Lifetime]) -> Placement:
    placed: list[tuple[int, Lifetime]] = []
    for buffer in order:
        offset = 0
        for start, other in sorted(((o, b) for o, b in placed if b.meets(buffer)), key=lambda each: each[0]):
            if offset + buffer.size <= start:
                break
            offset = max(offset, aligned(start + other.size))
        placed.append((offset, buffer))
    return {buffer.name: offset for offset, buffer in placed}


def max_live(buffers: Sequence[Lifetime]) -> int:
    """Aligned bytes that are live together in the fullest step."""
    steps = {buffer.first for buffer in buffers}
    return max((sum(aligned(b.size) for b in buffers if b.first <= step <= b.last) for step in steps), default=0)
