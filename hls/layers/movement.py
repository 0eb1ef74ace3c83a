"""Stages that move words without changing values: memory ports, padding, regrouping, forks, joins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hls.heterocl import alloc, hcl, note
from hls.layers.stage import Banks, Stage, Tensor, in_lane, lane, nest, raster, word_type
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
class Pad(Stage):
    """Surrounds a raster stream with zeros: (top, left) before the first row and column, the rest behind the last."""

    top: int = 0
    left: int = 0

    def trace(self, sources: Sequence[Tensor], targets: Sequence[Tensor]) -> Sequence[Banks]:
        rows, columns = self.sources[0].rows, self.sources[0].columns

        with raster(self.targets[0], self.name) as (y, x, g):
            v = hcl.scalar(0, "v", dtype=word_type(self.sources[0]))
            inside = hcl.and_(y >= self.top, y < self.top + rows, x >= self.left, x < self.left + columns)
            with hcl.if_(inside):
                v.v = sources[0][y - self.top, x - self.left, g]
            targets[0][y, x, g] = v.v
        return ()

    @property
    def cycles(self) -> int:
        return self.targets[0].words


@dataclass(frozen=True)
class PadPair(Stage):
    """Pads a raster stream with zeros and joins neighbouring pixels into one word, the left one in the low half."""

    top: int = 0
    left: int = 0

    def trace(self, sources: Sequence[Tensor], targets: Sequence[Tensor]) -> Sequence[Banks]:
        source, target = self.sources[0], self.targets[0]
        left = alloc((source.groups,), f"{self.name}_left", word_type(source))
        with nest(self.name, y=target.rows, j=target.columns, half=2, g=source.groups) as (y, j, half, g):
            v = hcl.scalar(0, "v", dtype=word_type(source))
            x = 2 * j + half
            inside = hcl.and_(y >= self.top, y < self.top + source.rows, x >= self.left, x < self.left + source.columns)
            with hcl.if_(inside):
                v.v = sources[0][y - self.top, x - self.left, g]
            with hcl.if_(half == 0):
                left[g] = v.v
            with hcl.else_():
                pair = word_type(target)
                targets[0][y, j, g] = hcl.cast(pair, left[g]) | (hcl.cast(pair, v.v) << source.word_bits)
        return ()

    @property
    def cycles(self) -> int:
        return 2 * self.targets[0].words


@dataclass(frozen=True)
class Unpair(Stage):
    """Takes pair words apart: both halves' groups in raster order; a last half beyond the row is dropped."""

    def trace(self, sources: Sequence[Tensor], targets: Sequence[Tensor]) -> Sequence[Banks]:
        source, target = self.sources[0], self.targets[0]
        right = alloc((source.groups,), f"{self.name}_right", word_type(target))
        with nest(self.name, y=source.rows, j=source.columns, half=2, g=source.groups) as (y, j, half, g):
            v = hcl.scalar(0, "v", dtype=word_type(target))
            with hcl.if_(half == 0):
                pair = hcl.scalar(sources[0][y, j, g], "pair", dtype=word_type(source))
                v.v = hcl.cast(word_type(target), pair.v)
                right[g] = hcl.cast(word_type(target), pair.v >> target.word_bits)
            with hcl.else_():
                v.v = right[g]
            with hcl.if_(2 * j + half < target.columns):
                targets[0][y, 2 * j + half, g] = v.v
        return ()

    @property
    def cycles(self) -> int:
        return 2 * self.sources[0].words


@dataclass(frozen=True)
class Split(Stage):
    """Fewer lanes per word: each word becomes several, its low lanes first."""

    def trace(self, sources: Sequence[Tensor], targets: Sequence[Tensor]) -> Sequence[Banks]:
        source, target = self.sources[0], self.targets[0]
        rest = alloc((2,), f"{self.name}_rest", word_type(source))
        ratio = target.groups // source.groups
        with nest(self.name, y=source.rows, x=source.columns, g=source.groups, k=ratio) as (y, x, g, k):
            with hcl.if_(k == 0):
                rest[0] = sources[0][y, x, g]
            v = hcl.scalar(rest[0], "v", dtype=word_type(source))
            targets[0][y, x, g * ratio + k] = hcl.cast(word_type(target), v.v)
            rest[0] = v.v >> target.word_bits
        return ()

    @property
    def pipelined(self) -> tuple[str, ...]:
        return ("k",)

    @property
    def cycles(self) -> int:
        return self.targets[0].words


@dataclass(frozen=True)
class Merge(Stage):
    """More lanes per word: several words become one, the first in the low lanes."""

    def trace(self, sources: Sequence[Tensor], targets: Sequence[Tensor]) -> Sequence[Banks]:
        source, target = self.sources[0], self.targets[0]
        ratio = source.groups // target.groups
        word = word_type(target)
        gathered = alloc((2,), f"{self.name}_gathered", word)
        with nest(self.name, y=source.rows, x=source.columns, g=target.groups, k=ratio) as (y, x, g, k):
            new = hcl.scalar(sources[0][y, x, g * ratio + k], "new", dtype=word_type(source))
            v = hcl.scalar(hcl.cast(word, new.v) << (k * source.word_bits), "v", dtype=word)
            with hcl.if_(k > 0):
                v.v = v.v | gathered[0]
            gathered[0] = v.v
            with hcl.if_(k == ratio - 1):
                targets[0][y, x, g] = v.v
        return ()

    @property
    def pipelined(self) -> tuple[str, ...]:
        return ("k",)

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
    """Concatenates channels: for every pixel all words of the first source, then all of the next, widened where the
    sources' lanes are narrower than the target's."""

    def trace(self, sources: Sequence[Tensor], targets: Sequence[Tensor]) -> Sequence[Banks]:
        target = self.targets[0]
        with raster(target, self.name) as (y, x, g):
            v = hcl.scalar(0, "v", dtype=word_type(target))
            start = 0
            for wire, source in zip(self.sources, sources, strict=True):
                with hcl.if_(hcl.and_(g >= start, g < start + wire.groups)):
                    if wire.bits == target.bits:
                        v.v = source[y, x, g - start]
                    else:
                        narrow = hcl.scalar(source[y, x, g - start], "narrow", dtype=word_type(wire))
                        with hcl.for_(0, wire.lanes, name="c") as c:
                            value = lane(narrow.v, c, wire.bits, wire.signed)
                            v.v = v.v | in_lane(value, c, target.bits, word_type(target))
                start += wire.groups
            targets[0][y, x, g] = v.v
        return ()

    @property
    def cycles(self) -> int:
        return self.targets[0].words


@dataclass(frozen=True)
class BlockToDepth(Stage):
    """Space-to-depth: gathers ``block`` rows, then emits each block as one pixel, sub-position major."""

    block: int = 2

    def trace(self, sources: Sequence[Tensor], targets: Sequence[Tensor]) -> Sequence[Banks]:
        source, target, b = self.sources[0], self.targets[0], self.block
        note(f"space to depth by {b}: output channels are (row in block, column in block, channel)")
        rows = alloc((b, target.columns, b, source.groups), f"{self.name}_rows", word_type(source))
        with hcl.for_(0, target.rows, tag=self.name, name="y") as y:
            with (
                hcl.for_(0, b, name="sy") as sy,
                hcl.for_(0, target.columns, name="x") as x,
                hcl.for_(0, b, name="sx") as sx,
                hcl.for_(0, source.groups, name="g") as g,
            ):
                rows[sy, x, sx, g] = sources[0][b * y + sy, b * x + sx, g]
            with (
                hcl.for_(0, target.columns, name="ox") as ox,
                hcl.for_(0, b, name="oy") as oy,
                hcl.for_(0, b, name="os") as os,
                hcl.for_(0, source.groups, name="og") as og,
            ):
                targets[0][y, ox, (b * source.groups) * oy + source.groups * os + og] = rows[oy, ox, os, og]
        return ()

    @property
    def pipelined(self) -> tuple[str, ...]:
        return ("g", "og")

    @property
    def cycles(self) -> int:
        return 2 * self.sources[0].words

    @property
    def resources(self) -> Resources:
        bits = self.block * self.sources[0].columns * self.sources[0].groups * self.sources[0].word_bits
        return super().resources + Resources(bram18=-(-bits // 18432))
