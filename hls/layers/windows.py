"""Line buffers: from a raster stream to the kernel rows' words that a convolution needs at each step.

A convolution steps along a row by ``pixels`` neighbouring outputs. With a stride of s, column x = s * i + phase belongs
to phase ``x % s``: each phase meets its own taps in a convolution of stride 1 (polyphase), so nothing is computed in
vain. `Columns` groups pixels of a phase into words; `Windows` keeps rows and emits those of each output row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hls.heterocl import alloc, hcl, note
from hls.layers.stage import Banks, Stage, Tensor, low_word, nest, up, word_type
from ir.target import Resources


@dataclass(frozen=True)
class Columns(Stage):
    """Joins ``pixels`` neighbours of a phase into one word and deals the words out to the targets in turn.

    Source: raster (H, W, groups). Each target: (H, steps, phases * groups / targets), phases outermost, or innermost
    where ``phases_last``. Pixel i of phase f is column ``(i - lead) * stride + f - shift``; phases from ``phases`` on
    are read and dropped. What lies outside the row is zero.
    """

    stride: int = 1
    phases: int = 1
    shift: int = 0
    lead: int = 0
    phases_last: bool = False

    @property
    def pixels(self) -> int:
        return self.targets[0].pixels

    @property
    def pipelined(self) -> tuple[str, ...]:
        return ("q", "r") if self.phases_last else ("q",)

    @property
    def cycles(self) -> int:
        read = self.sources[0].rows * self.targets[0].columns * self.pixels * self.stride * self.sources[0].groups
        return read + self.targets[0].words if self.phases_last else read

    def trace(self, sources: Sequence[Tensor], targets: Sequence[Tensor]) -> Sequence[Banks]:
        wire, out, ways = self.sources[0], self.targets[0], len(targets)
        word, groups = word_type(out), wire.groups // ways
        note(
            f"{self.name}: words of {self.pixels} neighbours"
            + (f" out of every {self.stride} columns" if self.stride > 1 else "")
        )
        joined = alloc((self.stride, groups, ways), f"{self.name}_joined", word)
        with hcl.for_(0, wire.rows, tag=self.name, name="y") as y, hcl.for_(0, out.columns, name="j") as j:
            with (
                hcl.for_(0, self.pixels, name="i") as i,
                hcl.for_(0, self.stride, name="f") as f,
                hcl.for_(0, groups, name="g") as g,
                hcl.for_(0, ways, name="q") as q,
            ):
                column = (j * self.pixels + i - self.lead) * self.stride + f - self.shift
                fresh = hcl.scalar(0, "fresh", dtype=word_type(wire))
                with hcl.if_(hcl.and_(column >= 0, column < wire.columns)):
                    fresh.v = sources[0][y, column, g * ways + q]
                total = hcl.scalar(up(fresh.v, i * wire.word_bits, word), "total", dtype=word)
                with hcl.if_(i > 0):
                    total.v = total.v | joined[f, g, q]
                joined[f, g, q] = total.v
                for way, target in enumerate(targets) if not self.phases_last else ():
                    with hcl.if_(hcl.and_(i == self.pixels - 1, q == way, f < self.phases)):
                        target[y, j, f * groups + g] = total.v
            if self.phases_last:
                with hcl.for_(0, groups, name="h") as h, hcl.for_(0, self.phases, name="r") as r:
                    targets[0][y, j, h * self.phases + r] = joined[r, h, 0]
        return ()


@dataclass(frozen=True)
class Windows(Stage):
    """The words of ``kernel`` rows at every output row, ``len(targets)`` of them at once.

    Source: (H, steps, words); each ``blocks``-th
    part of a position's words, all kernel rows. ``top`` zero rows lie above the first row, zeros below the last.
    """

    kernel: int = 1
    stride: int = 1
    top: int = 0
    output_rows: int = 1
    blocks: int = 1

    @property
    def first(self) -> int:
        """The row whose arrival completes the first window."""
        return self.kernel - 1 - self.top

    @property
    def reach(self) -> int:
        """Strides of rows until all rows are read and all windows emitted."""
        last = max(self.sources[0].rows - 1, self.first + self.stride * (self.output_rows - 1))
        return -(-(last + 1 - self.shift) // self.stride)

    @property
    def before(self) -> int:
        """Strides that complete no window."""
        return max(0, self.first // self.stride)

    @property
    def shift(self) -> int:
        """The row at the start of the first stride: the last row of each stride completes a window."""
        return self.first - self.stride * self.before - (self.stride - 1)

    @property
    def passes(self) -> int:
        """Groups of kernel rows that leave one after the other."""
        return self.kernel // len(self.targets)

    @property
    def cycles(self) -> int:
        return self.reach * self.stride * self.sources[0].columns * self.sources[0].groups * self.passes

    @property
    def pipelined(self) -> tuple[str, ...]:
        return ("g",)

    def trace(self, sources: Sequence[Tensor], targets: Sequence[Tensor]) -> Sequence[Banks]:
        wire, k, ways = self.sources[0], self.kernel, len(targets)
        groups, passes, word = wire.groups // self.blocks, self.passes, word_type(wire)
        note(f"{self.name}: line buffer of {k - 1} rows, {ways} kernel rows a cycle")
        lines: Tensor = alloc((k - 1, wire.columns, wire.groups), f"{self.name}_lines", word) if k > 1 else None
        extents = {"y": self.reach, "sy": self.stride, "j": wire.columns, "b": self.blocks, "r": passes, "g": groups}
        with nest(self.name, **extents) as (y, sy, j, b, r, g):
            row = y * self.stride + sy + self.shift
            for way in range(ways):
                tap = r * ways + way
                v = hcl.scalar(0, f"row{way}", dtype=word)
                if way < ways - 1:
                    v.v = lines[tap, j, b * groups + g]
                else:
                    with hcl.if_(hcl.and_(r == passes - 1, row >= 0, row < wire.rows)):
                        v.v = sources[0][row, j, b * groups + g]
                    if passes > 1:
                        with hcl.if_(r < passes - 1):
                            v.v = lines[tap, j, b * groups + g]
                if k > 1:
                    with hcl.if_(tap > 0):
                        lines[tap - 1, j, b * groups + g] = v.v
                inside = hcl.scalar(0, f"inside{way}", dtype=word)
                with hcl.if_(row + tap >= k - 1):
                    inside.v = v.v
                with hcl.if_(hcl.and_(sy == self.stride - 1, y >= self.before, y < self.before + self.output_rows)):
                    targets[way][y - self.before, j, (b * passes + r) * groups + g] = inside.v
        return [(lines, 1)] if k > 1 else ()

    @property
    def resources(self) -> Resources:
        wire = self.sources[0]
        rows = wire.columns * wire.groups
        lines = -(-wire.word_bits // 36) * -(-rows // 512) if rows > 64 else 0
        return super().resources + Resources(
            lut=0 if lines else wire.word_bits * (self.kernel - 1) * -(-rows // 64), bram18=lines * (self.kernel - 1)
        )


@dataclass(frozen=True)
class Pixels(Stage):
    """Takes words of several pixels apart into a raster; pixels beyond the row are dropped."""

    def trace(self, sources: Sequence[Tensor], targets: Sequence[Tensor]) -> Sequence[Banks]:
        source, target, n = self.sources[0], self.targets[0], self.sources[0].pixels
        rest = alloc((max(source.groups, 2),), f"{self.name}_rest", word_type(source))
        with nest(self.name, y=source.rows, j=source.columns, i=n, g=source.groups) as (y, j, i, g):
            word = hcl.scalar(0, "word", dtype=word_type(source))
            with hcl.if_(i == 0):
                word.v = sources[0][y, j, g]
            with hcl.else_():
                word.v = rest[g]
            rest[g] = word.v >> target.word_bits
            with hcl.if_(n * j + i < target.columns):
                targets[0][y, n * j + i, g] = low_word(word.v, target)
        return ()

    @property
    def cycles(self) -> int:
        return self.sources[0].words * self.sources[0].pixels
