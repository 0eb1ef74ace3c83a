"""Stages that trade channels for pixels, or repeat pixels: space-to-depth, depth-to-space, nearest upsampling."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from hls.heterocl import alloc, hcl, note
from hls.layers.stage import Banks, Stage, Tensor, Wire, nest, word_type
from hls.resources.model import mux, ram, times
from ir.target import Resources


@dataclass(frozen=True)
class BlockStage(Stage):
    """Rearranges a row of ``block`` x ``block`` pixel blocks at a time, reading one row while writing the one before.

    The spatial side passes a row of blocks pixel row by pixel row, the deep side block by block. One loop nest serves
    both: of its counters (i, j, k), extents block, columns / block and block, the spatial side makes row i and block
    j * block + k, the deep side block i * (columns / block) + j and row k of it. Columns are rounded up to a multiple
    of the block. The two buffers swap at every row of blocks.
    """

    block: int = 2

    @property
    @abstractmethod
    def deep(self) -> Wire:
        """The side on which a block is one pixel."""

    @abstractmethod
    def buffer(self) -> tuple[int, ...]:
        """Shape of one buffer."""

    @property
    def steps(self) -> int:
        """Extent of j."""
        return -(-self.deep.columns // self.block)

    @property
    def groups(self) -> int:
        """Words per pixel on the spatial side."""
        return self.deep.groups // self.block**2

    def trace(self, sources: Sequence[Tensor], targets: Sequence[Tensor]) -> Sequence[Banks]:
        word, b = word_type(self.sources[0]), self.block
        even = alloc(self.buffer(), f"{self.name}_even", word)
        odd = alloc(self.buffer(), f"{self.name}_odd", word)
        extents = {"y": self.deep.rows + 1, "i": b, "j": self.steps, "k": b, "s": b, "g": self.groups}
        with nest(self.name, **extents) as (y, i, j, k, s, g):
            spatial, deep = j * b + k, i * self.steps + j
            read, write, source, target, stored, loaded = self.places(y, i, k, s, g, spatial, deep)
            v = hcl.scalar(0, "v", dtype=word)
            with hcl.if_(hcl.and_(y < self.deep.rows, read < self.deep.columns)):
                v.v = sources[0][source]
            out = hcl.scalar(0, "out", dtype=word)
            row = hcl.scalar(y, "row", dtype=hcl.UInt(32))
            with hcl.if_((row.v & 1) > 0):
                odd[stored] = v.v
                out.v = even[loaded]
            with hcl.else_():
                even[stored] = v.v
                out.v = odd[loaded]
            with hcl.if_(hcl.and_(y > 0, write < self.deep.columns)):
                targets[0][target] = out.v
        return ()

    @abstractmethod
    def places(self, y: Any, i: Any, k: Any, s: Any, g: Any, spatial: Any, deep: Any) -> tuple[Any, ...]:
        """Block columns read and written, then indices of source, target, buffer filled and buffer emptied."""

    @property
    def cycles(self) -> int:
        """One row of blocks more than there are: the last one is written while nothing is read."""
        return (self.deep.rows + 1) * self.block**3 * self.steps * self.groups

    @property
    def resources(self) -> Resources:
        words, bits = self.block**3 * self.steps * self.groups, self.deep.word_bits
        return super().resources + times(2, ram(words, bits)) + mux(2, bits)


@dataclass(frozen=True)
class BlockToDepth(BlockStage):
    """Space-to-depth: each block becomes one pixel, sub-position major."""

    @property
    def deep(self) -> Wire:
        return self.targets[0]

    def buffer(self) -> tuple[int, ...]:
        return (self.block, self.block * self.steps, self.block, self.groups)

    def trace(self, sources: Sequence[Tensor], targets: Sequence[Tensor]) -> Sequence[Banks]:
        note(f"space to depth by {self.block}: output channels are (row in block, column in block, channel)")
        return super().trace(sources, targets)

    def places(self, y: Any, i: Any, k: Any, s: Any, g: Any, spatial: Any, deep: Any) -> tuple[Any, ...]:
        b, groups = self.block, self.groups
        source = (y * b + i, spatial * b + s, g)
        target = (y - 1, deep, (k * b + s) * groups + g)
        return spatial, deep, source, target, (i, spatial, s, g), (k, deep, s, g)


@dataclass(frozen=True)
class DepthToBlock(BlockStage):
    """Depth-to-space: each pixel becomes a block; its words are sub-position major (dcr) or group major (crd)."""

    order: Literal["dcr", "crd"] = "dcr"

    @property
    def deep(self) -> Wire:
        return self.sources[0]

    def buffer(self) -> tuple[int, ...]:
        return (self.block * self.steps, self.block**2 * self.groups)

    def trace(self, sources: Sequence[Tensor], targets: Sequence[Tensor]) -> Sequence[Banks]:
        layout = {"dcr": "(row in block, column in block, channel)", "crd": "(channel, row in block, column in block)"}
        note(f"depth to space by {self.block}: input channels are {layout[self.order]}")
        return super().trace(sources, targets)

    def places(self, y: Any, i: Any, k: Any, s: Any, g: Any, spatial: Any, deep: Any) -> tuple[Any, ...]:
        b, groups = self.block, self.groups
        arriving = (k * b + s) * groups + g
        leaving = (i * b + s) * groups + g if self.order == "dcr" else g * (b * b) + i * b + s
        source = (y, deep, arriving)
        target = ((y - 1) * b + i, spatial * b + s, g)
        return deep, spatial, source, target, (deep, arriving), (spatial, leaving)


@dataclass(frozen=True)
class Repeat(Stage):
    """Nearest upsampling: a row is written as it arrives, every pixel ``factor`` times, and from a buffer afterwards.

    It reads a row of its source within the first of ``factor`` written ones; what comes in the meantime waits in the
    stream, which `hls.sizing` makes as deep as the pace needs.
    """

    factor: int = 2

    def trace(self, sources: Sequence[Tensor], targets: Sequence[Tensor]) -> Sequence[Banks]:
        source, f, word = self.sources[0], self.factor, word_type(self.sources[0])
        note(f"nearest upsampling by {f}: every pixel {f} times, every row {f} times")
        rows = alloc((source.columns, source.groups), f"{self.name}_row", word)
        extents = {"y": source.rows, "r": f, "col": source.columns, "s": f, "g": source.groups}
        with nest(self.name, **extents) as (y, r, col, s, g):
            v = hcl.scalar(0, "v", dtype=word)
            with hcl.if_(hcl.and_(r == 0, s == 0)):
                v.v = sources[0][y, col, g]
                rows[col, g] = v.v
            with hcl.else_():
                v.v = rows[col, g]
            targets[0][y * f + r, col * f + s, g] = v.v
        return ()

    @property
    def cycles(self) -> int:
        return self.targets[0].words

    @property
    def resources(self) -> Resources:
        source = self.sources[0]
        return super().resources + ram(source.columns * source.groups, source.word_bits)
