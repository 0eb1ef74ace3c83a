"""Cycle-true cross-check of the meter: VexRiscv's Verilog under Verilator, running the programs that the meter counts.

Needs verilator and the package pythondata-cpu-vexriscv (generated Verilog). The core stands alone: no peripherals, a
memory that answers after a given number of cycles.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cpu_backend import toolchain
from cpu_backend.meter.counts import MeterError

CORE = Path(__file__).with_name("core")
VARIANT = "VexRiscv_Full.v"
"""RV32IM, five stages, static prediction, 4 KiB direct-mapped caches with lines of 32 bytes, written through."""
LIMIT = 1_000_000_000


@dataclass(frozen=True)
class CoreCounts:
    """A marked region on the core: cycles and instructions between its marks, all entries together."""

    entries: int
    cycles: int
    instructions: int


@dataclass(frozen=True)
class Core:
    """The simulator that `build_core` made."""

    simulator: Path

    def run(self, program: Path, latency: int = 0, limit: int = LIMIT) -> dict[int, CoreCounts]:
        """Runs a bare rv32im executable of `layers.build_program`; regions by number.

        ``latency``: cycles before the first word of a bus access. MeterError where the program fails, ToolError where
        it does not end within ``limit`` cycles.
        """
        done = toolchain.run([self.simulator, program, str(latency), str(limit)], what=f"{program.name} on VexRiscv")
        report = json.loads(done.stdout)
        if report["status"]:
            raise MeterError(f"{program.name} on VexRiscv: the region failed with status {report['status']}")
        return {r["region"]: CoreCounts(r["entries"], r["cycles"], r["instructions"]) for r in report["regions"]}


def build_core(folder: Path) -> Core:
    """Compiles the core's simulator into ``folder``, in a quarter of a minute. ToolError where something is missing."""
    if shutil.which("verilator") is None:
        raise toolchain.ToolError("verilator is missing: install it (Debian and Ubuntu: apt-get install verilator)")
    sources = [CORE / "meter_core.v", _variant(), CORE / "core_main.cpp"]
    # the generated Verilog is not written for linters
    options: Sequence[str] = ("--cc", "--exe", "--build", "-O3", "--top-module", "meter_core", "-Wno-lint")
    command: list[str | Path] = [
        "verilator",
        *options,
        "-CFLAGS",
        "-O2 -std=c++17",
        "--Mdir",
        folder,
        "-o",
        "core",
        *sources,
    ]
    toolchain.run(command, what="compiling VexRiscv's simulator")
    return Core(folder / "core")


def _variant() -> Path:
    spec = importlib.util.find_spec("pythondata_cpu_vexriscv")
    folders = spec.submodule_search_locations if spec else None
    found = next((p for f in folders or () if (p := Path(f) / "verilog" / VARIANT).is_file()), None)
    if found is None:
        raise toolchain.ToolError("VexRiscv's Verilog is missing: pip install pythondata-cpu-vexriscv")
    return found
