"""Requantisation inside a stage: accumulator to output lane, by multiply-shift, by thresholds, or not at all."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hls.heterocl import hcl
from hls.layers.stage import Banks, Stage, Tensor, in_lane, lane, raster, signed_type, word_type
from hls.packing import signed_bits
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
    def resources(self, accumulator_bits: int) -> Resources:
        """Per result and cycle."""


@dataclass(frozen=True)
class Keep(Requantise):
    """The accumulator itself."""

    def constants(self, name: str, groups: int) -> tuple[Tensor, ...]:
        return ()

    def apply(self, value: Any, g: Any, c: Any, roms: Sequence[Tensor]) -> Any:
        return value.v

    def resources(self, accumulator_bits: int) -> Resources:
        return Resources()


@dataclass(frozen=True)
class ScaleShift(Requantise):
    """``clip((x * mul[c] + add[c]) >> shift, lo, hi)``; ``add`` holds the rounding constant ``2**(shift-1)`` too."""

    mul: Ints = field(repr=False)
    add: Ints = field(repr=False)
    shift: int = 1
    lo: int = 0
    hi: int = 1
    scaled_bits: int = 40
    """Signed width of every ``(x * mul[c] + add[c]) >> shift`` that can occur."""

    @property
    def mul_bits(self) -> int:
        return signed_bits(int(self.mul.min()), int(self.mul.max()))

    @property
    def add_bits(self) -> int:
        return signed_bits(int(self.add.min()), int(self.add.max()))

    def constants(self, name: str, groups: int) -> tuple[Tensor, ...]:
        return (
            hcl.const_tensor(self.mul.reshape(groups, -1), f"{name}_mul", signed_type(self.mul_bits)),
            hcl.const_tensor(self.add.reshape(groups, -1), f"{name}_add", signed_type(self.add_bits)),
        )

    def apply(self, value: Any, g: Any, c: Any, roms: Sequence[Tensor]) -> Any:
        mul, add = roms
        wide = hcl.scalar(
            (value.v * mul[g, c] + add[g, c]) >> self.shift, "scaled", dtype=signed_type(self.scaled_bits)
        )
        low = hcl.scalar(hcl.select(wide.v < self.lo, self.lo, wide.v), "low", dtype=signed_type(self.scaled_bits))
        return hcl.select(low.v > self.hi, self.hi, low.v)

    def resources(self, accumulator_bits: int) -> Resources:
        return Resources(lut=40, dsp=multipliers(accumulator_bits, self.mul_bits))


@dataclass(frozen=True)
class Compare(Requantise):
    """``offset + #{t : x >= table[c, t]}``, with ``<=`` where ``rising[c]`` is 0."""

    table: Ints = field(repr=False)
    rising: Ints = field(repr=False)
    offset: int = 0

    def constants(self, name: str, groups: int) -> tuple[Tensor, ...]:
        # x <= t is -x >= -t: falling channels compare negated values, so one comparison serves both.
        signed = np.where(self.rising[:, None] != 0, self.table, -self.table)
        bits = signed_bits(int(signed.min()), int(signed.max()))
        shape = (groups, len(self.table) // groups, self.table.shape[1])
        return (
            hcl.const_tensor(signed.reshape(shape), f"{name}_thresholds", signed_type(bits)),
            hcl.const_tensor(np.where(self.rising != 0, 0, 1).reshape(shape[:2]), f"{name}_falling", hcl.Int(2)),
        )

    def apply(self, value: Any, g: Any, c: Any, roms: Sequence[Tensor]) -> Any:
        table, falling = roms
        bits = value.dtype.bits + 1
        x = hcl.scalar(hcl.select(falling[g, c] > 0, 0 - value.v, value.v), "x", dtype=hcl.Int(bits))
        level = hcl.scalar(self.offset, "level", dtype=hcl.Int(16))
        with hcl.for_(0, self.table.shape[1], name="t") as t:
            level.v += hcl.select(x.v >= table[g, c, t], 1, 0)
        return level.v

    def resources(self, accumulator_bits: int) -> Resources:
        return Resources(lut=self.table.shape[1] * (accumulator_bits // 2 + 2))


def multipliers(left: int, right: int) -> int:
    """27x18 multipliers for a signed product of the given widths."""
    return min(-(-left // 26) * -(-right // 17), -(-left // 17) * -(-right // 26))


@dataclass(frozen=True)
class RequantiseStage(Stage):
    """A requantisation on its own, where it is not fused into the layer that made the accumulators."""

    rule: Requantise = field(default_factory=Keep)

    def trace(self, sources: Sequence[Tensor], targets: Sequence[Tensor]) -> Sequence[Banks]:
        source, target = self.sources[0], self.targets[0]
        roms = self.rule.constants(self.name, target.groups)
        with raster(source, self.name) as (y, x, g):
            new = hcl.scalar(sources[0][y, x, g], "new", dtype=word_type(source))
            out = hcl.scalar(0, "out", dtype=word_type(target))
            with hcl.for_(0, source.lanes, name="c") as c:
                acc = hcl.scalar(
                    lane(new.v, c, source.bits, source.signed),
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
        total = super().resources
        for _ in range(self.sources[0].lanes):
            total = total + self.rule.resources(self.sources[0].bits)
        return total
