"""What the peers have in common: finding their wheels, linking and measuring a layer."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.peers.case import TYPES, Case
from cpu_backend import toolchain
from cpu_backend.meter.counts import Counts, MeterError
from cpu_backend.meter.meter import INCLUDE, Meter

FOREIGN = Path(__file__).with_name("foreign")
MAIN = FOREIGN / "peer_main.c"


class PeerError(RuntimeError):
    """A peer is missing or failed; one line."""


@dataclass(frozen=True)
class Parts:
    """A compiled layer: the peer's object, the shim that has ``hc_peer``, and what the shim is compiled with."""

    object: Path
    shim: Path
    flags: tuple[str, ...]


def ask(python: str, module: str, version: str) -> str | None:
    """The version that the interpreter finds for an expression after ``import module``; None where it has no such."""
    command = [python, "-c", f"import {module}\nprint({version})"]
    try:
        # elsewhere than here, where folders could take the name of a wheel
        return toolchain.run(command, 300, f"{module} in {python}", folder=Path(sys.prefix)).stdout.strip()
    except toolchain.ToolError as error:
        if "ModuleNotFoundError" in str(error):
            return None
        raise PeerError(" ".join(str(error).split())) from error


def link(case: Case, parts: Parts, folder: Path) -> Path:
    """The program that peer_main.c describes."""
    flags = [*parts.flags, f"-DHC_Y_BYTES={int(np.prod(case.y_shape)) * np.dtype(TYPES[case.type]).itemsize}"]
    for name, operand in zip(("X", "W"), case.operands(), strict=True):
        path = folder.absolute() / f"{name}.bin"
        path.write_bytes(operand.tobytes())
        flags.append(f'-DHC_{name}="{path}"')
    objects = toolchain.compile_objects([parts.shim, MAIN], folder, toolchain.SCALAR, [INCLUDE, folder], flags)
    return toolchain.link_riscv([*objects, parts.object], folder / "program")


def measure(meter: Meter, case: Case, program: Path, vlen: int, folder: Path) -> Counts:
    """The layer's counts. PeerError where its result is not numpy's."""
    result = folder.absolute() / "y.bin"
    toolchain.run_riscv(program, [result], vlen)
    y = np.fromfile(result, TYPES[case.type]).reshape(case.y_shape)
    if not case.agrees(y):
        raise PeerError(f"the result for {case.shape.name} in {case.type} at VLEN {vlen} is not numpy's")
    counts = meter.run(program, vlen=vlen)
    if set(counts) != {0}:
        raise MeterError(f"{program} marked other regions than 0")
    return counts[0]
