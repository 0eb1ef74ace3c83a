"""A convolution's geometry: packings, foldings, and the stages that follow from them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product

import numpy as np

from hls.layers.constant import MOST_CONSTANTS, ConstantMultiply
from hls.layers.convolution import Convolution, Steps
from hls.layers.fabric import BitPlanes
from hls.layers.multiply import Multiply
from hls.layers.packed import PackedMultiply
from hls.layers.requantise import Keep, Requantise
from hls.layers.stage import WORD_BITS, MemoryStyle, Stage, WeightStyle, Wire
from hls.layers.weights import FED, WeightFeed
from hls.layers.windows import Columns, Windows
from hls.nodes.base import UnsupportedNodeError, fused_user, lane_counts
from hls.nodes.requantise import requantisation
from hls.packing import Geometry, Range, signed_bits
from hls.packing.rows import TYPICAL_LANES, dense_packings, find_packing, row_key, row_packings, row_rate
from ir.engine import Configuration
from ir.graph import NodeView
from ir.ops import Conv2d
from ir.ops.convolution import constant_sums
from ir.types import Ints

FABRIC_PIXELS = (1, 2, 4)
"""Pixels per step that products in LUTs are tried with."""

MOST_WORDS = 8
"""Words of channels taken in parallel; each is a line buffer of its own."""


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


def fed(convolution: Convolution, style: WeightStyle) -> list[Stage]:
    """The convolution with its weights where ``style`` says. UnsupportedNodeError where they are in no memory."""
    if style not in FED:
        return [convolution]
    if not convolution.multiply.memory_bits or convolution.iterations == 1:
        raise UnsupportedNodeError(f"{convolution.name}: weights of style {style}, but each has a place of its own")
    feed = WeightFeed.of(convolution, style)
    return [feed, convolution.fed_by(feed)]


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
class Layer:
    """The numbers of a convolution on a board with multiplier blocks ``dsp``, and how it may be built."""

    view: NodeView
    dsp: Geometry

    @property
    def op(self) -> Conv2d:
        assert isinstance(self.view.op, Conv2d)
        return self.view.op

    @cached_property
    def weight(self) -> Range:
        w = self.view.operands[1].type
        return Range(w.lo, w.hi).with_zero()

    @cached_property
    def activation(self) -> Range:
        x = self.view.operands[0].type
        return Range(x.lo, x.hi).with_zero()

    @cached_property
    def kernel(self) -> tuple[int, int]:
        return self.view.operands[1].type.shape[2:]  # type: ignore[return-value]

    @cached_property
    def phases(self) -> Phases:
        columns = self.view.operands[0].type.shape[2]
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
        w = self.view.operands[1].type.shape
        return w[1], w[0] // self.op.groups

    def steps(self, pixels: int) -> Steps:
        x, out = self.view.operands[0].type.shape, self.view.type.shape
        read = -(-(self.phases.pixels(x[2], self.op.stride[1]) + self.inserted) // pixels)
        outputs, before = -(-out[2] // pixels), self.taps - 1 - self.lead
        delay = -(-before // pixels)
        wraps = read <= outputs and delay <= outputs
        return Steps(out[1], outputs if wraps else max(read, outputs + delay), outputs, delay, delay * pixels - before)

    @cached_property
    def accumulator_bits(self) -> int:
        """Signed width of every sum of a part of the products."""
        sums, (low, high) = constant_sums(self.view.operands[1].constant), (self.activation.lo, self.activation.hi)
        return signed_bits(min(p * low + n * high for n, p in sums), max(p * high + n * low for n, p in sums))

    def multiply(self, folding: Folding) -> Multiply:
        if not folding.channels:
            found = (self.taps, folding.pixels, self.weight, self.activation)
            return ConstantMultiply(*found, self._constants(folding)) if self._wired(folding) else BitPlanes.of(*found)
        key = folding.channels, folding.width, folding.overlap, folding.offset
        built = find_packing(key, self.weight, self.activation, self.taps, self.dsp)
        return PackedMultiply(self.taps, folding.pixels, self.weight, self.activation, built, self._totals)

    def _wired(self, folding: Folding) -> bool:
        """Whether every weight has its own place, and they are few enough for a graph of adders."""
        weights, f = self.view.operands[1].constant, folding
        places = f.groups * f.pe * f.words * f.simd * f.rows * self.kernel[1]
        wired = places == weights.size and self.phases.count == 1
        return wired and int(np.count_nonzero(weights)) * f.pixels <= MOST_CONSTANTS

    def _constants(self, folding: Folding) -> Ints:
        """Weights (lane groups, outputs, lanes, taps) of a folding without loops over them."""
        return self._arranged(folding)[0, :, 0, :, 0].reshape(folding.groups, folding.pe, -1, self.taps)

    def foldings(self) -> Iterator[Folding]:
        """All that fit the words of the streams."""
        for base in (*self._packed(), *self._fabric()):
            yield from self._foldings(base)

    def _packed(self) -> Iterator[Folding]:
        width = self.view.type.shape[2]
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
            if pixels <= self.view.type.shape[2]:
                yield Folding(0, 1, pixels=pixels)

    def _foldings(self, base: Folding) -> Iterator[Folding]:
        """SIMD, PE and what else is done in parallel, for a packing."""
        inputs, outputs = self.channels
        x, out = self.view.operands[0].type.dtype.bits, (fused_user(self.view) or self.view).type.dtype.bits
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

    def fitting(self, folding: Folding) -> Folding:
        """The folding, or one of fewer output lanes where accumulators leave the region unrequantised and are wider."""
        out = (fused_user(self.view) or self.view).type.dtype.bits
        if folding.pe * folding.groups * folding.pixels * out <= WORD_BITS:
            return folding
        options = list(self.foldings())
        alike = [f for f in options if (f.simd, f.groups) == (folding.simd, folding.groups)]
        return max(
            alike, key=lambda f: (f.words == folding.words, f.rows == folding.rows, f.pe * f.pixels * (f.channels > 0))
        )

    def stages(self, source: Wire, folding: Folding, sketch: bool = False) -> list[Stage]:
        """Line buffers and the convolution with its requantisation, from a raster wire. A ``sketch`` has zeros for
        weights, and the time and resources of the real one."""
        user, multiply, steps = fused_user(self.view), self.multiply(folding), self.steps(folding.pixels)
        out = (user or self.view).type
        buffers, sources = self._buffers(source, folding, steps)
        lanes = folding.groups * folding.pe
        target = Wire(
            f"{self.view.name}_out", steps.rows, steps.outputs, out.shape[0] // lanes, lanes, out.dtype.bits,
            out.dtype.signed and out.dtype.kind != "bipolar", folding.pixels, bipolar=out.dtype.kind == "bipolar",
        )  # fmt: skip
        conv = Convolution(
            self.view.name, tuple(sources), (target,), self._arranged(folding, sketch), multiply, steps,
            self.accumulator_bits, self.rule, self._rom(folding),
        )  # fmt: skip
        return [*buffers, *fed(conv, folding.memory)]

    def _rom(self, folding: Folding) -> MemoryStyle:
        """What a ROM of weights is made of."""
        return "auto" if folding.memory == "uram" or folding.memory == "streamed" else folding.memory

    @cached_property
    def rule(self) -> Requantise:
        user = fused_user(self.view)
        return requantisation(user, self.dsp) if user else Keep()

    @property
    def _serial_groups(self) -> bool:
        """Whether Columns must bring a group's phases together; see `_arranged`."""
        return self.op.groups > 1 and self.phases.count > 1

    def _buffers(self, source: Wire, folding: Folding, steps: Steps) -> tuple[list[Stage], list[Wire]]:
        name, op, wires, stages = self.view.name, self.op, [source], list[Stage]()
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
                    self.phases.shift, self.inserted, self._serial_groups,
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

    def _arranged(self, folding: Folding, sketch: bool = False) -> Ints:
        """Weights in the order of the words: see `Convolution.weights`."""
        (inputs, outputs), kh, f = self.channels, self.kernel[0], folding
        blocks = self.op.groups // f.groups
        shape = (
            blocks, f.groups, outputs // f.pe, f.pe, inputs // (f.words * f.simd), f.words, f.simd,
            kh // f.rows, f.rows, self.phases.count, self.taps,
        )  # fmt: skip
        shaped = np.broadcast_to(np.int64(0), shape) if sketch else self._split.reshape(shape)
        # axes: block, group, og, pe, word of channels, way, lane, pass, row, phase, tap
        order = (0, 1, 2, 3, 7, 4, 9, 5, 8, 6, 10) if self._serial_groups else (0, 1, 2, 3, 7, 9, 4, 5, 8, 6, 10)
        sources, lanes = f.words * f.rows, f.simd
        return shaped.transpose(order).reshape(blocks, f.groups, outputs // f.pe, f.pe, -1, sources, lanes, self.taps)

    @cached_property
    def _split(self) -> Ints:
        """The weights (outputs, inputs, kernel rows, phases, taps)."""
        weights = self.view.operands[1].constant.astype(np.int64)
        split = np.zeros((*weights.shape[:3], self.phases.count, self.taps), np.int64)
        for column, (phase, tap) in enumerate(self.phases.taps):
            split[..., phase, tap] = weights[..., column]
        return split

    @cached_property
    def _totals(self) -> Ints:
        """The weights (outputs, taps) added up over everything else."""
        return np.asarray(self._split.sum((1, 2, 3)))
