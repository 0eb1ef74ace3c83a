"""Element by element: sums and products of two streams, and per-channel maps of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from hls.heterocl import alloc, hcl
from hls.layers.requantise import Requantise
from hls.layers.stage import Banks, Hints, Stage, Tensor, Wire, in_lane, lane, raster, signed_type, word_type
from hls.packing import Geometry, signed_bits
from hls.resources.model import adder, clip, lut_dot, multiply_dsp, mux, ram, rom, times, total
from ir.target import Resources
from ir.types import Ints

FABRIC_LUTS = 100
"""LUTs up to which a product is made of them: on a ZU3EG a multiplier block has 196 LUTs beside it."""


def element(word: Tensor, wire: Wire, c: Any) -> Any:
    """Lane c of a word; the only lane of a word that has but one."""
    return lane(word.v, c if wire.lanes > 1 else 0, wire.bits, wire.signed, wire.bipolar)


@dataclass(frozen=True)
class Sum(Stage):
    """Adds two streams of the same shape, word by word; lanes may differ in width and sign."""

    def trace(self, sources: Sequence[Tensor], targets: Sequence[Tensor]) -> Sequence[Banks]:
        (left, right), target = self.sources, self.targets[0]
        with raster(target, self.name) as (y, x, g):
            a = hcl.scalar(sources[0][y, x, g], "a", dtype=word_type(left))
            b = hcl.scalar(sources[1][y, x, g], "other", dtype=word_type(right))
            out = hcl.scalar(0, "out", dtype=word_type(target))
            with hcl.for_(0, target.lanes, name="c") as c:
                added = element(a, left, c) + element(b, right, c)
                out.v = out.v | in_lane(added, c, target.bits, word_type(target))
            targets[0][y, x, g] = out.v
        return ()

    @property
    def cycles(self) -> int:
        return self.targets[0].words

    @property
    def resources(self) -> Resources:
        return super().resources + times(self.targets[0].lanes, adder(max(wire.bits for wire in self.sources)))


@dataclass(frozen=True)
class Product(Stage):
    """Multiplies two streams. The second may have one row and column (a gate per channel) or one lane (per pixel): its
    words are read where they are first needed and kept for where they are needed again."""

    dsp: Geometry

    def trace(self, sources: Sequence[Tensor], targets: Sequence[Tensor]) -> Sequence[Banks]:
        (left, right), target = self.sources, self.targets[0]
        kept = alloc((max(right.groups, 2),), f"{self.name}_kept", word_type(right))
        with raster(target, self.name) as loops:
            spread = [own < extent for own, extent in zip(right.shape, target.shape, strict=True)]
            place = [0 if again else v for v, again in zip(loops, spread, strict=True)]
            b = hcl.scalar(0, "other", dtype=word_type(right))
            if any(spread):
                with hcl.if_(hcl.and_(*(v == 0 for v, again in zip(loops, spread, strict=True) if again))):
                    b.v = sources[1][tuple(place)]
                    kept[place[2]] = b.v
                with hcl.else_():
                    b.v = kept[place[2]]
            else:
                b.v = sources[1][tuple(place)]
            a = hcl.scalar(sources[0][loops], "a", dtype=word_type(left))
            out = hcl.scalar(0, "out", dtype=word_type(target))
            with hcl.for_(0, target.lanes, name="c") as c:
                product = element(a, left, c) * element(b, right, c)
                out.v = out.v | in_lane(product, c, target.bits, word_type(target))
            targets[0][loops] = out.v
        return ()

    @property
    def cycles(self) -> int:
        return self.targets[0].words

    @property
    def each(self) -> Resources:
        """One product: in LUTs where few do."""
        left, right = (wire.bits + (not wire.signed) for wire in self.sources)
        logic = lut_dot(1, left, right)
        return logic if logic.lut <= FABRIC_LUTS else multiply_dsp(left, right, self.dsp)

    @property
    def hints(self) -> Hints:
        """A product of several multiplier blocks is left to the tool; one of two signs is no multiplication."""
        if all(source.bipolar for source in self.sources):
            return Hints()
        kinds: dict[int, Literal["dsp", "fabric"]] = {0: "fabric", 1: "dsp"}
        return Hints(kinds.get(self.each.dsp))

    @property
    def resources(self) -> Resources:
        kept = self.sources[1] if self.sources[1].shape != self.targets[0].shape else None
        memory = ram(kept.groups, kept.word_bits) if kept else Resources()
        return total(super().resources, times(self.targets[0].lanes, self.each), memory)


@dataclass(frozen=True)
class Offset(Requantise):
    """``x + add[c]``."""

    add: Ints = field(repr=False)

    def constants(self, name: str, groups: int) -> tuple[Tensor, ...]:
        return (_per_lane(self.add, f"{name}_add", groups),)

    def apply(self, value: Any, g: Any, c: Any, roms: Sequence[Tensor]) -> Any:
        return value.v + roms[0][g, c]

    def resources(self, accumulator_bits: int, groups: int) -> Resources:
        bits = _bits(self.add)
        return adder(max(accumulator_bits, bits)) + rom(groups, bits)


@dataclass(frozen=True)
class Clamp(Requantise):
    """``min(max(x, lo), hi)``; an end that no x passes is None and costs nothing."""

    lo: int | None
    hi: int | None

    @property
    def ends(self) -> Ints:
        return np.array([end for end in (self.lo, self.hi) if end is not None], np.int64)

    def constants(self, name: str, groups: int) -> tuple[Tensor, ...]:
        # A memory of two: HeteroCL wraps constants beyond 32 bits, and loses memories of one element.
        if not len(self.ends):
            return ()
        return (hcl.const_tensor(np.resize(self.ends, 2), f"{name}_ends", signed_type(_bits(self.ends))),)

    def apply(self, value: Any, g: Any, c: Any, roms: Sequence[Tensor]) -> Any:
        v = hcl.scalar(value.v, "clipped", dtype=value.dtype)
        if self.lo is not None:
            v.v = hcl.select(v.v < roms[0][0], roms[0][0], v.v)
        if self.hi is not None:
            v.v = hcl.select(v.v > roms[0][1], roms[0][1], v.v)
        return v.v

    def resources(self, accumulator_bits: int, groups: int) -> Resources:
        return clip(accumulator_bits, _bits(self.ends)) if len(self.ends) else Resources()


@dataclass(frozen=True)
class Bend(Requantise):
    """PReLU: ``x << shift`` where x >= 0, else ``x * slope[c]``; RPReLU with x moved by ``before[c]`` and the result by
    ``after[c]``. ``input_bits`` hold the moved x, ``bits`` the result before it is moved."""

    slope: Ints = field(repr=False)
    shift: int
    input_bits: int
    bits: int
    dsp: Geometry
    before: Ints | None = field(default=None, repr=False)
    after: Ints | None = field(default=None, repr=False)

    def constants(self, name: str, groups: int) -> tuple[Tensor, ...]:
        named = {"slope": self.slope, "before": self.before, "after": self.after}
        return tuple(_per_lane(v, f"{name}_{key}", groups) for key, v in named.items() if v is not None)

    def apply(self, value: Any, g: Any, c: Any, roms: Sequence[Tensor]) -> Any:
        slope, *moves = roms
        moved = value.v if self.before is None else value.v + moves[0][g, c]
        x = hcl.scalar(moved, "moved", dtype=signed_type(self.input_bits))
        wide = signed_type(max(self.bits, 3))  # in HeteroCL two bits shifted left are 0
        bent = hcl.scalar(hcl.cast(wide, x.v) << self.shift, "bent", dtype=wide)
        with hcl.if_(x.v < 0):
            bent.v = x.v * slope[g, c]
        return bent.v if self.after is None else bent.v + moves[-1][g, c]

    def resources(self, accumulator_bits: int, groups: int) -> Resources:
        tables = [v for v in (self.slope, self.before, self.after) if v is not None]
        moves = [
            adder(bits) for v, bits in ((self.before, self.input_bits), (self.after, self.bits + 1)) if v is not None
        ]
        return total(
            multiply_dsp(self.input_bits, _bits(self.slope), self.dsp),
            mux(2, self.bits),
            *moves,
            rom(groups, sum(_bits(v) for v in tables)),
        )


def _bits(values: Ints) -> int:
    return signed_bits(int(values.min()), int(values.max()))


def _per_lane(values: Ints, name: str, groups: int) -> Tensor:
    """A ROM with an entry per (group, lane)."""
    return hcl.const_tensor(values.reshape(groups, -1), name, signed_type(_bits(values)))
