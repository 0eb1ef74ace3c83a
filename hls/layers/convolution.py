"""Convolution as a stream: all taps of a kernel row at once, in transposed form.

At each step the stage takes ``pixels`` neighbouring activations of every kernel row and adds their products with all
taps into the sums of the outputs that they reach: ``pixels + taps - 1`` row sums. The first ``pixels`` of them are
complete; the others are carried to the next step. So no window of pixels is kept, and zeros left and right of a row
are never multiplied: at a new row the carried sums start from zero, and what the row before left in them are its last
outputs.

A step is ``groups`` x ``output groups`` x ``reductions`` iterations of the one pipelined loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from hls.layers import conv_program
from hls.layers.multiply import Multiply
from hls.layers.requantise import Keep, Requantise
from hls.layers.stage import Banks, Hints, MemoryStyle, Stage, Tensor, Wire
from hls.layers.weights import WeightFeed
from hls.resources.model import accumulator, adder, counter_nest, fifo, ram, rom, times, total
from ir.target import Resources
from ir.types import Ints


@dataclass(frozen=True)
class Steps:
    """How the steps over a row meet its outputs; counted in groups of ``pixels`` outputs.

    ``steps`` per row make ``outputs`` groups; group 0 is complete with step ``delay``, its last ``held`` pixels one
    step earlier. ``wraps``: the last ``delay`` groups of a row leave during the first steps of the next one; else a
    row has steps to spare for them, or for columns without output.
    """

    rows: int
    steps: int
    outputs: int
    delay: int
    held: int

    @property
    def wraps(self) -> bool:
        return self.outputs == self.steps

    @property
    def positions(self) -> int:
        """Steps per frame, those that empty the pipeline included."""
        return self.rows * self.steps + (self.delay if self.wraps else 0)


@dataclass(frozen=True)
class Convolution(Stage):
    """Sources: wires of windows, ``reductions`` words a group, whose lanes are (group, channel), and ``fed`` wires of
    weights behind them, where these are in no ROM; target: pixel groups.

    ``weights`` (groups, lane groups, output groups, pe, reductions, sources, channels, taps) in the order in which the
    words come; ``rule`` makes the output lanes (lane group, pe) from accumulators of ``accumulator_bits``.
    """

    weights: Ints = field(repr=False)
    multiply: Multiply
    steps: Steps
    accumulator_bits: int
    rule: Requantise = field(default_factory=Keep)
    memory: MemoryStyle = "auto"
    fed: int = 0

    def fed_by(self, feed: WeightFeed) -> Convolution:
        """The same with its weights from the feed."""
        return replace(self, sources=(*self.sources, *feed.targets), fed=feed.ways)

    @property
    def windows(self) -> tuple[Wire, ...]:
        return self.sources[: len(self.sources) - self.fed]

    @property
    def iterations(self) -> int:
        """Of a step."""
        return self.groups * self.output_groups * self.reductions

    @property
    def groups(self) -> int:
        return int(self.weights.shape[0])

    @property
    def lane_groups(self) -> int:
        return int(self.weights.shape[1])

    @property
    def output_groups(self) -> int:
        return int(self.weights.shape[2])

    @property
    def pe(self) -> int:
        return int(self.weights.shape[3])

    @property
    def reductions(self) -> int:
        return int(self.weights.shape[4])

    @property
    def channels(self) -> int:
        return int(self.weights.shape[6])

    @property
    def lanes(self) -> int:
        """Of one lane group, over all words of an iteration."""
        return len(self.windows) * self.channels

    @property
    def blocks(self) -> int:
        """Products' groups of output channels per lane group."""
        return self.pe // self.multiply.channels

    @property
    def output_lanes(self) -> int:
        """Of one pixel."""
        return self.lane_groups * self.pe

    @property
    def cycles(self) -> int:
        return self.steps.positions * self.iterations

    @property
    def pipelined(self) -> tuple[str, ...]:
        loops = {"s": self.reductions, "og": self.output_groups, "b": self.groups}
        place = "p" if self.steps.wraps else "j"
        return (next((name for name, extent in loops.items() if extent > 1), place),)

    @property
    def hints(self) -> Hints:
        """Products in LUTs are written as additions: none is left to bind."""
        in_rom = self.multiply.memory_bits > 0 and not self.fed
        return Hints("dsp" if self.multiply.multipliers else None, {f"{self.name}_w": self.memory} if in_rom else {})

    def trace(self, sources: Sequence[Tensor], targets: Sequence[Tensor]) -> Sequence[Banks]:
        return conv_program.trace(self, sources, targets[0])

    @property
    def resources(self) -> Resources:
        return self.logic + (self.fed_weights if self.fed else self.weight_rom(self.memory))

    @property
    def logic(self) -> Resources:
        """Everything but the weights' ROM."""
        return self.common + self.own

    @cached_property
    def common(self) -> Resources:
        """What does not depend on the weights' values, unless they are constants of the logic itself."""
        wire, m, groups = self.sources[0], self.multiply, self.groups * self.output_groups
        carried = (m.taps - 1) * self.accumulator_bits
        finish = total(
            times(m.sums if self.reductions > 1 else 0, accumulator(self.accumulator_bits)),
            times(m.taps - 1, adder(self.accumulator_bits)),
            ram(groups, carried, "lut") if carried else Resources(),
        )
        kept = ram(self.reductions, wire.word_bits, "lut") if self.output_groups > 1 else Resources()
        control = counter_nest((self.steps.positions, self.groups, self.output_groups, self.reductions))
        queues = total(*(fifo(w.depth, w.word_bits) for w in self.targets))
        return total(
            m.resources(self.arranged), times(self.lane_groups * self.pe, finish), times(len(self.windows), kept),
            control, queues,
        )  # fmt: skip

    @property
    def own(self) -> Resources:
        """The rest: requantisation, and what row sums begin with."""
        each = self.rule.resources(self.accumulator_bits, self.groups * self.output_groups)
        return times(self.output_lanes * self.multiply.pixels, each) + self.multiply.start_rom(self.arranged)

    def weight_rom(self, style: MemoryStyle) -> Resources:
        """The weights, a word per iteration of a step."""
        bits = self.multiply.rom_bits(self.arranged)
        return rom(self.iterations, bits, style) if bits else Resources()

    @property
    def fed_weights(self) -> Resources:
        """Registers for an iteration's weights, and what stays in a ROM beside them."""
        low = self.multiply.low_bits(self.arranged)
        registers = Resources(ff=self.memory_elements * self.multiply.memory_bits)
        return registers + (rom(self.iterations, low) if low else Resources())

    @property
    def memory_elements(self) -> int:
        """Of the weights' memory, read in an iteration."""
        return int(self.multiply.memory(self.arranged[:1, :1, :1]).size)

    @cached_property
    def arranged(self) -> Ints:
        """(groups, output groups, reductions, lane groups, blocks, channels of a product, lanes, taps)."""
        shape = (self.groups, self.output_groups, self.reductions, self.lane_groups, self.blocks, -1, self.lanes)
        return self.weights.transpose(0, 2, 4, 1, 3, 5, 6, 7).reshape(*shape, self.multiply.taps)

    @property
    def note(self) -> str:
        words = f"SIMD {self.channels * self.lane_groups}x{len(self.windows)} PE {self.pe}"
        return f"{self.multiply.taps} taps, {self.multiply.pixels} pixels, {words}, {self.multiply.summary}"

    @property
    def drawing(self) -> tuple[str, ...]:
        return self.multiply.drawing
