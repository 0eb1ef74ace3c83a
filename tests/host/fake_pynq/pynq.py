"""What `host.pynq_device` uses of PYNQ 3 and 4 (Overlay, MMIO, allocate, PynqBuffer), on files instead of a board.

The processor's copy of the DMA memory and the device's are different memory, and only flush and invalidate copy
between them: what is not flushed is not seen.
"""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any

import numpy as np
from caches import Cached


class Board:
    """Set by the test: the files that a device process serves."""

    registers: Path
    memory: Path
    address: int
    downloaded: list[str]
    freed: int
    coherent: bool = False
    whole: bool = False
    failing: tuple[str, int, BaseException] | None = None
    """Which of flush and invalidate raises what at the how manieth call from now on; then it works again."""


board = Board()


class Overlay:
    def __init__(self, bitfile_name: str, dtbo: str | None = None, download: bool = True, **_: Any) -> None:
        if not Path(bitfile_name).exists():
            raise OSError(f"Bitstream file {bitfile_name} does not exist.")
        board.downloaded.append(bitfile_name)


class MMIO:
    def __init__(self, base_addr: int, length: int = 4, device: Any = None) -> None:
        self.base_addr, self.length = base_addr, length
        with board.registers.open("r+b") as file:
            self.array = np.frombuffer(mmap.mmap(file.fileno(), length), np.uint32)


def fail(way: str) -> None:
    if board.failing and board.failing[0] == way:
        _, count, error = board.failing
        board.failing = (way, count - 1, error) if count > 1 else None
        if count <= 1:
            raise error


class PynqBuffer(np.ndarray):  # type: ignore[type-arg]
    """As PYNQ's: an array whose slices know where in the buffer they are."""

    def __new__(cls, size: int, device: np.ndarray) -> PynqBuffer:  # type: ignore[type-arg]
        self = super().__new__(cls, (size,), np.uint8)
        self.fill(0xEE)
        self.cache = Cached(self.view(np.ndarray), device[:size], board.whole)
        self.offset, self.coherent, self.device_address = 0, board.coherent, board.address
        return self

    def __array_finalize__(self, source: Any) -> None:
        if isinstance(source, PynqBuffer) and hasattr(source, "cache"):
            self.cache, self.coherent = source.cache, source.coherent
            self.offset = source.offset + self.ctypes.data - source.ctypes.data
            self.device_address = source.device_address + self.offset - source.offset

    def flush(self) -> None:
        fail("flush")
        self.cache.flush(self.offset, self.nbytes)

    def invalidate(self) -> None:
        fail("invalidate")
        self.cache.invalidate(self.offset, self.nbytes)

    def freebuffer(self) -> None:
        board.freed += 1


def allocate(shape: Any, dtype: Any = "u4", target: Any = None, **_: Any) -> PynqBuffer:
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    with board.memory.open("r+b") as file:
        device = np.frombuffer(mmap.mmap(file.fileno(), 0), np.uint8)
    if size > device.size:
        raise MemoryError(f"Failed to allocate {size} bytes")
    return PynqBuffer(size, device)
