"""What is wanted of the vendor's tool: the pragmas, as data. The grammar is that of Vitis HLS (AMD UG1399).

Functions, arrays and loops are named as the HeteroCL program names them; how either printer spells a name in C++ is the
post-pass's business. A plan is checked when it is made: every error is a `VendorError`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

from .errors import VendorError

PAGE = 4096
"""Bytes that an AXI4 burst must not cross."""


@dataclass(frozen=True)
class Axis:
    """A port of the top function as an AXI4-Stream: an ``hls::stream``, or an array that is accessed in order."""

    port: str


@dataclass(frozen=True)
class MemoryMaster:
    """An array of the top function as an AXI4 master with its address in a register of the control interface.

    ``bundle`` names the master (one a port lets all of them transfer at once), ``depth`` is the array's length for
    co-simulation (None: what the text declares), ``burst`` the most words of one transfer, ``outstanding`` how many
    transfers may be under way.
    """

    port: str
    bundle: str
    depth: int | None = None
    burst: int = 64
    outstanding: int = 4
    control: str = "control"

    def __post_init__(self) -> None:
        if self.burst not in (2, 4, 8, 16, 32, 64, 128, 256):
            raise VendorError(f"port {self.port}: burst of {self.burst} words (allowed: powers of two from 2 to 256)")
        if self.outstanding < 1 or (self.depth is not None and self.depth < 1):
            raise VendorError(f"port {self.port}: depth and outstanding transfers are at least 1")


@dataclass(frozen=True)
class Control:
    """A scalar argument, or ``return``, which starts the function and tells its end, on an AXI4-Lite interface."""

    port: str = "return"
    bundle: str = "control"


Interface = Axis | MemoryMaster | Control


@dataclass(frozen=True)
class Multiplications:
    """The products of a function that become multipliers of one kind.

    All products of two variables, or with ``memory`` those that have an element of this array as an operand; products
    with a constant are shifts and additions and never meant. On DSPs the operands are variables of exactly the signed
    widths ``ports``: it is an error if the text does not prove that they fit. In fabric they are as wide as they are.
    ``latency`` in cycles, None leaves it to the tool.
    """

    function: str
    implementation: Literal["dsp", "fabric"]
    ports: tuple[int, int] = (27, 18)
    memory: str | None = None
    latency: int | None = None

    def __post_init__(self) -> None:
        if self.implementation not in ("dsp", "fabric"):
            raise VendorError(f"{self.function}: multipliers of {self.implementation!r} (allowed: dsp, fabric)")
        if self.latency is not None and not 0 <= self.latency <= 4:
            raise VendorError(f"{self.function}: a multiplier's latency is {self.latency} (allowed: 0 to 4)")
        if min(self.ports) < 2:
            raise VendorError(f"{self.function}: multiplier ports of {self.ports} bits (allowed: 2 or more)")


StorageType = Literal["ram_1p", "ram_1wnr", "ram_2p", "ram_s2p", "ram_t2p", "rom_1p", "rom_2p", "rom_np"]
StorageKind = Literal["auto", "lutram", "bram", "uram"]

_RAM = ("auto", "lutram", "bram", "uram")
STORAGE: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("ram_1p", "ram_1wnr", "ram_2p", "ram_s2p"), _RAM),
    "ram_t2p": ("auto", "bram", "uram"),
    **dict.fromkeys(("rom_1p", "rom_2p", "rom_np"), ("auto", "lutram", "bram")),
}
"""What each kind of memory can be made of. LUTs have one write port; UltraRAM has no initial content (UG901)."""


@dataclass(frozen=True)
class Storage:
    """What an array of a function becomes; a ``rom_`` is an array of constants."""

    function: str
    array: str
    type: StorageType
    implementation: StorageKind = "auto"
    latency: int | None = None

    def __post_init__(self) -> None:
        allowed = STORAGE.get(self.type)
        if allowed is None:
            raise VendorError(f"array {self.array}: memory {self.type!r} (allowed: {', '.join(STORAGE)})")
        if self.implementation not in allowed:
            raise VendorError(
                f"array {self.array}: a {self.type} of {self.implementation} (allowed: {', '.join(allowed)})"
            )
        if self.latency is not None and not 1 <= self.latency <= 3:
            raise VendorError(f"array {self.array}: a memory's latency is {self.latency} (allowed: 1 to 3)")


@dataclass(frozen=True)
class Partition:
    """An array taken apart along a dimension (1-based, 0 = all), or with ``reshape`` laid into wider words."""

    function: str
    array: str
    kind: Literal["complete", "cyclic", "block"] = "complete"
    dimension: int = 0
    factor: int | None = None
    reshape: bool = False

    def __post_init__(self) -> None:
        if self.kind not in ("complete", "cyclic", "block"):
            raise VendorError(f"array {self.array}: partition {self.kind!r} (allowed: complete, cyclic, block)")
        if (self.kind == "complete") != (self.factor is None):
            raise VendorError(f"array {self.array}: a factor belongs to cyclic and block partitions, and to them only")
        if self.factor is not None and self.factor < 2:
            raise VendorError(f"array {self.array}: partition factor {self.factor} (allowed: 2 or more)")


@dataclass(frozen=True)
class Interval:
    """Cycles between the starts of two iterations of a loop, or with no loop between two calls of the function.

    ``style``: what iterations in flight do while the next one waits: stall (stp), or go on (flp, frp).
    """

    function: str
    loop: str | None = None
    cycles: int = 1
    style: Literal["stp", "flp", "frp"] | None = None

    def __post_init__(self) -> None:
        if self.cycles < 1:
            raise VendorError(f"{self.function}: an interval of {self.cycles} cycles (allowed: 1 or more)")


@dataclass(frozen=True)
class Plan:
    """All that is wanted of one accelerator. What is not named keeps the text's pragmas and the tool's choice.

    ``ports`` are the program's names for the top function's arguments, in order: v0.5 prints none of them.
    """

    ports: tuple[str, ...] = ()
    interfaces: tuple[Interface, ...] = ()
    multiplications: tuple[Multiplications, ...] = ()
    storage: tuple[Storage, ...] = ()
    partitions: tuple[Partition, ...] = ()
    intervals: tuple[Interval, ...] = ()

    def __post_init__(self) -> None:
        once = [f"port {i.port}" for i in self.interfaces]
        once += [f"storage of {s.array} in {s.function}" for s in self.storage]
        once += [f"partition of {p.array} in {p.function}, dimension {p.dimension}" for p in self.partitions]
        once += [f"interval of {i.function} {i.loop or ''}".rstrip() for i in self.intervals]
        twice = [entry for entry, count in Counter(once).items() if count > 1]
        if twice:
            raise VendorError(f"planned twice: {', '.join(twice)}")
