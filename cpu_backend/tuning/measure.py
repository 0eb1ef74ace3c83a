"""Measures variants under the meter: one program for all of them, whose input says what to run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from cpu_backend import toolchain
from cpu_backend.meter.machine import Machine
from cpu_backend.meter.meter import INCLUDE, Meter
from cpu_backend.tuning.call import encode
from cpu_backend.tuning.signature import Signature
from cpu_backend.variants import Variant

MAIN = toolchain.HARNESS / "tune_main.c"
PATTERNS = (
    "hck_conv*.c",
    "hck_few*.c",
    "hck_depthwise*.c",
    "hck_gated.c",
    "hck_requantise.c",
    "hck_sparse*.c",
    "hck_winograd*.c",
)
"""Kernels of convolutions on vectors."""
CALL = "call"


@dataclass(frozen=True)
class Measurement:
    """Cycles of one run with warm caches, and by which clock: the meter's, or a board's. ``detail``: what they consist
    of, as far as the clock tells."""

    cycles: int
    clock: str
    detail: Mapping[str, Any] = field(default_factory=dict)


class Measurer(Protocol):
    """Runs the measured program somewhere."""

    @property
    def place(self) -> str:
        """Part of the key of what is measured there: ``meter`` or ``board``."""
        ...

    def measure(self, signature: Signature, variant: Variant) -> Measurement: ...


def kernel_sources() -> list[Path]:
    return sorted({path for pattern in PATTERNS for path in toolchain.KERNELS.glob(pattern)})


def build_program(folder: Path) -> Path:
    """The measured program for RISC-V with vectors, static. ToolError."""
    return toolchain.build_riscv(
        [*kernel_sources(), MAIN], folder / "tune", toolchain.VECTOR, [toolchain.KERNELS, INCLUDE]
    )


@dataclass(frozen=True)
class OnMeter:
    """Counts, turned into cycles by the machine model: they repeat to the digit."""

    meter: Meter
    program: Path
    machine: Machine
    vlen: int
    folder: Path
    place: str = "meter"

    def measure(self, signature: Signature, variant: Variant) -> Measurement:
        """MeterError or ToolError."""
        call = self.folder / CALL
        call.write_bytes(encode(signature, variant))
        caches = self.machine.caches
        counts = self.meter.run(self.program, [CALL], vlen=self.vlen, caches=caches, files={CALL: call})[0]
        cycles = self.machine.cycles(counts, self.vlen)
        parts = {name: getattr(cycles, name) for name in ("issue", "arithmetic", "memory", "stalls")}
        return Measurement(cycles.total, "meter", {**parts, "instructions": counts.total})
