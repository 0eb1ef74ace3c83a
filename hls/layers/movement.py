"""Stages that move words without changing values: memory ports, forks, joins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hls.heterocl import hcl
from hls.layers.stage import Banks, Stage, Tensor, in_lane, lane, raster, word_type
from hls.resources.model import mux
from ir.target import Resources


@dataclass(frozen=True)
class Load(Stage):
    """Reads the words of a tensor in memory (signed at the array boundary, as HeteroCL needs it) into a stream."""

    def trace(self, sources: Sequence[Tensor], targets: Sequence[Tensor]) -> Sequence[Banks]:
        with raster(self.targets[0], self.name) as (y, x, g):
            targets[0][y, x, g] = hcl.cast(word_type(self.targets[0]), sources[0][y, x, g])
        return ()

    @property
    def cycles(self) -> int:
        return self.targets[0].words


@dataclass(frozen=True)
class Store(Stage):
    """Writes the words of a stream to a tensor in memory."""

    port_bits: int = 64

    def trace(self, sources: Sequence[Tensor], targets: Sequence[Tensor]) -> Sequence[Banks]:
        with raster(self.sources[0], self.name) as (y, x, g):
            targets[0][y, x, g] = hcl.cast(hcl.Int(self.port_bits), sources[0][y, x, g])
        return ()

    @property
    def cycles(self) -> int:
        return self.sources[0].words


@dataclass(frozen=True)
class Fork(Stage):
    """Copies a stream to several readers."""

    def trace(self, sources: Sequence[Tensor], targets: Sequence[Tensor]) -> Sequence[Banks]:
        with raster(self.sources[0], self.name) as (y, x, g):
            v = hcl.scalar(sources[0][y, x, g], "v", dtype=word_type(self.sources[0]))
            for target in targets:
                target[y, x, g] = v.v
        return ()

    @property
    def cycles(self) -> int:
        return self.sources[0].words


@dataclass(frozen=True)
class Join(Stage):
    """Concatenates channels: for every pixel ``front`` words of zeros, all words of the first source, then all of the
    next, widened where the sources' lanes are narrower than the target's, and zeros up to the target's words."""

    front: int = 0

    def trace(self, sources: Sequence[Tensor], targets: Sequence[Tensor]) -> Sequence[Banks]:
        target = self.targets[0]
        with raster(target, self.name) as (y, x, g):
            v = hcl.scalar(0, "v", dtype=word_type(target))
            start = self.front
            for wire, source in zip(self.sources, sources, strict=True):
                own = hcl.and_(g >= start, g < start + wire.groups)
                if wire.bits == target.bits:
                    with hcl.if_(own):
                        v.v = source[y, x, g - start]
                else:
                    narrow = hcl.scalar(0, "narrow", dtype=word_type(wire))
                    with hcl.if_(own):
                        narrow.v = source[y, x, g - start]
                    with hcl.for_(0, wire.lanes, name="c") as c:
                        value = lane(narrow.v, c, wire.bits, wire.signed, wire.bipolar)
                        with hcl.if_(own):
                            v.v = v.v | in_lane(value, c, target.bits, word_type(target))
                start += wire.groups
            targets[0][y, x, g] = v.v
        return ()

    @property
    def cycles(self) -> int:
        return self.targets[0].words

    @property
    def resources(self) -> Resources:
        return super().resources + mux(len(self.sources), self.targets[0].word_bits)
