"""Binary convolution: products of -1 and +1 are XNORs, their sums are counts.

A word carries the bits of ``simd`` channels of one pixel. `TapWindow` gives every output position the words of all its
taps at once; `XnorConv` compares them with the weights' bits, many taps and output channels per step, and counts the
agreements: a sum of n products is ``2 * agreements - n``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from math import prod
from operator import add
from typing import Any, ClassVar

import numpy as np

from hls.heterocl import alloc, hcl, note
from hls.layers.requantise import Keep, Requantise
from hls.layers.stage import Banks, Hints, MemoryStyle, Stage, Tensor, in_lane, nest, signed_type, word_type
from hls.resources.model import accumulator, adder, counter_nest, fifo, ram, rom, times, total, xnor_popcount
from ir.target import Resources
from ir.types import Ints


@dataclass(frozen=True)
class TapWindow(Stage):
    """From a raster wire to one wire per tap (and per word of ``words``): the words of each output position's window.

    Source: (H, W, groups). Target ``(r * KW + s) * words + b``: (OH, OW, groups / words), at each position word
    ``g * words + b`` of the pixel under tap (r, s). What lies outside the picture is zero.
    """

    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    """Zeros above and to the left."""
    words: int = 1

    def span(self, axis: int) -> tuple[int, int, int]:
        """(steps, lead, first) of rows (axis 0) or columns: blocks of ``stride`` pixels, the first of which begins
        ``lead`` pixels before the picture; the last pixel of block ``first`` completes the first window."""
        source, target = self.sources[0].shape[axis], self.targets[0].shape[axis]
        kernel, stride, padding = self.kernel[axis], self.stride[axis], self.padding[axis]
        lead = padding + -kernel % stride
        first = -(-kernel // stride) - 1
        return max(first + target, -(-(lead + source) // stride)), lead, first

    @property
    def cycles(self) -> int:
        return self.span(0)[0] * self.stride[0] * self.span(1)[0] * self.stride[1] * self.sources[0].groups

    @property
    def pipelined(self) -> tuple[str, ...]:
        return ("b",) if self.words > 1 else ("g",)

    def trace(self, sources: Sequence[Tensor], targets: Sequence[Tensor]) -> Sequence[Banks]:
        source, target, words = self.sources[0], self.targets[0], self.words
        (kh, kw), (sy, sx) = self.kernel, self.stride
        (rows, above, top), (columns, before, left) = self.span(0), self.span(1)
        word = word_type(source)
        note(f"{self.name}: the {kh}x{kw} words under the kernel, at every {sy} rows and {sx} columns")
        lines = alloc((kh - 1, columns * sx, source.groups), f"{self.name}_lines", word) if kh > 1 else None
        window = alloc((kh, kw, target.groups, words), f"{self.name}_window", word)
        extents = {"y": rows, "sy": sy, "col": columns, "sx": sx, "g": target.groups, "b": words}
        with nest(self.name, **extents) as (y, i, col, j, g, b):
            row, column = y * sy + i - above, col * sx + j - before
            place = col * sx + j
            pixel = hcl.scalar(0, "pixel", dtype=word)
            with hcl.if_(hcl.and_(row >= 0, row < source.rows, column >= 0, column < source.columns)):
                pixel.v = sources[0][row, column, g * words + b]
            for r in range(kh):
                fresh = pixel
                if r < kh - 1 and lines is not None:
                    fresh = hcl.scalar(lines[r, place, g * words + b], f"row{r}", dtype=word)
                if r > 0 and lines is not None:
                    lines[r - 1, place, g * words + b] = fresh.v
                for s in range(kw - 1):
                    window[r, s, g, b] = window[r, s + 1, g, b]
                window[r, kw - 1, g, b] = fresh.v
            row_is_last = (i == sy - 1, y >= top, y < top + target.rows)
            column_is_last = (j == sx - 1, col >= left, col < left + target.columns)
            with hcl.if_(hcl.and_(*row_is_last, *column_is_last, b == words - 1)):
                for index, tap in enumerate(targets):
                    r, s, k = index // words // kw, index // words % kw, index % words
                    tap[y - top, col - left, g] = window[r, s, g, k]
        return [*([(lines, 1)] if lines is not None else []), (window, 1), (window, 2), (window, 4)]

    @property
    def resources(self) -> Resources:
        source, target, (kh, kw) = self.sources[0], self.targets[0], self.kernel
        (rows, _, _), (columns, _, _) = self.span(0), self.span(1)
        line = ram(columns * self.stride[1] * source.groups, source.word_bits)
        return total(
            counter_nest((rows, self.stride[0], columns, self.stride[1], target.groups, self.words)),
            times(kh - 1, line),
            times(kh * kw * self.words, store(target.groups, source.word_bits)),
            *(fifo(wire.depth, wire.word_bits) for wire in self.targets),
        )

    @property
    def note(self) -> str:
        return f"{self.kernel[0]}x{self.kernel[1]} window, line buffer of {self.kernel[0] - 1} rows"


@dataclass(frozen=True)
class XnorConv(Stage):
    """Sources: one wire per tap and word of `TapWindow`, or a raster wire for a 1x1 kernel. Target: raster wire.

    ``weights`` (O, C/groups, KH, KW) of -1 and +1. A step takes ``words`` words of ``simd`` channels under ``rows``
    rows of the kernel, for ``pe`` output channels. ``padding`` is (top, left), ``extent`` the picture's (H, W): taps
    that lie outside are neither compared nor counted.
    """

    weights: Ints = field(repr=False)
    simd: int = 1
    pe: int = 1
    rows: int = 1
    words: int = 1
    groups: int = 1
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    extent: tuple[int, int] = (1, 1)
    rule: Requantise = field(default_factory=Keep)
    memory: MemoryStyle = "auto"
    """Where the weights lie."""

    planes: ClassVar[int] = 1
    """Bits per channel in the words; plane p is bit p of a channel's lane."""

    @property
    def kernel(self) -> tuple[int, int]:
        return int(self.weights.shape[2]), int(self.weights.shape[3])

    @property
    def loops(self) -> dict[str, int]:
        """The loops around a step: groups, output groups of one, words of channels, kernel rows."""
        outputs, channels = self.weights.shape[:2]
        return {
            "part": self.groups,
            "og": int(outputs) // self.groups // self.pe,
            "cg": int(channels) // (self.simd * self.words),
            "r": self.kernel[0] // self.rows,
        }

    @property
    def steps(self) -> int:
        """Steps per output position."""
        return prod(self.loops.values())

    @property
    def bits(self) -> int:
        """Products of one step and output channel, per plane."""
        return self.rows * self.kernel[1] * self.words * self.simd

    @property
    def sum_bits(self) -> int:
        """Unsigned width of a count of agreements."""
        return prod(self.weights.shape[1:]).bit_length()

    @property
    def cycles(self) -> int:
        return self.targets[0].rows * self.targets[0].columns * self.steps

    @property
    def pipelined(self) -> tuple[str, ...]:
        return (next((name for name, extent in reversed(self.loops.items()) if extent > 1), "col"),)

    @property
    def hints(self) -> Hints:
        return Hints(memories={f"{self.name}_w": self.memory})

    @property
    def padded(self) -> bool:
        """Whether some tap lies outside the picture at some position."""
        target, (kh, kw), (sy, sx), (top, left) = self.targets[0], self.kernel, self.stride, self.padding
        rows, columns = (target.rows - 1) * sy + kh - top, (target.columns - 1) * sx + kw - left
        return top > 0 or left > 0 or rows > self.extent[0] or columns > self.extent[1]

    def stored(self) -> Ints:
        """(part, og, cg, r, pe, rows, KW, words): the weights' bits as ``simd``-bit numbers in two's complement.

        They are complemented, so that XOR with them is XNOR with the weights: a set bit is an agreement.
        """
        n = self.loops
        unlike = (self.weights < 0).reshape(
            n["part"], n["og"], self.pe, n["cg"], self.words, self.simd, n["r"], self.rows, self.kernel[1]
        )
        unlike = unlike.transpose(0, 1, 3, 6, 2, 7, 8, 4, 5)
        places = np.left_shift(np.int64(1), np.arange(self.simd, dtype=np.int64))
        if self.simd in range(2, 64):
            places[-1] = -places[-1]
        return np.asarray((unlike * places).sum(-1))

    def explain(self) -> Sequence[str]:
        outside = "; taps outside the picture do not count" if self.padded else ""
        return (
            f"{self.name}: +1 is a set bit; XOR with the complemented weights marks the products that are +1,",
            f"so that a sum of n products is 2 * agreements - n{outside}",
        )

    def thresholds(self) -> tuple[Tensor, ...]:
        """ROMs of ``value``."""
        return ()

    def value(self, agreements: Sequence[Any], products: Any, group: Any, q: Any, roms: Sequence[Tensor]) -> Any:
        """The sum of channel (group, q), as a scalar, from each plane's agreements."""
        return total_of(agreements[0], products, self.sum_bits)

    def trace(self, sources: Sequence[Tensor], targets: Sequence[Tensor]) -> Sequence[Banks]:
        source, target, (kh, kw), n, loops = self.sources[0], self.targets[0], self.kernel, self.name, self.loops
        (sy, sx), (top, left), words, planes = self.stride, self.padding, self.words, self.planes
        word, out_word, count = hcl.UInt(self.simd), word_type(target), hcl.UInt(self.sum_bits)
        for line in self.explain():
            note(line)
        weights = hcl.const_tensor(self.stored(), f"{n}_w", signed_type(self.simd))
        gates, roms = self.thresholds(), self.rule.constants(n, loops["part"] * loops["og"])
        window = alloc((loops["cg"], kh, kw, words), f"{n}_window", word_type(source))
        bits = alloc((planes, self.rows, kw, words), f"{n}_bits", word)
        inside = alloc((self.rows, max(kw, 2)), f"{n}_inside", hcl.UInt(1)) if self.padded else None
        counts = alloc((planes, max(self.pe, 2)), f"{n}_counts", count)
        past = alloc((2,), f"{n}_past", count) if self.padded else None
        with nest(n, y=target.rows, col=target.columns, **loops) as (y, col, part, og, cg, r):
            with hcl.if_(hcl.and_(og == 0, r == 0)):
                for index, wire in enumerate(sources):
                    tap, b = divmod(index, words)
                    window[cg, tap // kw, tap % kw, b] = wire[y, col, part * loops["cg"] + cg]
            first = hcl.scalar(hcl.select(hcl.and_(cg == 0, r == 0), 1, 0), "first", dtype=hcl.UInt(1))
            products = hcl.scalar(0 if self.padded else prod(self.weights.shape[1:]), "products", dtype=count)
            with hcl.for_(0, self.rows, name="i") as i, hcl.for_(0, kw, name="s") as s:
                if inside is not None:
                    row, column = y * sy + r * self.rows + i - top, col * sx + s - left
                    valid = hcl.scalar(0, "valid", dtype=hcl.UInt(1))
                    height, width = self.extent
                    with hcl.if_(hcl.and_(row >= 0, row < height, column >= 0, column < width)):
                        valid.v = 1
                        products.v = products.v + self.simd * words
                    inside[i, s] = valid.v
                with hcl.for_(0, words, name="b") as b:
                    held = hcl.scalar(window[cg, r * self.rows + i, s, b], "held", dtype=word_type(source))
                    for p in range(planes):
                        bits[p, i, s, b] = plane(held, p, planes, self.simd)
            if past is not None:
                with hcl.if_(first.v == 0):
                    products.v = products.v + past[0]
                past[0] = products.v
            out = hcl.scalar(0, "out", dtype=out_word)
            with hcl.for_(0, self.pe, name="q") as q:
                agreements = [hcl.scalar(0, f"agree{p}", dtype=count) for p in range(planes)]
                with (
                    hcl.for_(0, self.rows, name="ti") as i,
                    hcl.for_(0, kw, name="ts") as s,
                    hcl.for_(0, words, name="tb") as b,
                ):
                    weight = hcl.scalar(weights[part, og, cg, r, q, i, s, b], "weight", dtype=word)
                    for p in range(planes):
                        same = hcl.scalar(bits[p, i, s, b] ^ weight.v, "same", dtype=word)
                        if inside is not None:
                            with hcl.if_(inside[i, s] == 0):
                                same.v = 0
                        add_ones(agreements[p], same, self.simd)
                for p, agree in enumerate(agreements):
                    with hcl.if_(first.v == 0):
                        agree.v = agree.v + counts[p, q]
                    counts[p, q] = agree.v
                value = self.value(agreements, products, part * loops["og"] + og, q, gates)
                level = self.rule.apply(value, part * loops["og"] + og, q, roms)
                out.v = out.v | in_lane(level, q, target.bits, out_word)
            with hcl.if_(hcl.and_(cg == loops["cg"] - 1, r == loops["r"] - 1)):
                targets[0][y, col, part * loops["og"] + og] = out.v
        registers = [(bits, 0), (counts, 0), *([(inside, 0)] if inside is not None else [])]
        return [*registers, (window, 2), (window, 3), (window, 4)]

    @property
    def resources(self) -> Resources:
        """Of a lane: per plane a count, its accumulator and the sum; then what the planes need and requantisation."""
        loops, target, taps = self.loops, self.targets[0], self.kernel[0] * self.kernel[1] * self.words
        rule = self.rule.resources(self.sum_bits + 2, loops["part"] * loops["og"])
        held = store(loops["cg"], self.sources[0].word_bits) if self.steps > loops["cg"] else Resources()
        sums = accumulator(self.sum_bits) if loops["cg"] * loops["r"] > 1 else Resources()
        each = times(self.planes, total(xnor_popcount(self.bits), sums, adder(self.sum_bits + 1)))
        return total(
            counter_nest((target.rows, target.columns, *loops.values())),
            times(taps, held),
            rom(self.steps, self.pe * self.bits, self.memory),
            times(self.pe, total(each, self.choice, rule)),
            *(fifo(wire.depth, wire.word_bits) for wire in self.targets),
        )

    @property
    def choice(self) -> Resources:
        """What a lane needs to make its value from the planes' sums."""
        return Resources()

    @property
    def note(self) -> str:
        kh, kw = self.kernel
        return f"{kh}x{kw} XNOR SIMD {self.simd} PE {self.pe}, {self.bits} products per PE and cycle"


def store(words: int, bits: int) -> Resources:
    """A memory of a few words, or the register that one word is."""
    return ram(words, bits) if words > 1 else Resources(ff=bits)


def plane(held: Any, index: int, planes: int, simd: int) -> Any:
    """Bit ``index`` of each of the ``planes``-bit lanes of a word."""
    if planes == 1:
        return held.v
    wide = hcl.UInt(planes * simd + 1)
    bits = hcl.scalar(0, f"plane{index}", dtype=wide)
    with hcl.for_(0, simd, name="c") as c:
        bit = hcl.scalar((held.v >> (c * planes + index)) & 1, "one", dtype=wide)
        bits.v = bits.v | (bit.v << c)
    return bits.v


def add_ones(count: Any, word: Any, bits: int) -> None:
    """Add the number of set bits, six at a time: a count of six bits is three 6-input LUTs."""

    def ones(start: Any, several: int) -> Any:
        terms = [hcl.cast(hcl.UInt(2), (word.v >> (start + k)) & 1) for k in range(several)]
        return reduce(add, terms)

    if bits >= 6:
        with hcl.for_(0, bits // 6, name="six") as six:
            count.v = count.v + ones(six * 6, 6)
    if bits % 6:
        count.v = count.v + ones(bits // 6 * 6, bits % 6)


def total_of(agreements: Any, products: Any, bits: int) -> Any:
    """``2 * agreements - products``, a sum of products of -1 and +1, as a scalar."""
    signed = hcl.Int(bits + 2)
    return hcl.scalar(hcl.cast(signed, agreements.v) * 2 - hcl.cast(signed, products.v), "sum", dtype=hcl.Int(bits + 1))
