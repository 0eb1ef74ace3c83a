"""A convolution's geometry, whatever its weights: packings, foldings, line buffers, and what they take.

Networks have many layers of one shape, and foldings of a shape are a thousand and more: what they take is found once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import product

import numpy as np

from hls.layers.convolution import Convolution, Steps
from hls.layers.fabric import BitPlanes
from hls.layers.multiply import Multiply
from hls.layers.packed import PackedMultiply
from hls.layers.requantise import Keep
from hls.layers.stage import WORD_BITS, MemoryStyle, Stage, WeightStyle, Wire
from hls.layers.weights import FedStyle, WeightFeed
from hls.layers.windows import Columns, Windows
from hls.nodes.base import lane_counts, raster
from hls.packing import Geometry, Range
from hls.packing.rows import TYPICAL_LANES, dense_packings, find_packing, row_key, row_packings, row_rate
from hls.resources.model import total
from ir.engine import Candidate, Configuration
from ir.ops import Conv2d
from ir.target import Resources
from ir.types import Ints, TensorType

FABRIC_PIXELS = (1, 2, 4)
"""Pixels per step that products in LUTs are tried with."""

MOST_WORDS = 8
"""Words of channels taken in parallel; each is a line buffer of its own."""

MOST_SHAPES = 64
"""Of a network, whose foldings are kept."""

ROMS: tuple[MemoryStyle, ...] = ("lut", "bram")


@dataclass(frozen=True)
class Folding:
    """How much of a convolution is done at once.

    ``simd`` input channels a word, ``words`` words and ``rows`` kernel rows in parallel, ``pe`` output channels per
    group, ``groups`` groups, ``pixels`` neighbouring pixels. ``channels`` and ``width``: output channels and pixels
    packed into one product, both 0 for products in LUTs. Plain packings have ``overlap`` 0 and ``offset`` 0: the bits
    that sums in a product share at most, and what is taken off the activations before they are packed.
    """

    simd: int
    pe: int
    words: int = 1
    rows: int = 1
    groups: int = 1
    pixels: int = 1
    channels: int = 0
    width: int = 0
    overlap: int = 0
    offset: int = 0
    memory: WeightStyle = "auto"

    @staticmethod
    def of(configuration: Configuration) -> Folding:
        return Folding(**configuration)  # type: ignore[arg-type]

    @property
    def configuration(self) -> Configuration:
        return dict(vars(self))


@dataclass(frozen=True)
class Phases:
    """How a stride splits a row: column x with ``x + shift = stride * i + f`` is pixel i of phase f.

    Tap t is tap ``taps[t][1]`` of phase ``taps[t][0]``, in a convolution of stride 1 with ``length`` taps, the first
    ``before`` of which lie left of the pixel that has the output's number.
    """

    shift: int
    taps: tuple[tuple[int, int], ...]
    before: int

    @property
    def length(self) -> int:
        return max(t for _, t in self.taps) + 1

    @property
    def count(self) -> int:
        return max(f for f, _ in self.taps) + 1

    def pixels(self, columns: int, stride: int) -> int:
        """Of each phase in a row."""
        return (columns - 1 + self.shift) // stride + 1

    @staticmethod
    def best(kernel: int, stride: int, padding: int, columns: int) -> Phases:
        """With the fewest taps, then the fewest pixels."""
        found = []
        for shift in range(stride):
            places = [divmod(t - padding + shift, stride) for t in range(kernel)]
            first = min(i for i, _ in places)
            found.append(Phases(shift, tuple((f, i - first) for i, f in places), -first))
        return min(found, key=lambda p: (p.length, p.pixels(columns, stride), p.count))


@dataclass(frozen=True)
class Shape:
    """What foldings depend on: operator, input, the weights' shape (O, I/groups, KH, KW) and range with zero, the
    output as it leaves the stage, the signed width of every sum, the multiplier blocks."""

    op: Conv2d
    x: TensorType
    weights: tuple[int, ...]
    weight: Range
    out: TensorType
    accumulator_bits: int
    dsp: Geometry

    @cached_property
    def activation(self) -> Range:
        return Range(self.x.lo, self.x.hi).with_zero()

    @cached_property
    def kernel(self) -> tuple[int, int]:
        return self.weights[2], self.weights[3]

    @cached_property
    def phases(self) -> Phases:
        columns = self.x.shape[2]
        return Phases.best(self.kernel[1], self.op.stride[1], self.op.padding[1], columns)

    @property
    def taps(self) -> int:
        return self.phases.length

    @property
    def lead(self) -> int:
        """Pixels of each phase before a row that a step's taps reach and that are not there."""
        return min(self.phases.before, self.taps - 1)

    @property
    def inserted(self) -> int:
        """Zero pixels of each phase that are streamed before a row: padding beyond what a kernel covers."""
        return self.phases.before - self.lead

    @cached_property
    def channels(self) -> tuple[int, int]:
        """Input and output channels of a group."""
        return self.weights[1], self.weights[0] // self.op.groups

    def steps(self, pixels: int) -> Steps:
        x, out = self.x.shape, self.out.shape
        read = -(-(self.phases.pixels(x[2], self.op.stride[1]) + self.inserted) // pixels)
        outputs, before = -(-out[2] // pixels), self.taps - 1 - self.lead
        delay = -(-before // pixels)
        wraps = read <= outputs and delay <= outputs
        return Steps(out[1], outputs if wraps else max(read, outputs + delay), outputs, delay, delay * pixels - before)

    def foldings(self) -> Iterator[Folding]:
        """All that fit the words of the streams."""
        for base in (*self._packed(), *self._fabric()):
            yield from self._foldings(base)

    def _packed(self) -> Iterator[Folding]:
        width = self.out.shape[2]
        found = row_packings(self.weight, self.activation, self.taps, self.dsp)
        best: dict[int, float] = {}
        for built in found:
            channels, pixels = built.layout.weights[0], built.layout.activations[1]
            if pixels <= width and self.channels[1] % channels == 0:
                rate = float(row_rate(built, self.taps))
                if rate > best.get(pixels, 0) or channels == 1:
                    best[pixels] = max(rate, best.get(pixels, 0))
                    yield Folding(0, channels, pixels=pixels, channels=channels, width=pixels)
        lanes = min(self.channels[0] * self.kernel[0], TYPICAL_LANES)
        offered = self.weight, self.activation, self.taps, self.dsp
        for built in dense_packings(*offered, self.channels[1], width, lanes):
            channels, pixels, overlap, offset = row_key(built, self.taps)
            yield Folding(0, channels, 1, 1, 1, pixels, channels, pixels, overlap, offset)

    def _fabric(self) -> Iterator[Folding]:
        for pixels in FABRIC_PIXELS:
            if pixels <= self.out.shape[2]:
                yield Folding(0, 1, pixels=pixels)

    def _foldings(self, base: Folding) -> Iterator[Folding]:
        """SIMD, PE and what else is done in parallel, for a packing."""
        inputs, outputs = self.channels
        x, out = self.x.dtype.bits, self.out.dtype.bits
        room, most = WORD_BITS // (x * base.pixels), WORD_BITS // (out * base.pixels)
        rows = {1, self.kernel[0]}
        for groups in lane_counts(self.op.groups, 1):
            simds, pes = lane_counts(inputs, groups, room), lane_counts(outputs, groups, most)
            if groups > 1:  # lanes of several groups in one word: all of each group's channels
                simds, pes = [n for n in simds if n == inputs], [n for n in pes if n == outputs]
            for simd, pe, row in product(simds, (n for n in pes if n % base.pe == 0), sorted(rows)):
                most_words = inputs // simd if self.op.groups == 1 else 1
                for words in (n for n in lane_counts(most_words, 1) if n <= MOST_WORDS):
                    yield replace(base, simd=simd, pe=pe, words=words, rows=row, groups=groups)

    @property
    def serial_groups(self) -> bool:
        """Whether Columns must bring a group's phases together; see `arranged`."""
        return self.op.groups > 1 and self.phases.count > 1

    def buffers(self, name: str, source: Wire, folding: Folding) -> tuple[list[Stage], list[Wire]]:
        """The stages before the convolution, from a raster wire, and what they hand it."""
        op, steps, wires, stages = self.op, self.steps(folding.pixels), [source], list[Stage]()
        regrouped = folding.pixels > 1 or folding.words > 1 or op.stride[1] > 1
        if regrouped or self.inserted or steps.steps != source.columns:
            words = [
                replace(
                    source, name=f"{name}_columns{q}", columns=steps.steps, pixels=folding.pixels, depth=2,
                    groups=self.phases.count * source.groups // folding.words,
                )
                for q in range(folding.words)
            ]  # fmt: skip
            stages.append(
                Columns(
                    f"{name}_columns", (source,), tuple(words), op.stride[1], self.phases.count,
                    self.phases.shift, self.inserted, self.serial_groups,
                )
            )  # fmt: skip
            wires = words
        if self.kernel[0] == 1 and op.stride[0] == 1 and op.padding[0] == op.padding[2] == 0:
            return stages, wires
        windows = []
        for q, wire in enumerate(wires):
            passes = self.kernel[0] // folding.rows
            targets = [
                replace(wire, name=f"{name}_window{q}_{r}", rows=steps.rows, groups=wire.groups * passes, depth=2)
                for r in range(folding.rows)
            ]
            blocks = op.groups // folding.groups
            stages.append(
                Windows(
                    f"{name}_window{q}", (wire,), tuple(targets), self.kernel[0], op.stride[0], op.padding[0],
                    steps.rows, blocks,
                )
            )  # fmt: skip
            windows += targets
        return stages, windows

    def arranged(self, folding: Folding, split: Ints) -> Ints:
        """Weights (outputs, inputs, kernel rows, phases, taps) in the order of the words: see `Convolution.weights`."""
        (inputs, outputs), kh, f = self.channels, self.kernel[0], folding
        blocks = self.op.groups // f.groups
        shape = (
            blocks, f.groups, outputs // f.pe, f.pe, inputs // (f.words * f.simd), f.words, f.simd,
            kh // f.rows, f.rows, self.phases.count, self.taps,
        )  # fmt: skip
        # axes: block, group, og, pe, word of channels, way, lane, pass, row, phase, tap
        order = (0, 1, 2, 3, 7, 4, 9, 5, 8, 6, 10) if self.serial_groups else (0, 1, 2, 3, 7, 9, 4, 5, 8, 6, 10)
        sources, lanes = f.words * f.rows, f.simd
        return (
            split.reshape(shape)
            .transpose(order)
            .reshape(blocks, f.groups, outputs // f.pe, f.pe, -1, sources, lanes, self.taps)
        )

    def multiply(self, folding: Folding, totals: Ints | None = None) -> Multiply:
        """How products are formed of weights in a memory; ``totals``: see `PackedMultiply`."""
        if not folding.channels:
            return BitPlanes.of(self.taps, folding.pixels, self.weight, self.activation)
        key = folding.channels, folding.width, folding.overlap, folding.offset
        built = find_packing(key, self.weight, self.activation, self.taps, self.dsp)
        return PackedMultiply(self.taps, folding.pixels, self.weight, self.activation, built, totals)

    def target(self, name: str, folding: Folding) -> Wire:
        """What the convolution writes."""
        out, steps, lanes = self.out, self.steps(folding.pixels), folding.groups * folding.pe
        return Wire(
            f"{name}_out", steps.rows, steps.outputs, out.shape[0] // lanes, lanes, out.dtype.bits,
            out.dtype.signed and out.dtype.kind != "bipolar", folding.pixels, bipolar=out.dtype.kind == "bipolar",
        )  # fmt: skip

    @property
    def split(self) -> tuple[int, ...]:
        """Of the weights by phases and taps."""
        return (*self.weights[:3], self.phases.count, self.taps)


@dataclass(frozen=True)
class Sketch:
    """A folding without weights: ``conv`` has zeros for them and requantises nothing. ``buffered``: cycles and
    resources of the stages before it."""

    folding: Folding
    conv: Convolution
    buffered: tuple[int, Resources]

    def candidates(self, uram: bool) -> Sequence[Candidate]:
        """With the weights in LUTs, in block memory or UltraRAM, where they need any; and streamed, where that makes
        the layer no slower. Without what the weights' values decide (`Convolution.own`)."""
        conv, folding = self.conv, self.folding
        cycles, logic = max(self.buffered[0], conv.cycles), self.buffered[1] + conv.common
        if conv.iterations == 1 or not conv.multiply.memory_bits:
            return [Candidate(cycles, logic + conv.weight_rom("auto"), folding.configuration)]
        plain = folding.configuration
        found = [Candidate(cycles, logic + conv.weight_rom(rom), {**plain, "memory": rom}) for rom in ROMS]
        one_word = conv.memory_elements * conv.multiply.memory_bits <= WORD_BITS
        styles: list[FedStyle] = [*(["uram"] if uram else []), *(["streamed"] if one_word else [])]  # type: ignore[list-item]
        for style in styles:
            feed = WeightFeed.of(conv, style)
            used = total(logic, conv.fed_weights, feed.resources)
            found.append(Candidate(max(cycles, feed.cycles), used, {**plain, "memory": style}, feed.traffic))
        return found


@lru_cache(maxsize=MOST_SHAPES)
def sketches(shape: Shape, uram: bool) -> Sequence[tuple[Sketch, Sequence[Candidate]]]:
    """Every folding of a shape with its candidates."""
    zeros = np.broadcast_to(np.int64(0), shape.split)
    found, buffered = [], dict[tuple[int, ...], tuple[tuple[int, Resources], list[Wire]]]()
    products = dict[tuple[int, ...], Multiply]()
    for f in shape.foldings():
        before = f.simd * f.groups, f.groups, f.words, f.rows, f.pixels
        if before not in buffered:
            stages, sources = shape.buffers("conv", raster("x", shape.x, f.simd * f.groups), f)
            cost = max((s.cycles for s in stages), default=0), sum((s.resources for s in stages), Resources())
            buffered[before] = cost, sources
        kind = f.channels, f.width, f.overlap, f.offset, f.pixels
        if kind not in products:
            products[kind] = shape.multiply(f)
        cost, sources = buffered[before]
        conv = Convolution(
            "conv", tuple(sources), (shape.target("conv", f),), shape.arranged(f, zeros), products[kind],
            shape.steps(f.pixels), shape.accumulator_bits, Keep(),
        )  # fmt: skip
        sketch = Sketch(f, conv, cost)
        found.append((sketch, sketch.candidates(uram)))
    return found
