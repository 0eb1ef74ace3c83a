"""What a stage of the pipeline is, and the streams between stages."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any

from hls.heterocl import hcl
from ir.target import Resources

Tensor = Any
"""A HeteroCL tensor, of whichever HeteroCL is in use."""

Banks = tuple[Tensor, int]
"""A memory and the dimension (1-based, 0 = all) that is split into separate registers or banks."""

WORD_BITS = 64
"""The widest stream word: what both HeteroCL's constants and a DMA port carry."""


@dataclass(frozen=True)
class Wire:
    """A stream of unsigned words: ``shape`` is (rows, columns, groups), written and read once in this order.

    A raster wire has one word per pixel and group of ``lanes`` channels. A pair wire (``pixels`` 2) has two horizontal
    neighbours in each word, the left one in the low half. Lanes hold two's complement of ``bits`` bits.
    """

    name: str
    rows: int
    columns: int
    groups: int
    lanes: int
    bits: int
    signed: bool
    pixels: int = 1
    depth: int = 2

    @property
    def shape(self) -> tuple[int, int, int]:
        return (self.rows, self.columns, self.groups)

    @property
    def word_bits(self) -> int:
        return self.pixels * self.lanes * self.bits

    @property
    def words(self) -> int:
        return prod(self.shape)

    @property
    def fifo_bram18(self) -> int:
        """Block RAMs of the stream's FIFO; up to 32 words stay in shift registers."""
        return -(-self.word_bits // 36) * -(-self.depth // 512) if self.depth > 32 else 0


@dataclass(frozen=True)
class Stage(ABC):
    """One dataflow stage: a loop nest that reads its sources and writes its targets once, in order.

    ``sources`` and ``targets`` are wires; a subclass says what happens between them.
    """

    name: str
    sources: tuple[Wire, ...]
    targets: tuple[Wire, ...]

    @abstractmethod
    def trace(self, sources: Sequence[Tensor], targets: Sequence[Tensor]) -> Sequence[Banks]:
        """Write the stage's HeteroCL statements under the tag ``name``; the memories to split into registers."""

    @property
    def pipelined(self) -> tuple[str, ...]:
        """The loops that start an iteration every cycle; what is inside them is unrolled."""
        return ("g",)

    @property
    @abstractmethod
    def cycles(self) -> int:
        """Cycles per frame in steady state, at an initiation interval of one."""

    @property
    def resources(self) -> Resources:
        """First estimate; stages that only move words cost some registers and a multiplexer, deep streams block RAM."""
        lut = 60 + 2 * sum(w.word_bits for w in (*self.sources, *self.targets))
        return Resources(lut=lut, bram18=sum(w.fifo_bram18 for w in self.targets))

    @property
    def note(self) -> str:
        """One line for the table of stages."""
        return type(self).__name__


@contextmanager
def nest(tag: str, **extents: int) -> Iterator[tuple[Any, ...]]:
    """A perfect loop nest from zero, as the stage ``tag``: one loop per keyword, outermost first."""
    with ExitStack() as loops:
        (outer, rows), *inner = extents.items()
        variables = [loops.enter_context(hcl.for_(0, rows, tag=tag, name=outer))]
        variables += [loops.enter_context(hcl.for_(0, extent, name=name)) for name, extent in inner]
        yield tuple(variables)


def raster(wire: Wire, tag: str) -> AbstractContextManager[tuple[Any, ...]]:
    """The loops y, x, g over a wire's words, as the stage ``tag``."""
    return nest(tag, y=wire.rows, x=wire.columns, g=wire.groups)


def word_type(wire: Wire) -> Any:
    return hcl.UInt(wire.word_bits)


def signed_type(bits: int) -> Any:
    """Two's complement of ``bits`` bits, but at least two: HeteroCL extends one-bit values with zeros."""
    return hcl.Int(max(bits, 2))


def lane(word: Any, index: Any, bits: int, signed: bool) -> Any:
    """Lane ``index`` of a word: an integer of ``bits`` bits (unsigned ones get one spare bit)."""
    shifted = word >> (index * bits)
    if not signed:
        return hcl.cast(hcl.UInt(bits + 1), shifted & ((1 << bits) - 1))
    return hcl.cast(hcl.Int(bits), shifted) if bits > 1 else hcl.select((shifted & 1) > 0, -1, 0)


def in_lane(value: Any, index: Any, bits: int, word: Any) -> Any:
    """``value`` moved to lane ``index`` of a word of type ``word``, all other bits zero."""
    return hcl.cast(word, hcl.cast(hcl.UInt(bits), value)) << (index * bits)
