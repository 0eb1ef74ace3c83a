"""Max-pooling over a raster stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hls.heterocl import alloc, hcl, note
from hls.layers.stage import Banks, Stage, Tensor, in_lane, lane, nest, word_type
from ir.target import Resources


@dataclass(frozen=True)
class MaxPool(Stage):
    """Maximum over ``size`` x ``size`` windows that do not overlap; rows and columns that fill no window are read and
    dropped. One row of running maxima is kept."""

    size: int = 2

    def trace(self, sources: Sequence[Tensor], targets: Sequence[Tensor]) -> Sequence[Banks]:
        source, target, k = self.sources[0], self.targets[0], self.size
        word = word_type(source)
        note(f"{k}x{k} max pooling: best[x] is the maximum of the window over the rows so far")
        best = alloc((target.columns, source.groups), f"{self.name}_best", word)
        rows, columns = -(-source.rows // k), -(-source.columns // k)
        with nest(self.name, y=rows, sy=k, x=columns, sx=k, g=source.groups) as (y, sy, x, sx, g):
            new = hcl.scalar(0, "word", dtype=word)
            old = hcl.scalar(0, "old", dtype=word)
            with hcl.if_(hcl.and_(k * y + sy < source.rows, k * x + sx < source.columns)):
                new.v = sources[0][k * y + sy, k * x + sx, g]
            old.v = new.v
            with hcl.if_(hcl.and_(sy + sx > 0, x < target.columns)):
                old.v = best[x, g]
            larger = hcl.scalar(0, "larger", dtype=word)
            with hcl.for_(0, source.lanes, name="c") as c:
                a = hcl.scalar(lane(new.v, c, source.bits, source.signed), "a", dtype=hcl.Int(source.bits + 1))
                b = hcl.scalar(lane(old.v, c, source.bits, source.signed), "b", dtype=hcl.Int(source.bits + 1))
                larger.v = larger.v | in_lane(hcl.select(a.v > b.v, a.v, b.v), c, source.bits, word)
            with hcl.if_(x < target.columns):
                best[x, g] = larger.v
            with hcl.if_(hcl.and_(y < target.rows, x < target.columns, sy == k - 1, sx == k - 1)):
                targets[0][y, x, g] = larger.v
        return ()

    @property
    def cycles(self) -> int:
        return self.sources[0].words

    @property
    def resources(self) -> Resources:
        source, target = self.sources[0], self.targets[0]
        bits = target.columns * source.groups * source.word_bits
        return super().resources + Resources(lut=2 * source.word_bits, bram18=-(-bits // 18432) if bits > 4096 else 0)
