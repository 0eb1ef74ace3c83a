"""Depths of an accelerator's streams: what the pace of the slowest stage needs, if the memory is there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from math import inf

import numpy as np
from xdsl.dialects.builtin import IntAttr, ModuleOp

from hls.heterocl.dialect import StreamOp
from hls.heterocl.lower import lower
from hls.layers.stage import Wire
from hls.program import Design, schedule
from hls.timing import LATENCY, Timing, needed_depths, network_of, paced_depths
from hls.timing.pace import Depths
from hls.timing.report import timing_of
from hls.timing.run import Runner

SHALLOW = 2
"""The depth of a stream that only couples two stages."""

SHIFT_REGISTER, BLOCK = 32, 512
"""Words up to which a stream is a shift register, and words of a block RAM at its widest."""

CHOICES = ((0.0, None), (0.02, None), (0.1, None), (0.25, None), (0.0, SHIFT_REGISTER))
"""What is given up for fewer block RAMs, one after the other: a share of the pace; room for more words than so many."""


@dataclass(frozen=True)
class Sized:
    """A design with the depths of its streams, and its time with them. ``lost``: cycles per frame that deeper streams
    would save, which were not affordable. ``module``: the design lowered."""

    design: Design
    timing: Timing
    module: ModuleOp

    @property
    def lost(self) -> int:
        return self.timing.lost


@dataclass
class Search:
    """What was found for a network so far: the least depths, those of `CHOICES`, and its time with depths."""

    least: Depths = field(default_factory=dict)
    chosen: list[Depths] = field(default_factory=list)
    timings: dict[tuple[int, ...], Timing] = field(default_factory=dict)


Searches = dict[bytes, Search]
"""By all that the answers follow from. Designs that differ in what their stages take only are one network."""


def with_sized_streams(
    design: Design, bram18: int | None = None, latency: int = LATENCY, searches: Searches | None = None
) -> Sized:
    """The design with the least depths, rounded up to what their memories hold, at which no stream slows it down.

    Where that takes more than ``bram18`` block RAMs, streams are shift registers, as deep as makes a difference, or, in
    the end, just so deep that the design does not stop. A design too large even then is not made slower. ``searches``:
    earlier ones, which are added to.

    Raises:
        DeadlockError: no depths help.
        StageError: data decides whether a stage touches a stream.
    """
    module = lower(schedule(design), last=True)
    network = network_of(module)
    runner = Runner(network.with_depths(dict.fromkeys(network.streams, SHALLOW)), latency)
    bits = {wire.name: wire.word_bits for stage in design.stages for wire in stage.targets}
    searches = {} if searches is None else searches
    search = searches.setdefault(_question(runner, bits), Search())
    least = search.least = search.least or _least(replace(runner))  # which keeps what it ran to itself
    limit = inf if bram18 is None or _bram18(design, least) > bram18 else bram18
    depths = next((d for d in _choices(runner, search, bits) if _bram18(design, d) <= limit), least)
    for stream in (op for op in module.walk() if isinstance(op, StreamOp)):
        stream.properties["depth"] = IntAttr(int(depths[stream.label.data]))
    timed = tuple(depths[name] for name in network.streams)
    if timed not in search.timings:
        search.timings[timed] = timing_of(runner, depths)
    return Sized(with_depths(design, depths), search.timings[timed], module)


def _question(runner: Runner, bits: Mapping[str, int]) -> bytes:
    """A digest of what depths are searched for."""
    network = runner.network
    digest = sha256(repr((runner.latency, [(name, bits[name]) for name in network.streams])).encode())
    for process in network.processes:
        digest.update(f"{process.name} {process.period} {len(process.events)} ".encode())
        for numbers in (process.events, process.cycles):
            digest.update(np.ascontiguousarray(numbers, np.int32).data)
    return digest.digest()


def _choices(runner: Runner, search: Search, bits: Mapping[str, int]) -> Iterator[Depths]:
    """Depths that take ever fewer block RAMs, each searched for when it is first asked for."""
    for number, (slack, ceiling) in enumerate(CHOICES):
        if number == len(search.chosen):
            search.chosen += paced_depths(runner, search.least, memory_words, bits, (slack,), ceiling)
        yield search.chosen[number]


def _bram18(design: Design, depths: Mapping[str, int]) -> int:
    return sum(stage.resources.bram18 for stage in with_depths(design, depths).stages)


def _least(runner: Runner) -> dict[str, int]:
    """Depths at which the network stops neither in order nor in time, where all that a stage writes in a cycle has to
    have room at once."""
    depths = needed_depths(runner.network)
    while not (outcome := runner.run(depths=depths)).finished:
        depths |= {name: depths[name] + 1 for name in outcome.to_write if name is not None}
    return {name: memory_words(depth) for name, depth in depths.items()}


def memory_words(words: int) -> int:
    """What the memory of a stream for so many words holds: a power of two in shift registers, else whole block RAMs."""
    if words <= SHIFT_REGISTER:
        return 1 << max(words - 1, 0).bit_length()
    return -(-words // BLOCK) * BLOCK


def with_depths(design: Design, depths: Mapping[str, int]) -> Design:
    """The design with other depths for some wires, by name."""

    def sized(wires: tuple[Wire, ...]) -> tuple[Wire, ...]:
        return tuple(replace(wire, depth=depths.get(wire.name, wire.depth)) for wire in wires)

    stages = tuple(replace(s, sources=sized(s.sources), targets=sized(s.targets)) for s in design.stages)
    return replace(design, stages=stages)
