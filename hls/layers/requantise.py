"""Requantisation inside a stage: accumulator to output lane, by multiply-shift, by binary search, or not at all."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hls.heterocl import hcl
from hls.layers.stage import CONSTANT_BITS, Banks, Stage, Tensor, in_lane, lane, raster, signed_type, word_type
from hls.packing import Geometry, signed_bits
from hls.resources.model import adder, binary_search, clip, multiply_dsp, rom, times, total
from ir.target import Resources
from ir.types import Ints


@dataclass(frozen=True)
class Requantise(ABC):
    """Maps an accumulator of channel (g, c), g the group and c the lane in it, to an integer of the output type."""

    @abstractmethod
    def constants(self, name: str, groups: int) -> tuple[Tensor, ...]:
        """Declare the ROMs, one entry per (group, lane)."""

    @abstractmethod
    def apply(self, value: Any, g: Any, c: Any, roms: Sequence[Tensor]) -> Any:
        """The expression of the result; ``value`` is a HeteroCL scalar."""

    @abstractmethod
    def resources(self, accumulator_bits: int, groups: int) -> Resources:
        """Of one lane, a result per cycle, which serves one channel of each group."""


@dataclass(frozen=True)
class Keep(Requantise):
    """The accumulator itself."""

    def constants(self, name: str, groups: int) -> tuple[Tensor, ...]:
        return ()

    def apply(self, value: Any, g: Any, c: Any, roms: Sequence[Tensor]) -> Any:
        return value.v

    def resources(self, accumulator_bits: int, groups: int) -> Resources:
        return Resources()


@dataclass(frozen=True)
class ScaleShift(Requantise):
    """``clip((x * mul[c] + add[c]) >> shift, lo, hi)``; ``add`` holds the rounding constant ``2**(shift-1)`` too."""

    mul: Ints = field(repr=False)
    add: Ints = field(repr=False)
    shift: int
    lo: int
    hi: int
    scaled_bits: int
    """Signed width of every ``(x * mul[c] + add[c]) >> shift`` that can occur."""
    dsp: Geometry
    """What multiplies."""

    @property
    def mul_bits(self) -> int:
        return signed_bits(int(self.mul.min()), int(self.mul.max()))

    @property
    def add_bits(self) -> int:
        return signed_bits(int(self.add.min()), int(self.add.max()))

    @property
    def end_bits(self) -> int:
        return signed_bits(self.lo, self.hi)

    def constants(self, name: str, groups: int) -> tuple[Tensor, ...]:
        made = (
            hcl.const_tensor(self.mul.reshape(groups, -1), f"{name}_mul", signed_type(self.mul_bits)),
            hcl.const_tensor(self.add.reshape(groups, -1), f"{name}_add", signed_type(self.add_bits)),
        )
        if self.end_bits <= CONSTANT_BITS:
            return made
        return (*made, hcl.const_tensor([self.lo, self.hi], f"{name}_ends", signed_type(self.end_bits)))

    def apply(self, value: Any, g: Any, c: Any, roms: Sequence[Tensor]) -> Any:
        mul, add, *ends = roms
        lo, hi = (ends[0][0], ends[0][1]) if ends else (self.lo, self.hi)
        wide = value.v * mul[g, c] + add[g, c]
        if wide.dtype.bits <= self.shift:  # HeteroCL's right shift is undefined from the width on
            wide = hcl.cast(hcl.Int(self.shift + 1), wide)
        scaled = hcl.scalar(wide >> self.shift, "scaled", dtype=signed_type(self.scaled_bits))
        low = hcl.scalar(hcl.select(scaled.v < lo, lo, scaled.v), "low", dtype=signed_type(self.scaled_bits))
        return hcl.select(low.v > hi, hi, low.v)

    def resources(self, accumulator_bits: int, groups: int) -> Resources:
        rounding = Resources() if self.dsp.multipliers[0].addend else adder(self.scaled_bits + self.shift)
        return total(
            multiply_dsp(accumulator_bits, self.mul_bits, self.dsp),
            rounding,
            clip(self.scaled_bits, self.end_bits),
            rom(groups, self.mul_bits + self.add_bits),
        )


@dataclass(frozen=True)
class Search(Requantise):
    """The number of a channel's bounds that x reaches, by binary search: ``rise + n``, or ``fall - n`` where falling.

    ``bounds`` (C, 2**b - 1) ascend in each channel. Level l of b compares x with the middle bound of the part that the
    levels before have left, so it needs one comparator and a ROM of 2**l bounds, where comparing with all at once needs
    2**b - 1 comparators.
    """

    bounds: Ints = field(repr=False)
    falling: Ints = field(repr=False)
    rise: int
    fall: int

    @staticmethod
    def of(table: Ints, rising: Ints, offset: int, lo: int, hi: int) -> Search:
        """``offset + #{t : x >= table[c, t]}``, with ``<=`` where ``rising[c]`` is 0, for x in lo..hi.

        ``x <= t`` is ``not x >= t + 1``: a falling channel counts down. Bounds that all or no x of any channel reach
        are dropped; the rest is filled up to a full tree with ``hi + 1``, which no x reaches.
        """
        counts = table.shape[1]
        bounds = np.sort(np.clip(table + (rising[:, None] == 0), lo, hi + 1), axis=1)
        always, needed = int((bounds <= lo).all(0).sum()), (bounds <= hi).any(0) & (bounds > lo).any(0)
        bounds = bounds[:, needed]
        size = (1 << max(1, bounds.shape[1].bit_length())) - 1
        full = np.pad(bounds, ((0, 0), (0, size - bounds.shape[1])), constant_values=hi + 1)
        falling = np.where(rising == 0, 1, 0)
        return Search(full.astype(np.int64), falling, offset + always, offset + counts - always)

    @property
    def levels(self) -> int:
        return int(self.bounds.shape[1]).bit_length()

    @property
    def bound_bits(self) -> int:
        return signed_bits(int(self.bounds.min()), int(self.bounds.max()))

    def constants(self, name: str, groups: int) -> tuple[Tensor, ...]:
        roms = []
        for level in range(self.levels):
            step = 1 << (self.levels - level)
            middles = self.bounds[:, step // 2 - 1 :: step]
            shape = (groups, len(self.bounds) // groups, *([1 << level] if level else []))
            roms.append(hcl.const_tensor(middles.reshape(shape), f"{name}_bound{level}", signed_type(self.bound_bits)))
        if self.mixed:
            roms.append(hcl.const_tensor(self.falling.reshape(groups, -1), f"{name}_falling", hcl.Int(2)))
        return tuple(roms)

    @property
    def mixed(self) -> bool:
        return bool(self.falling.any() and not self.falling.all())

    def apply(self, value: Any, g: Any, c: Any, roms: Sequence[Tensor]) -> Any:
        reached = hcl.scalar(0, "reached", dtype=hcl.Int(self.levels + 2))  # signed: HeteroCL sign-extends an index
        for level in range(self.levels):
            bound = roms[level][g, c, reached.v] if level else roms[level][g, c]
            reached.v = reached.v + reached.v + hcl.select(value.v >= bound, 1, 0)
        if self.mixed:
            return hcl.select(roms[-1][g, c] > 0, self.fall - reached.v, self.rise + reached.v)
        return self.fall - reached.v if self.falling.any() else self.rise + reached.v

    def resources(self, accumulator_bits: int, groups: int) -> Resources:
        both_ways = total(rom(groups, 1), adder(self.levels + 1)) if self.mixed else Resources()
        return binary_search(int(self.bounds.shape[1]), accumulator_bits, groups) + both_ways


@dataclass(frozen=True)
class RequantiseStage(Stage):
    """A requantisation on its own, where it is not fused into the layer that made the accumulators."""

    rule: Requantise = field(default_factory=Keep)

    def trace(self, sources: Sequence[Tensor], targets: Sequence[Tensor]) -> Sequence[Banks]:
        source, target = self.sources[0], self.targets[0]
        roms = self.rule.constants(self.name, target.groups)
        with raster(source, self.name) as (y, x, g):
            word = hcl.scalar(sources[0][y, x, g], "word", dtype=word_type(source))
            out = hcl.scalar(0, "out", dtype=word_type(target))
            with hcl.for_(0, source.lanes, name="c") as c:
                acc = hcl.scalar(
                    lane(word.v, c, source.bits, source.signed, source.bipolar),
                    "acc",
                    dtype=signed_type(source.bits + (not source.signed)),
                )
                level = self.rule.apply(acc, g, c, roms)
                out.v = out.v | in_lane(level, c, target.bits, word_type(target))
            targets[0][y, x, g] = out.v
        return ()

    @property
    def cycles(self) -> int:
        return self.targets[0].words

    @property
    def resources(self) -> Resources:
        each = self.rule.resources(self.sources[0].bits, self.sources[0].groups)
        return total(super().resources, times(self.sources[0].lanes, each))
