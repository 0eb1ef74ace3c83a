"""Bilinear resize of a stream, exactly as `ir.resize` has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from hls.heterocl import alloc, hcl, note
from hls.layers.stage import Banks, Stage, Tensor, in_lane, lane, nest, signed_type, word_type
from hls.packing import Geometry, signed_bits
from hls.resources.model import adder, multiply_dsp, ram, rom, times, total
from ir.resize import ONE, positions
from ir.target import Resources
from ir.types import Ints

WEIGHT_BITS = 13
"""Signed width of a weight from 0 to 2048."""

KEPT = 7
"""Bits that a pixel gains by the interpolation along its row: 11, of which the formula drops 4."""


@dataclass(frozen=True)
class Steps:
    """One axis: the target pixels that lie between source pixels s - 1 and s, for each step s.

    ``index[s, :]`` are their numbers, or ``target`` where a slot is empty; ``weight[s, :]`` what pixel s has in them.
    There is one slot per step unless the picture grows, and a last step without a new pixel where a target lies behind
    the last one.
    """

    source: int
    target: int
    index: Ints = field(repr=False)
    weight: Ints = field(repr=False)

    @staticmethod
    def of(source: int, target: int) -> Steps:
        whole, weights = positions(source, target)
        members = [np.flatnonzero(whole + 1 == step) for step in range(max(source, int(whole.max()) + 2))]
        index = np.full((len(members), max(map(len, members))), target, np.int64)
        weight = np.zeros_like(index)
        for step, found in enumerate(members):
            index[step, : len(found)], weight[step, : len(found)] = found, weights[found]
        return Steps(source, target, index, weight)

    @property
    def count(self) -> int:
        return int(self.index.shape[0])

    @property
    def slots(self) -> int:
        return int(self.index.shape[1])

    @property
    def index_bits(self) -> int:
        return signed_bits(0, self.target)

    def constants(self, name: str) -> tuple[Tensor, Tensor]:
        return (
            hcl.const_tensor(self.index, f"{name}_index", signed_type(self.index_bits)),
            hcl.const_tensor(self.weight, f"{name}_weight", hcl.Int(WEIGHT_BITS)),
        )

    @property
    def resources(self) -> Resources:
        return rom(self.count * self.slots, self.index_bits + WEIGHT_BITS)


@dataclass(frozen=True)
class BilinearResize(Stage):
    """Goes through the picture in step with its pixels. A word is read in each step and a target word is written where
    ROMs say that one lies there: the source pixel that has arrived is the later of both of its taps, in both axes.

    Keeps the previous row, interpolated at the target columns, and where the picture grows in height this one too.
    """

    dsp: Geometry

    @cached_property
    def rows(self) -> Steps:
        return Steps.of(self.sources[0].rows, self.targets[0].rows)

    @cached_property
    def columns(self) -> Steps:
        return Steps.of(self.sources[0].columns, self.targets[0].columns)

    @property
    def sum_bits(self) -> int:
        return self.sources[0].bits + KEPT

    def trace(self, sources: Sequence[Tensor], targets: Sequence[Tensor]) -> Sequence[Banks]:
        source, target, rows, columns, n = self.sources[0], self.targets[0], self.rows, self.columns, self.name
        word, sums = word_type(source), hcl.UInt(source.lanes * self.sum_bits)
        note(
            f"{n}: target (row index, column index) lies between this pixel and those before it, above and to the left"
        )
        row_index, row_weight = rows.constants(f"{n}_row")
        column_index, column_weight = columns.constants(f"{n}_column")
        pixels = alloc((2, source.groups), f"{n}_pixels", word)
        lower = alloc((columns.count, columns.slots, source.groups), f"{n}_lower", sums)
        upper = alloc((columns.count, columns.slots, source.groups), f"{n}_upper", sums) if rows.slots > 1 else None
        extents = {"y": rows.count, "sy": rows.slots, "col": columns.count, "sc": columns.slots, "g": source.groups}
        with nest(n, **extents) as (y, sy, col, sc, g):
            left = hcl.scalar(pixels[1, g], "left", dtype=word)
            right = hcl.scalar(pixels[1, g], "right", dtype=word)
            with hcl.if_(hcl.and_(sy == 0, sc == 0)):
                with hcl.if_(hcl.and_(y < source.rows, col < source.columns)):
                    right.v = sources[0][y, col, g]
                with hcl.if_(col == 0):
                    left.v = right.v
                pixels[0, g] = left.v
                pixels[1, g] = right.v
            with hcl.else_():
                left.v = pixels[0, g]
            above = hcl.scalar(0, "above", dtype=sums)
            below = hcl.scalar(self.along_the_row(left, right, column_weight[col, sc]), "below", dtype=sums)
            with hcl.if_(sy == 0):
                above.v = lower[col, sc, g]
                with hcl.if_(y == source.rows):
                    below.v = above.v
                with hcl.if_(y == 0):
                    above.v = below.v
                if upper is not None:
                    upper[col, sc, g] = above.v
                lower[col, sc, g] = below.v
            if upper is not None:
                with hcl.else_():
                    above.v = upper[col, sc, g]
                    below.v = lower[col, sc, g]
            out = self.between_the_rows(above, below, row_weight[y, sy])
            with hcl.if_(hcl.and_(row_index[y, sy] < target.rows, column_index[col, sc] < target.columns)):
                targets[0][row_index[y, sy], column_index[col, sc], g] = out.v
        return ()

    def along_the_row(self, left: Tensor, right: Tensor, weight: Tensor) -> Tensor:
        """``(left * (2048 - w) + right * w) >> 4`` in each lane."""
        bits, sums = self.sources[0].bits, hcl.UInt(self.sources[0].lanes * self.sum_bits)
        w = hcl.scalar(weight, "wx", dtype=hcl.Int(WEIGHT_BITS))
        out = hcl.scalar(0, "across", dtype=sums)
        with hcl.for_(0, self.sources[0].lanes, name="c") as c:
            a = hcl.scalar(lane(left.v, c, bits, False), "a", dtype=hcl.Int(bits + 1))
            b = hcl.scalar(lane(right.v, c, bits, False), "other", dtype=hcl.Int(bits + 1))
            s = hcl.scalar(a.v * ONE + (b.v - a.v) * w.v, "mixed", dtype=hcl.Int(self.sum_bits + 5))
            out.v = out.v | in_lane(s.v >> 4, c, self.sum_bits, sums)
        return out.v

    def between_the_rows(self, above: Tensor, below: Tensor, weight: Tensor) -> Tensor:
        """``((above * (2048 - w) >> 16) + (below * w >> 16) + 2) >> 2`` in each lane."""
        target, word = self.targets[0], word_type(self.targets[0])
        w = hcl.scalar(weight, "wy", dtype=hcl.Int(WEIGHT_BITS))
        rest = hcl.scalar(ONE - w.v, "rest", dtype=hcl.Int(WEIGHT_BITS))
        out = hcl.scalar(0, "out", dtype=word)
        with hcl.for_(0, target.lanes, name="c") as c:
            a = hcl.scalar(lane(above.v, c, self.sum_bits, False), "a", dtype=hcl.Int(self.sum_bits + 1))
            b = hcl.scalar(lane(below.v, c, self.sum_bits, False), "other", dtype=hcl.Int(self.sum_bits + 1))
            level = ((rest.v * a.v) >> 16) + ((w.v * b.v) >> 16) + 2
            out.v = out.v | in_lane(level >> 2, c, target.bits, word)
        return out

    @property
    def cycles(self) -> int:
        """One per source word where the picture shrinks."""
        return self.rows.count * self.rows.slots * self.columns.count * self.columns.slots * self.sources[0].groups

    @property
    def resources(self) -> Resources:
        source, rows, columns = self.sources[0], self.rows, self.columns
        products = multiply_dsp(source.bits + 1, WEIGHT_BITS, self.dsp)
        vertical = times(2, multiply_dsp(self.sum_bits + 1, WEIGHT_BITS, self.dsp))
        each = total(products, vertical, times(2, adder(source.bits)), adder(self.sum_bits))
        row = ram(columns.count * columns.slots * source.groups, source.lanes * self.sum_bits)
        memories = times(2 if rows.slots > 1 else 1, row)
        return total(super().resources, times(source.lanes, each), memories, rows.resources, columns.resources)

    @property
    def note(self) -> str:
        source, target = self.sources[0], self.targets[0]
        return f"bilinear {source.rows}x{source.columns} to {target.rows}x{target.columns}"
