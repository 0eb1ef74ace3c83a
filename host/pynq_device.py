"""A device on a PYNQ board: `Overlay` configures the fabric, `MMIO` maps the registers, `allocate` gives DMA memory.

The C runtime works on those mappings itself; only cache maintenance goes through PYNQ.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np

from host.bitstream import REGISTER_BYTES, REGISTER_PAGE, load_bitstream
from host.device import Link, Mapping
from host.errors import RunError
from host.package import Package
from host.plan import make_plan

RINGS_BYTES = 0x1000
"""HC_RINGS_BYTES of runtime/hc_ring.h."""


class PynqDevice:
    """A `host.device.Device`; RunError where PYNQ is not installed or refuses."""

    def __init__(self, package: Package, bitstream: Path) -> None:
        recorded = load_bitstream(bitstream)
        window = next(w for w in recorded.manifest.registers if w.name == REGISTER_PAGE)
        plan = make_plan(package.manifest)
        size = RINGS_BYTES + plan.dma_bytes
        try:
            pynq: Any = importlib.import_module("pynq")
        except ImportError as error:
            raise RunError("system", f"PYNQ is not installed ({error}): pip install pynq on the board") from None
        try:
            self._overlay = pynq.Overlay(str(recorded.file))
            self._registers = pynq.MMIO(window.address, REGISTER_BYTES)
        except (OSError, RuntimeError, ValueError) as error:
            raise RunError("bitstream", f"{recorded.file}: PYNQ cannot load it ({_line(error)})") from None
        try:
            self._memory = pynq.allocate(shape=(size,), dtype=np.uint8)
        except (MemoryError, RuntimeError) as error:
            raise RunError("dma_memory", f"PYNQ has no {size} bytes of DMA memory ({_line(error)})") from None
        if type(self._registers.array) is not np.ndarray:  # what hooks reads and writes is a class of its own
            self._memory.freebuffer()
            raise RunError("system", "PYNQ does not map this device's registers into memory")
        coherent = package.manifest.board.coherent or self._memory.coherent
        self._memory[:RINGS_BYTES] = 0
        self._memory.flush()
        self.link = Link(
            mapping=Mapping(
                self._registers.array.ctypes.data,
                self._memory.ctypes.data,
                self._memory.device_address,
                size,
                None if coherent else self._sync,
            )
        )

    def ended(self) -> str:
        return ""

    def close(self) -> None:
        self._memory.freebuffer()

    def _sync(self, offset: int, size: int, for_device: bool) -> None:
        part = self._memory[offset : offset + size]
        if for_device:
            part.flush()
        else:
            part.invalidate()


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
