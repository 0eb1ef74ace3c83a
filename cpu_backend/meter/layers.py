"""Cycles per layer: runs a generated region under the meter, each layer in a region of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cpu_backend import toolchain
from cpu_backend.meter.counts import CLASSES, GROUPS, VECTOR, Counts, MeterError
from cpu_backend.meter.machine import Cycles, Machine
from cpu_backend.meter.meter import INCLUDE, Emulator, Meter, debian_emulator, wheel_emulator

MAIN = toolchain.HARNESS / "meter_main.c"
FEATURES: Mapping[str, toolchain.Feature] = toolchain.FEATURES
STAND_INS: Mapping[str, tuple[str, str, str]] = {
    "rv64gcv_zvbb": (
        "rv64gcv",
        "-DHCK_COUNT_BITS(bits,vl)=__riscv_vsrl(bits,1,vl)",
        "vcpop.v, which the meter's emulator lacks, is counted as a shift: the same class, the same beats",
    )
}
"""Instruction sets that are metered on another: which, what the compiler is told, and what readers are. Programs then
compute nonsense, with the same instructions."""
BARE_TARGET = ("-target", "riscv32-freestanding", "-mcpu=generic_rv32+m", "-nostdlib", "-static")
NOTHING = Counts(
    0, dict.fromkeys(CLASSES, 0), dict.fromkeys(VECTOR, (0,) * GROUPS), dict.fromkeys(VECTOR, 0), 0, 0, 0, 0
)


@dataclass(frozen=True)
class RegionSources:
    """A generated region on disk: its C name, the files to compile, and where it finds hc_region.h."""

    name: str
    sources: tuple[Path, ...]
    runtime: Path


@dataclass(frozen=True)
class LayerCost:
    """What a layer was counted to execute for one frame with warm caches, and the machine's estimate."""

    name: str
    counts: Counts
    cycles: Cycles


def emulator_for(isa: str) -> Emulator:
    """What runs programs of this instruction set here. ToolError where it is missing."""
    return debian_emulator(32) if isa == "rv32im" else wheel_emulator()


def build_program(region: RegionSources, isa: str, frame: bytes, folder: Path, flags: Sequence[str] = ()) -> Path:
    """A RISC-V executable that runs the region with marks; ``frame`` are its input ports one after another.

    ``isa`` may be one of `STAND_INS`."""
    if isa in STAND_INS:
        isa, define, _ = STAND_INS[isa]
        flags = [*flags, define]
    data = folder.absolute() / f"frame-{hashlib.sha256(frame).hexdigest()[:16]}.bin"
    data.write_bytes(frame)  # named by its content: the compiler's cache does not see what .incbin reads
    defines = [f"-DHC_REGION=hc_region_{region.name}", f'-DHC_INPUT="{data}"', "-DHC_METER"]
    feature, includes = FEATURES[isa], [region.runtime, INCLUDE]
    bare = isa == "rv32im"
    defines += ["-DHC_BARE"] if bare else []
    objects = toolchain.compile_objects([*region.sources, MAIN], folder, feature, includes, flags, defines)
    output = folder / f"{region.name}.metered"
    if not bare:
        return toolchain.link_riscv(objects, output)
    toolchain.run([*toolchain.riscv_compiler(), *BARE_TARGET, *objects, "-o", output], what="linking")
    return output


def measure_region(
    meter: Meter, machine: Machine, program: Path, vlen: int, layers: Sequence[str]
) -> tuple[LayerCost, ...]:
    """The cost of every layer, in order; those that others execute (a concatenation written in place) cost nothing.

    MeterError where the program's marks are not those of ``layers``.
    """
    counts = meter.run(program, vlen=vlen, caches=machine.caches)
    if unknown := sorted(number for number in counts if number >= len(layers)):
        raise MeterError(f"{program.name} marks layer {unknown[0]}, but has {len(layers)} layers")
    costs = []
    for number, name in enumerate(layers):
        layer = counts.get(number, NOTHING)
        costs.append(LayerCost(name, layer, machine.cycles(layer, vlen)))
    return tuple(costs)
