"""What a stage of the pipeline is, and the streams between stages."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from math import prod
from typing import Any, Literal

from hls.heterocl import hcl
from hls.resources.model import counter_nest, fifo, total
from ir.target import Resources

Tensor = Any
"""A HeteroCL tensor, of whichever HeteroCL is in use."""

Banks = tuple[Tensor, int]
"""A memory and the dimension (1-based, 0 = all) that is split into separate registers or banks."""

WORD_BITS = 64
"""The widest stream word: what both HeteroCL's constants and a DMA port carry."""

CONSTANT_BITS = 32
"""Of a Python integer in HeteroCL."""


@dataclass(frozen=True)
class Wire:
    """A stream of unsigned words: ``shape`` is (rows, columns, groups), written and read once in this order.

    A raster wire has one word per pixel and group of ``lanes`` channels. A pair wire (``pixels`` 2) has two horizontal
    neighbours in each word, the left one in the low half. Lanes hold two's complement of ``bits`` bits; bipolar
    ones a bit that is set for +1 and count as unsigned, so that whatever only moves or compares them need not know.
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
    bipolar: bool = False

    @property
    def shape(self) -> tuple[int, int, int]:
        return (self.rows, self.columns, self.groups)

    @property
    def word_bits(self) -> int:
        return self.pixels * self.lanes * self.bits

    @property
    def words(self) -> int:
        return prod(self.shape)


MemoryStyle = Literal["auto", "lut", "bram", "uram"]
"""What a memory is made of; ``auto`` decides by its size."""

WeightStyle = Literal["auto", "lut", "bram", "uram", "streamed"]
"""Where weights are: a ROM, or outside (`hls.layers.weights`)."""


@dataclass(frozen=True)
class Hints:
    """What a stage asks of the vendor's tool: the kind of multiplier of its packed products (None: the tool's choice),
    and the style of its memories by name; those not named are ``auto``."""

    multiply: Literal["dsp", "fabric"] | None = None
    memories: Mapping[str, MemoryStyle] = field(default_factory=dict)


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
        """What every stage has: loop counters, the streams that it writes, a register for each word read or written,
        and one LUT per bit written for choosing it."""
        wires = (*self.sources, *self.targets)
        written = sum(w.word_bits for w in self.targets)
        return total(
            counter_nest(max((w.shape for w in wires), key=prod)),
            *(fifo(w.depth, w.word_bits) for w in self.targets),
            Resources(lut=written, ff=sum(w.word_bits for w in wires)),
        )

    @property
    def hints(self) -> Hints:
        """For the vendor post-pass (`hls.vendor`)."""
        return Hints()

    @property
    def note(self) -> str:
        """One line for the table of stages."""
        return type(self).__name__

    @property
    def drawing(self) -> tuple[str, ...]:
        """Lines that show how operands lie in the hardware, where there is something to see."""
        return ()


@contextmanager
def nest(tag: str, **extents: int) -> Iterator[tuple[Any, ...]]:
    """A perfect loop nest from zero, as the stage ``tag``: one loop per keyword, outermost first."""
    with ExitStack() as loops:
        (outer, rows), *inner = extents.items()
        variables = [loops.enter_context(hcl.for_(0, rows, tag=tag, name=outer))]
        variables += [loops.enter_context(hcl.for_(0, extent, name=name)) for name, extent in inner]
        yield tuple(variables)


def raster(wire: Wire, tag: str) -> AbstractContextManager[tuple[Any, ...]]:
    """The loops y, col, g over a wire's words, as the stage ``tag``."""
    return nest(tag, y=wire.rows, col=wire.columns, g=wire.groups)


def word_type(wire: Wire) -> Any:
    return hcl.UInt(wire.word_bits)


def signed_type(bits: int) -> Any:
    """Two's complement of ``bits`` bits, but at least two: HeteroCL extends one-bit values with zeros."""
    return hcl.Int(max(bits, 2))


def lane(word: Any, index: Any, bits: int, signed: bool, bipolar: bool = False) -> Any:
    """Lane ``index`` of a word: an integer of ``bits`` bits (unsigned ones get one spare bit).

    HeteroCL's C++ reads a signed cast of the word's own width as unsigned: a lone lane goes through a register.
    """
    shifted = word >> (index * bits)
    if bipolar:
        return hcl.select((shifted & 1) > 0, 1, -1)
    if not signed and bits < CONSTANT_BITS:
        return hcl.cast(hcl.UInt(bits + 1), shifted & ((1 << bits) - 1))
    if not signed:  # a mask of more bits is no constant of HeteroCL: a register drops what is above the lane
        return hcl.cast(hcl.UInt(bits + 1), hcl.scalar(shifted, "lone", dtype=hcl.UInt(bits)).v)
    if bits == 1:
        return hcl.select((shifted & 1) > 0, -1, 0)
    if bits == word.dtype.bits:
        return hcl.scalar(shifted, "lone", dtype=hcl.Int(bits)).v
    return hcl.cast(hcl.Int(bits), shifted)


def low_word(word: Any, wire: Wire) -> Any:
    """The low bits of a word, as a word of a narrower wire.

    One bit is masked: HeteroCL's C++ of a program without streams calls it bool, which is set by any other than zero.
    """
    return hcl.cast(word_type(wire), word & 1 if wire.word_bits == 1 else word)


def in_lane(value: Any, index: Any, bits: int, word: Any) -> Any:
    """``value`` moved to lane ``index`` of a word of type ``word``, all other bits zero.

    The lane stands in a register: HeteroCL's C++ declares casts signed and would extend its top bit into the others.
    """
    held = hcl.scalar(value if bits > 1 else value & 1, "lane", dtype=hcl.UInt(bits))
    return up(held.v, index * bits, word)


def up(value: Any, amount: Any, word: Any) -> Any:
    """``value << amount`` as a word of type ``word``, by way of at least three bits.

    HeteroCL compares the amount with the width in the word's own type, and two bits do not hold a 2 in its C++.
    """
    wide = hcl.UInt(max(word.bits, 3))
    return hcl.cast(word, hcl.cast(wide, value) << amount)
