"""Pooling of a stream: the maximum or the sum of windows of any size, stride and padding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from hls.heterocl import alloc, hcl, note
from hls.layers.stage import Banks, Stage, Tensor, in_lane, lane, nest, word_type
from hls.resources.model import adder, counter_nest, maximum, ram, times, total
from ir.target import Resources


@dataclass(frozen=True)
class Span:
    """Windows along one axis: ``count`` of them, of ``kernel`` positions each, one every ``stride``; the first begins
    ``before`` positions in front of the axis, which has ``size``.

    Position p = stride * block + phase. A window opens at phase ``opening`` and its last position is at phase
    ``closing``, ``lag`` blocks after the one it is counted from.
    """

    size: int
    kernel: int
    stride: int
    before: int
    count: int

    @staticmethod
    def of(size: int, kernel: int, stride: int, before: int, count: int) -> Span:
        """With the stride of a single window, which has none, large enough that no second one opens."""
        return Span(size, kernel, stride if count > 1 else max(size, kernel), before, count)

    @property
    def opening(self) -> int:
        return -self.before % self.stride

    @property
    def closing(self) -> int:
        return (self.kernel - 1 - self.before) % self.stride

    @property
    def lag(self) -> int:
        return (self.kernel - 1 - self.before) // self.stride

    @property
    def blocks(self) -> int:
        """Until all positions are passed and all windows are closed."""
        last = self.stride * (self.count - 1) + self.kernel - 1 - self.before
        return -(-max(self.size, last + 1) // self.stride)

    @property
    def open(self) -> int:
        """Windows that a position may belong to."""
        return (self.kernel - 1) // self.stride + 1

    @property
    def kept(self) -> int:
        """Windows that stay open from one position to the next."""
        return -(-(self.kernel - 1) // self.stride)

    def closes(self, block: Any, phase: Any) -> Any:
        """The condition that a window of the output is complete: number ``block - lag``."""
        return hcl.and_(phase == self.closing, block >= self.lag, block < self.lag + self.count)


@dataclass(frozen=True)
class Pooling(Stage):
    """Keeps running results: of a row's open windows, and of the open windows of every column, at most
    ``ceil((KH - 1) / SH)`` rows. Reads a word per cycle; rows and columns that fill no window are read and dropped.

    ``padding`` is (top, left); what is behind the last row and column follows from the target's extent. A source with
    several pixels in a word is taken where `takes` says so; a target with several has the results of one such word.
    """

    kind: Literal["max", "sum"]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int] = (0, 0)

    @staticmethod
    def takes(pixels: int, kernel: int, stride: int, left: int, right: int) -> bool:
        """Whether a row with ``pixels`` neighbours in a word can be pooled along it: windows that neither overlap nor
        are padded, and each in whole words or each word in whole windows."""
        aligned = kernel == stride and left == right == 0 and (pixels % kernel == 0 or kernel % pixels == 0)
        return pixels == 1 or aligned

    @property
    def rows(self) -> Span:
        return Span.of(self.sources[0].rows, self.kernel[0], self.stride[0], self.padding[0], self.targets[0].rows)

    @property
    def columns(self) -> Span:
        """In words: windows inside a word count as one."""
        n, count = self.sources[0].pixels, self.targets[0].columns
        kernel, stride = (max(1, size // n) for size in (self.kernel[1], self.stride[1]))
        return Span.of(self.sources[0].columns, kernel, stride, self.padding[1], count)

    def trace(self, sources: Sequence[Tensor], targets: Sequence[Tensor]) -> Sequence[Banks]:
        source, rows, columns, n = self.sources[0], self.rows, self.columns, self.name
        word = word_type(self.targets[0])
        note(
            f"{n}: {self.kind} of {self.kernel[0]}x{self.kernel[1]} windows at stride {self.stride[0]}x{self.stride[1]}"
        )
        across = alloc((columns.kept, source.groups), f"{n}_across", word) if columns.kept else None
        down = alloc((rows.kept, columns.count, source.groups), f"{n}_down", word) if rows.kept else None
        extents = {"y": rows.blocks, "sy": rows.stride, "j": columns.blocks, "sj": columns.stride, "g": source.groups}
        with nest(n, **extents) as (y, sy, j, sj, g):
            row, column = rows.stride * y + sy, columns.stride * j + sj
            value = hcl.scalar(0, "value", dtype=word)
            with hcl.if_(hcl.and_(row < source.rows, column < source.columns)):
                fresh = hcl.scalar(sources[0][row, column, g], "fresh", dtype=word_type(source))
                value.v = self.entering(fresh)
            best = self.extend(across, (g,), value, columns, column, sj)
            with hcl.if_(columns.closes(j, sj)):
                result = self.extend(down, (j - columns.lag, g), best, rows, row, sy)
                with hcl.if_(rows.closes(y, sy)):
                    targets[0][y - rows.lag, j - columns.lag, g] = self.leaving(result)
        return [(memory, 1) for memory in (across, down) if memory is not None]

    def extend(
        self, memory: Tensor | None, at: tuple[Any, ...], value: Tensor, span: Span, position: Any, phase: Any
    ) -> Tensor:
        """Add a value to all open windows, ``memory[age, *at]``, the newest first; the oldest one with it."""
        if memory is None:
            return value
        windows = []
        for age in range(span.open):
            old = hcl.scalar(0, "old", dtype=word_type(self.targets[0]))
            if age > 0:
                with hcl.if_(hcl.and_(position > 0, phase == span.opening)):
                    old.v = memory[(age - 1, *at)]
            if span.stride > 1 and age < span.kept:
                with hcl.if_(hcl.and_(position > 0, phase != span.opening)):
                    old.v = memory[(age, *at)]
            windows.append(self.merged(old, value))
        for age in range(span.kept):
            memory[(age, *at)] = windows[age].v
        return windows[-1]

    @property
    def lanes(self) -> int:
        """Results in a word."""
        return self.targets[0].pixels * self.targets[0].lanes

    @property
    def lowest(self) -> int:
        """What a kept value is counted from, so that zero stands for no value yet and for padding."""
        signed_maximum = self.kind == "max" and self.sources[0].signed
        return -(1 << (self.sources[0].bits - 1)) if signed_maximum else 0

    def of_two(self, a: Any, b: Any) -> Any:
        return a + b if self.kind == "sum" else hcl.select(a > b, a, b)

    def merged(self, old: Tensor, value: Tensor) -> Tensor:
        """Lane by lane; sums may wrap on the way, as two's complement."""
        target, word = self.targets[0], word_type(self.targets[0])
        out = hcl.scalar(0, "merged", dtype=word)
        with hcl.for_(0, self.lanes, name="c") as c:
            pair = [
                hcl.scalar(lane(v.v, c, target.bits, self.kind == "sum"), name, dtype=hcl.Int(target.bits + 1))
                for v, name in ((old, "a"), (value, "other"))
            ]
            out.v = out.v | in_lane(self.of_two(pair[0].v, pair[1].v), c, target.bits, word)
        return out

    def entering(self, fresh: Tensor) -> Any:
        """The lanes of a source word as kept ones: widened, counted from the lowest, pixels of one window merged."""
        source, target, word = self.sources[0], self.targets[0], word_type(self.targets[0])
        if (source.pixels, source.bits) == (target.pixels, target.bits) and not self.lowest:
            return fresh.v
        bipolar, bits = source.bipolar and self.kind == "sum", max(source.bits, target.bits) + 1
        together = min(self.kernel[1], source.pixels)
        out = hcl.scalar(0, "entered", dtype=word)
        with hcl.for_(0, target.lanes, name="c") as c:
            for window in range(target.pixels):
                pixels = [
                    hcl.scalar(
                        lane(fresh.v, c + pixel * source.lanes, source.bits, source.signed, bipolar),
                        "pixel",
                        dtype=hcl.Int(bits),
                    )
                    for pixel in range(window * together, (window + 1) * together)
                ]
                best = pixels[0]
                for pixel in pixels[1:]:
                    best = hcl.scalar(self.of_two(best.v, pixel.v), "best", dtype=hcl.Int(bits))
                out.v = out.v | in_lane(best.v - self.lowest, c + window * target.lanes, target.bits, word)
        return out.v

    def leaving(self, result: Tensor) -> Any:
        """A word of results in the target's type."""
        target, word = self.targets[0], word_type(self.targets[0])
        if not self.lowest:
            return result.v
        out = hcl.scalar(0, "leaving", dtype=word)
        with hcl.for_(0, self.lanes, name="c") as c:
            value = hcl.scalar(lane(result.v, c, target.bits, False), "value", dtype=hcl.Int(target.bits + 1))
            out.v = out.v | in_lane(value.v + self.lowest, c, target.bits, word)
        return out.v

    @property
    def cycles(self) -> int:
        """One word each; positions that complete the last stride of a row or a column, or lie in padding, count too."""
        positions = self.rows.blocks * self.rows.stride * self.columns.blocks * self.columns.stride
        return positions * self.sources[0].groups

    @property
    def resources(self) -> Resources:
        target, rows, columns = self.targets[0], self.rows, self.columns
        each = adder(target.bits) if self.kind == "sum" else maximum(target.bits)
        inside = target.pixels * (min(self.kernel[1], self.sources[0].pixels) - 1)
        merges = self.lanes * sum(s.open for s in (rows, columns) if s.kept) + target.lanes * inside
        extents = (rows.blocks, rows.stride, columns.blocks, columns.stride, target.groups)
        return total(
            super().resources,
            times(merges, each),
            times(columns.kept, ram(target.groups, target.word_bits, "lut")),
            times(rows.kept, ram(columns.count * target.groups, target.word_bits)),
            counter_nest(extents),
        )

    @property
    def note(self) -> str:
        (kh, kw), (sh, sw) = self.kernel, self.stride
        return f"{self.kind} of {kh}x{kw} at stride {sh}x{sw}, {self.rows.kept} row(s) of results kept"
