"""Weights that are not in the accelerator when it starts: read from the memory outside, over a port of their own.

`uram`: once a frame into UltraRAM, which holds no initial values, and from there in every step. `streamed`: again in
every step, for layers with few steps or little memory. Either way the convolution reads them from streams.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hls.heterocl import alloc, hcl, note
from hls.layers.stage import WORD_BITS, Banks, Hints, Stage, Tensor, Wire, nest, word_type
from hls.resources.model import PORT, ram, times, total
from ir.target import Resources
from ir.types import Ints

if TYPE_CHECKING:
    from hls.layers.convolution import Convolution

FedStyle = Literal["uram", "streamed"]
FED: tuple[FedStyle, ...] = ("uram", "streamed")


@dataclass(frozen=True)
class WeightFeed(Stage):
    """Source: a port with the weights in words. Targets: (1, positions, iterations), one word of each per iteration;
    the elements of the convolution's memory fill them one after the other."""

    convolution: Convolution = field(repr=False)
    style: FedStyle

    @staticmethod
    def of(convolution: Convolution, style: FedStyle) -> WeightFeed:
        """The feed of a convolution of more than one iteration a step."""
        name, positions = convolution.name, convolution.steps.positions
        bits, count = max(convolution.multiply.memory_bits, 2), convolution.memory_elements
        lanes = min(WORD_BITS // bits, count)
        ways = -(-count // lanes)
        shape = (ways, convolution.iterations, 1) if style == "uram" else (positions, convolution.iterations, ways)
        port = Wire(f"{name}_memory", *shape, lanes, bits, signed=True)
        targets = tuple(
            Wire(f"{name}_fed{way}", 1, positions, convolution.iterations, lanes, bits, signed=True)
            for way in range(ways)
        )
        return WeightFeed(f"{name}_feed", (port,), targets, convolution, style)

    @property
    def ways(self) -> int:
        """Words of an iteration."""
        return len(self.targets)

    @property
    def positions(self) -> int:
        return self.targets[0].columns

    @property
    def iterations(self) -> int:
        return self.targets[0].groups

    @property
    def port_bits(self) -> int:
        """Of a word in memory: the narrowest native integer."""
        return next(bits for bits in (8, 16, 32, 64) if bits >= self.targets[0].word_bits)

    @property
    def repeats(self) -> int:
        """How often in a frame the port brings all the words."""
        return 1 if self.style == "uram" else self.positions

    @property
    def words(self) -> Ints:
        """What the port brings each time, in order, as signed integers of ``port_bits``."""
        lanes, bits, made = self.targets[0].lanes, self.targets[0].bits, self.convolution
        padded = np.zeros((self.iterations, self.ways * lanes), np.int64)
        values = made.multiply.memory(made.arranged).reshape(self.iterations, -1)
        padded[:, : values.shape[1]] = values
        fields = padded.reshape(self.iterations, self.ways, lanes) & ((1 << bits) - 1)
        words = np.bitwise_or.reduce(fields << (bits * np.arange(lanes)), axis=-1)
        spare = WORD_BITS - self.port_bits  # two's complement of the port's width
        words = words << spare >> spare
        return np.asarray((words.T if self.style == "uram" else words).reshape(-1))

    @property
    def traffic(self) -> int:
        """Bytes a frame."""
        return self.sources[0].words * self.port_bits // 8

    @property
    def cycles(self) -> int:
        if self.style == "uram":
            return (self.ways + self.positions) * self.iterations
        return self.positions * self.iterations * self.ways

    @property
    def pipelined(self) -> tuple[str, ...]:
        return ("i",) if self.style == "uram" else ("q",)

    def trace(self, sources: Sequence[Tensor], targets: Sequence[Tensor]) -> Sequence[Banks]:
        return (self._kept if self.style == "uram" else self._passed)(sources[0], targets)

    def _kept(self, port: Tensor, targets: Sequence[Tensor]) -> Sequence[Banks]:
        word, ways = word_type(self.targets[0]), self.ways
        note(f"{self.name}: {ways} memories are filled one after the other, then read together in every step")
        memories = [alloc((self.iterations,), f"{self.name}_m{way}", word) for way in range(ways)]
        with nest(self.name, p=ways + self.positions, i=self.iterations) as (p, i):
            fresh = hcl.scalar(0, "fresh", dtype=word)
            with hcl.if_(p < ways):
                fresh.v = hcl.cast(word, port[p, i, 0])
            for way, (memory, target) in enumerate(zip(memories, targets, strict=True)):
                with hcl.if_(p == way):
                    memory[i] = fresh.v
                with hcl.if_(p >= ways):
                    target[0, p - ways, i] = memory[i]
        return ()

    def _passed(self, port: Tensor, targets: Sequence[Tensor]) -> Sequence[Banks]:
        word = word_type(self.targets[0])
        with nest(self.name, p=self.positions, i=self.iterations, q=self.ways) as (p, i, q):
            fresh = hcl.scalar(hcl.cast(word, port[p, i, q]), "fresh", dtype=word)
            for way, target in enumerate(targets):
                with hcl.if_(q == way):
                    target[0, p, i] = fresh.v
        return ()

    @property
    def resources(self) -> Resources:
        memory = ram(self.iterations, self.targets[0].word_bits, "uram") if self.style == "uram" else Resources()
        return total(super().resources, times(self.ways, memory), PORT)

    @property
    def hints(self) -> Hints:
        names = [f"{self.name}_m{way}" for way in range(self.ways)] if self.style == "uram" else []
        return Hints(memories=dict.fromkeys(names, "uram"))

    @property
    def note(self) -> str:
        often = "once a frame, kept in UltraRAM" if self.style == "uram" else f"{self.positions} times a frame"
        return f"{self.ways * self.iterations} words of weights from memory, {often}"


class FedRegisters:
    """An iteration's weights in registers, indexed like a ROM of all of them."""

    def __init__(self, registers: Tensor, shape: tuple[int, ...]) -> None:
        self._registers, self._shape = registers, shape

    @property
    def size(self) -> int:
        return prod(self._shape)

    def __getitem__(self, place: tuple[Any, ...]) -> Any:
        """``place`` begins with group, output group and reduction, which are the iteration's."""
        index: Any = 0
        for extent, at in zip(self._shape, place[3:], strict=True):
            index = index * extent + at
        return self._registers[index]
