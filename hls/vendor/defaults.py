"""The plan of an accelerator that its stages imply."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hls.layers.stage import MemoryStyle, Stage
from hls.packing import Geometry
from hls.program import Design

from .errors import VendorError
from .lookup import Text
from .plan import (
    Axis,
    Control,
    Interface,
    Interval,
    MemoryMaster,
    Multiplications,
    Partition,
    Plan,
    Storage,
    StorageKind,
    StorageType,
)
from .postpass import applied
from .roms import Rom, roms

LUT_WORDS = 64
"""Words up to which a ROM of style ``auto`` is made of LUTs: the ROM of one 6-input LUT."""

WIDEST = 4096
"""Bits of a memory's word that array_reshape is asked for; further parts are memories of their own."""

_KINDS: dict[MemoryStyle, StorageKind] = {"lut": "lutram", "bram": "bram", "uram": "uram"}


def vendor_text(text: str, design: Design, dsp: Geometry) -> str:
    """The C++ of a design with the pragmas of its default plan.

    Raises:
        VendorError: see `post_pass`.
    """
    known = Text.of(text)
    return applied(known, default_plan(known, design, dsp))


def default_plan(text: Text, design: Design, dsp: Geometry) -> Plan:
    """Streams to AXI4-Stream, arrays to an AXI4 master each, control by AXI4-Lite; products of weights (the array
    ``<stage>_w``, else all) to what the stage asks for; ROMs apart along unrolled loops; pipelined loops at one cycle.

    Args:
        text: the printed design, from either implementation of HeteroCL.
        dsp: the multiplier whose ports packed operands fill.
    """
    found = {stage.name: roms(text, text.function(stage.name)) for stage in design.stages}
    return Plan(
        ports=tuple(port.wire.name for port in design.ports),
        interfaces=(*_interfaces(text, design), Control()),
        multiplications=tuple(m for stage in design.stages for m in _multiplications(text, stage, dsp)),
        storage=tuple(s for stage in design.stages for s in _storage(text, stage, found[stage.name])),
        partitions=tuple(p for stage in design.stages for p in _partitions(stage, found[stage.name])),
        intervals=tuple(Interval(s.name, loop, style="flp") for s in design.stages for loop in s.pipelined),
    )


def _interfaces(text: Text, design: Design) -> Iterator[Interface]:
    names = tuple(port.wire.name for port in design.ports)
    for i, name in enumerate(names):
        yield Axis(name) if text.port(name, names).type.stream else MemoryMaster(name, f"gmem{i}")


def _multiplications(text: Text, stage: Stage, dsp: Geometry) -> Iterator[Multiplications]:
    """None for blocks whose ports take unsigned operands of their whole width: they are of other vendors."""
    ports = dsp.multipliers[0].ports
    if stage.hints.multiply is None or any(port.unsigned >= port.signed for port in ports):
        return
    weights = f"{stage.name}_w"
    has_weights = any(array.name == weights for array in text.arrays(text.function(stage.name)))
    memory = weights if has_weights else None
    yield Multiplications(stage.name, stage.hints.multiply, (dsp.wide, dsp.narrow), memory)


def _partitions(stage: Stage, found: Sequence[Rom]) -> Iterator[Partition]:
    """ROMs in parts; those of several words a part that are read at one place become as wide as is allowed: the words
    of an iteration then share memories."""
    for rom in found:
        element = rom.array.type.element
        bits = element.bits if element and rom.aligned and rom.depth > 1 else WIDEST
        wide = set[int]()
        for dimension in reversed(rom.apart):
            bits *= rom.array.shape[dimension - 1]
            if bits <= WIDEST:
                wide.add(dimension)
        for dimension in rom.apart:
            yield Partition(stage.name, rom.array.name, dimension=dimension, reshape=dimension in wide)


def _storage(text: Text, stage: Stage, found: Sequence[Rom]) -> Iterator[Storage]:
    """ROMs by style or size, those of one word a part are wired constants; other arrays where the stage names a style.

    Raises:
        VendorError: a hint for an array that the stage does not have.
    """
    styles = dict(stage.hints.memories)
    function = text.function(stage.name)
    arrays = [array.name for array in text.arrays(function) if array not in function.parameters]
    unknown = [name for name in styles if name not in arrays]
    if unknown:
        raise VendorError(f"stage {stage.name} has no array {unknown[0]} (its arrays: {', '.join(arrays) or 'none'})")
    for rom in found:
        style = styles.pop(rom.array.name, "auto")
        if rom.depth > 1:
            by_size: StorageKind = "lutram" if rom.depth <= LUT_WORDS else "bram"
            yield Storage(stage.name, rom.array.name, _ports(rom), by_size if style == "auto" else _KINDS[style])
    for name, style in styles.items():
        if style != "auto":
            yield Storage(stage.name, name, "ram_s2p", _KINDS[style])


def _ports(rom: Rom) -> StorageType:
    return "rom_1p" if rom.reads <= 1 else "rom_2p" if rom.reads == 2 else "rom_np"
