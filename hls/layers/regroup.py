"""Stages that bring a stream to other lanes per word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import lcm

from hls.heterocl import alloc, hcl
from hls.layers.stage import Banks, Stage, Tensor, Wire, in_lane, low_word, nest, up, word_type
from hls.resources.model import mux
from ir.target import Resources


class Shifting(Stage):
    """Keeps what is left of a word that it read and shifts it: a LUT and a flip-flop per bit."""

    @property
    def resources(self) -> Resources:
        bits = self.sources[0].word_bits
        return super().resources + Resources(lut=bits, ff=bits)


@dataclass(frozen=True)
class Split(Shifting):
    """Fewer lanes per word: each word becomes several, its low lanes first."""

    def trace(self, sources: Sequence[Tensor], targets: Sequence[Tensor]) -> Sequence[Banks]:
        source, target = self.sources[0], self.targets[0]
        rest = alloc((2,), f"{self.name}_rest", word_type(source))
        ratio = target.groups // source.groups
        with nest(self.name, y=source.rows, col=source.columns, g=source.groups, k=ratio) as (y, col, g, k):
            with hcl.if_(k == 0):
                rest[0] = sources[0][y, col, g]
            v = hcl.scalar(rest[0], "v", dtype=word_type(source))
            targets[0][y, col, g * ratio + k] = low_word(v.v, target)
            rest[0] = v.v >> target.word_bits
        return ()

    @property
    def pipelined(self) -> tuple[str, ...]:
        return ("k",)

    @property
    def cycles(self) -> int:
        return self.targets[0].words


@dataclass(frozen=True)
class Merge(Stage):
    """More lanes per word: several words become one, the first in the low lanes."""

    def trace(self, sources: Sequence[Tensor], targets: Sequence[Tensor]) -> Sequence[Banks]:
        source, target = self.sources[0], self.targets[0]
        ratio = source.groups // target.groups
        word = word_type(target)
        gathered = alloc((2,), f"{self.name}_gathered", word)
        with nest(self.name, y=source.rows, col=source.columns, g=target.groups, k=ratio) as (y, col, g, k):
            fresh = hcl.scalar(sources[0][y, col, g * ratio + k], "fresh", dtype=word_type(source))
            v = hcl.scalar(up(fresh.v, k * source.word_bits, word), "v", dtype=word)
            with hcl.if_(k > 0):
                v.v = v.v | gathered[0]
            gathered[0] = v.v
            with hcl.if_(k == ratio - 1):
                targets[0][y, col, g] = v.v
        return ()

    @property
    def pipelined(self) -> tuple[str, ...]:
        return ("k",)

    @property
    def cycles(self) -> int:
        return self.sources[0].words


@dataclass(frozen=True)
class Narrow(Shifting):
    """Fewer lanes per word where they do not divide the source's: words cross from one of the source into the next.

    ``period`` words of the source are so many of the target, and then all begins again. The source is read as late as
    can be, so less than two words are ever held.
    """

    @property
    def period(self) -> tuple[int, int]:
        return _period(self.sources[0].lanes, self.targets[0].lanes)

    def trace(self, sources: Sequence[Tensor], targets: Sequence[Tensor]) -> Sequence[Banks]:
        source, target, (read, written) = self.sources[0], self.targets[0], self.period
        wide, narrow = word_type(source), word_type(target)
        rest = alloc((2,), f"{self.name}_rest", wide)
        extents = {"y": source.rows, "col": source.columns, "g": source.groups // read, "k": written}
        with nest(self.name, **extents) as (y, col, g, k):
            old = hcl.scalar(0, "old", dtype=wide)
            with hcl.if_(k > 0):
                old.v = rest[0]
            v = hcl.scalar(low_word(old.v, target), "v", dtype=narrow)
            left = hcl.scalar(old.v >> target.word_bits, "left", dtype=wide)
            for word in range(read):
                first, inside = divmod(word * source.lanes, target.lanes)  # the target's word it begins in, and where
                with hcl.if_(k == first):
                    fresh = hcl.scalar(sources[0][y, col, g * read + word], "fresh", dtype=wide)
                    v.v = v.v | up(fresh.v, inside * source.bits, narrow) if inside else fresh.v
                    left.v = fresh.v >> ((target.lanes - inside) * source.bits)
            rest[0] = left.v
            targets[0][y, col, g * written + k] = v.v
        return ()

    @property
    def pipelined(self) -> tuple[str, ...]:
        return ("k",)

    @property
    def cycles(self) -> int:
        return self.targets[0].words


@dataclass(frozen=True)
class Widen(Stage):
    """More lanes per word where the source's do not divide them: words cross from one word of the target into the next.

    ``period`` words of the source are so many of the target, and then all begins again. All are written in the last
    steps of a period, one in each: then the place of every held word in the one written is linear in the step.
    """

    @property
    def period(self) -> tuple[int, int]:
        return _period(self.sources[0].lanes, self.targets[0].lanes)

    @property
    def held(self) -> int:
        """Words read at the first one written."""
        read, written = self.period
        return read - written + 1

    def trace(self, sources: Sequence[Tensor], targets: Sequence[Tensor]) -> Sequence[Banks]:
        source, target, (read, written) = self.sources[0], self.targets[0], self.period
        narrow, wide, idle = word_type(source), word_type(target), read - written
        held = alloc((max(self.held, 2),), f"{self.name}_held", narrow)
        extents = {"y": source.rows, "col": source.columns, "g": target.groups // written, "k": read}
        with nest(self.name, **extents) as (y, col, g, k):
            for age in range(self.held - 1, 0, -1):
                held[age] = held[age - 1]
            held[0] = sources[0][y, col, g * read + k]
            v = hcl.scalar(0, "v", dtype=wide)
            for age in range(self.held):
                word = hcl.scalar(held[age], "word", dtype=narrow)
                place = (k - age) * source.lanes - (k - idle) * target.lanes
                with hcl.if_(hcl.and_(place >= 0, place < target.lanes)):
                    v.v = v.v | up(word.v, place * source.bits, wide)
                with hcl.if_(hcl.and_(place < 0, place > -source.lanes)):
                    v.v = v.v | hcl.cast(wide, word.v >> (place * -source.bits))
            with hcl.if_(k >= idle):
                targets[0][y, col, g * written + k - idle] = v.v
        return [(held, 0)]

    @property
    def pipelined(self) -> tuple[str, ...]:
        return ("k",)

    @property
    def cycles(self) -> int:
        return self.sources[0].words

    @property
    def resources(self) -> Resources:
        bits = self.targets[0].word_bits
        return super().resources + mux(self.held + 1, bits) + Resources(ff=self.held * self.sources[0].word_bits)


def _period(source: int, target: int) -> tuple[int, int]:
    """How many words of so many lanes are how many words of the others."""
    lanes = lcm(source, target)
    return lanes // source, lanes // target


def regrouping(source: int, target: int) -> list[tuple[type[Stage], int]]:
    """The stages that bring words of ``source`` lanes to ``target`` lanes, with the lanes behind each.

    The smallest divisor of the larger count that holds the smaller one is on the way: no step has more words a pixel
    than the ends, and the steps that cross words have few to hold.
    """
    if source == target:
        return []
    large, small = max(source, target), min(source, target)
    middle = min(n for n in range(small, large + 1) if large % n == 0)
    steps: list[tuple[type[Stage], int]] = [(Split, middle), (Narrow, target)]
    if source < target:
        steps = [(Widen, middle), (Merge, target)]
    return [(kind, n) for (kind, n), before in zip(steps, (source, middle), strict=True) if n != before]


def regrouped(wire: Wire, lanes: int) -> list[Stage]:
    """The stages that bring a wire to so many lanes; the last one's target is the result."""
    stages = list[Stage]()
    for kind, count in regrouping(wire.lanes, lanes):
        name = f"{wire.name}_by{count}"
        target = replace(wire, name=name, groups=wire.groups * wire.lanes // count, lanes=count, depth=2)
        stages.append(kind(f"{name}_{kind.__name__.lower()}", (wire,), (target,)))
        wire = target
    return stages


@dataclass(frozen=True)
class Deal(Shifting):
    """Deals the lanes of each word out to several words in turn: word k takes lanes k, k + n, k + 2 * n, ... of n."""

    def trace(self, sources: Sequence[Tensor], targets: Sequence[Tensor]) -> Sequence[Banks]:
        source, target = self.sources[0], self.targets[0]
        ways, word = target.groups // source.groups, word_type(target)
        rest = alloc((2,), f"{self.name}_rest", word_type(source))
        with nest(self.name, y=source.rows, col=source.columns, g=source.groups, k=ways) as (y, col, g, k):
            old = hcl.scalar(0, "old", dtype=word_type(source))
            with hcl.if_(k == 0):
                old.v = sources[0][y, col, g]
            with hcl.else_():
                old.v = rest[0]
            v = hcl.scalar(0, "v", dtype=word)
            with hcl.for_(0, target.lanes, name="c") as c:
                v.v = v.v | in_lane(old.v >> (c * (ways * source.bits)), c, source.bits, word)
            rest[0] = old.v >> source.bits
            targets[0][y, col, g * ways + k] = v.v
        return ()

    @property
    def pipelined(self) -> tuple[str, ...]:
        return ("k",)

    @property
    def cycles(self) -> int:
        return self.targets[0].words
