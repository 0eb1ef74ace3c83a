"""What the CPU regions of a package cost: its C compiled with marks and run under the meter, layer by layer."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from cpu_backend.meter.layers import STAND_INS, LayerCost, RegionSources, build_program, emulator_for, measure_region
from cpu_backend.meter.machine import Machine, load_machine
from cpu_backend.meter.meter import build_meter
from cpu_backend.sizes import Sizes, region_sizes
from hetero_compile.board import load_board, shipped_boards
from host.manifest import Manifest, Region
from host.package import Package, load_package
from ir.target import Cpu

SEED = 1
"""Of the frame's values, which hardly matter (a few branches clip) but have to be of the tensors' ranges."""


class ProfileError(ValueError):
    """A package that cannot be profiled; one line."""


@dataclass(frozen=True)
class Processor:
    """What the package is profiled for. ``clock_mhz`` is None where no board says."""

    isa: str
    vlen: int
    machine: Machine
    clock_mhz: float | None


@dataclass(frozen=True)
class RegionProfile:
    name: str
    layers: tuple[LayerCost, ...]
    sizes: Sizes


@dataclass(frozen=True)
class Profile:
    """Every CPU region of a package; cycles of one frame with warm caches on one core."""

    package: str
    processor: Processor
    regions: tuple[RegionProfile, ...]

    @property
    def cycles(self) -> int:
        return sum(layer.cycles.total for region in self.regions for layer in region.layers)

    @property
    def notes(self) -> tuple[str, ...]:
        """What readers of the counts have to know."""
        return (STAND_INS[self.processor.isa][2],) if self.processor.isa in STAND_INS else ()

    def milliseconds(self, cycles: int) -> float | None:
        """At the board's clock; None where no board says what it is."""
        clock = self.processor.clock_mhz
        return cycles / (clock * 1000) if clock else None

    def as_json(self) -> dict[str, Any]:
        cpu = self.processor
        return {
            "package": self.package,
            "machine": cpu.machine.name,
            "isa": cpu.isa,
            "vlen": cpu.vlen,
            "clock_mhz": cpu.clock_mhz,
            "cycles": self.cycles,
            "ms": self.milliseconds(self.cycles),
            "notes": list(self.notes),
            "regions": [
                {
                    "name": region.name,
                    "bytes": asdict(region.sizes),
                    "layers": [self._layer(layer) for layer in region.layers],
                }
                for region in self.regions
            ],
        }

    def _layer(self, layer: LayerCost) -> dict[str, Any]:
        cpu, cycles = self.processor, layer.cycles
        beats = layer.counts.beats(cpu.vlen, cpu.machine.dlen) if cpu.machine.dlen else {}
        return {
            "name": layer.name,
            "cycles": cycles.total,
            "issue": cycles.issue,
            "arithmetic": cycles.arithmetic,
            "memory": cycles.memory,
            "stalls": cycles.stalls,
            "bound": cycles.bound,
            "beats": {name: n for name, n in beats.items() if n},
            **layer.counts.as_json(),
        }


def profile(path: Path, board: str | None = None, machine: str | None = None, vlen: int | None = None) -> Profile:
    """Profiles the package at ``path`` for its own board, another one, any machine model or vector length.

    Raises ProfileError, BoardError, MachineError, MeterError, ToolError, HostError.
    """
    package = load_package(path)
    processor = _processor(package.manifest, board, machine, vlen)
    regions = [region for region in package.manifest.regions if region.side == "cpu"]
    if not regions:
        raise ProfileError(f"{path}: has no CPU region: all of it runs on the accelerator")
    return Profile(package.manifest.name, processor, _measured(package, regions, processor))


def _processor(manifest: Manifest, board: str | None, machine: str | None, vlen: int | None) -> Processor:
    """From the board given, or the one that the package was compiled for if it is shipped, or the machine alone."""
    cpu = load_board(board).cpu if board else _own_cpu(manifest)
    if cpu is None and machine is None:
        raise ProfileError(
            f"the package's board '{manifest.board.name}' is none of the shipped ones: give its file with --board, "
            "or a machine model with --machine"
        )
    isa, own = (cpu.march, cpu.vlen) if cpu else (manifest.board.isa, manifest.board.vlen)
    if vlen and not own:
        raise ProfileError(f"a vector length of {vlen} does not go with {isa}")
    model = load_machine(machine or (cpu.machine if cpu else ""))
    model.check(isa.split("_")[0], vlen or own)
    return Processor(isa, vlen or own, model, cpu.clock_mhz if cpu else None)


def _own_cpu(manifest: Manifest) -> Cpu | None:
    """A board file of the user's own may have a shipped one's name: then its facts differ."""
    own = manifest.board
    if own.name not in shipped_boards():
        return None
    cpu = load_board(own.name).cpu
    return cpu if (cpu.march, cpu.vlen, cpu.role) == (own.isa, own.vlen, own.role) else None


def _measured(package: Package, regions: list[Region], cpu: Processor) -> tuple[RegionProfile, ...]:
    profiles = []
    with TemporaryDirectory(prefix="profile") as scratch:
        meter = build_meter(Path(scratch), emulator_for(cpu.isa))
        for region in regions:
            folder = Path(scratch, region.name)
            folder.mkdir()
            sources = tuple(package.root / source for source in region.sources)
            files = RegionSources(region.name, sources, package.root / "runtime")
            program = build_program(files, cpu.isa, _frame(package.manifest, region), folder)
            layers = [stage.name for stage in region.stages]
            costs = measure_region(meter, cpu.machine, program, cpu.vlen, layers)
            sizes = region_sizes(files.name, sources, files.runtime, cpu.isa, folder)
            profiles.append(RegionProfile(region.name, costs, sizes))
    return tuple(profiles)


def _frame(manifest: Manifest, region: Region) -> bytes:
    """The region's input ports one after another, with values of their tensors' ranges."""
    rng = np.random.default_rng(SEED)
    parts = []
    for port in region.inputs:
        tensor = manifest.tensor(port.tensor)
        values = rng.integers(tensor.lo, tensor.hi + 1, tensor.shape)
        parts.append(port.layout.pack(values, tensor.type))
    return b"".join(parts)
