"""Devices, as the C runtime reaches them: each says how (`Link`), and is closed when the session is.

Everything between opening and closing (commands, completions, cache maintenance, resets) is one interface in C,
``hc_device_ops`` of runtime/hc_device.h.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from host.package import Package


@dataclass(frozen=True)
class Mapping:
    """A device's memory (``hc_mapping``): addresses of registers and DMA memory in this process, the memory's address
    on the bus, and its size; ``sync(offset, bytes, for_device)`` is its cache maintenance, None where it has none. What
    it raises ends the session."""

    registers: int
    memory: int
    bus_address: int
    bytes: int
    sync: Callable[[int, int, bool], None] | None = None


@dataclass(frozen=True)
class Link:
    """What the runtime opens (``hc_link``); nothing for a session without a device."""

    shared: Path | None = None
    nodes: Path | None = None
    mapping: Mapping | None = None
    interrupt: bool = False


class Device(Protocol):
    @property
    def link(self) -> Link: ...

    def ended(self) -> str:
        """Why nobody serves the device any more, as far as that is known here; "" while somebody does."""
        ...

    def close(self) -> None: ...


class NoDevice:
    """The CPU computes everything."""

    link = Link()

    def ended(self) -> str:
        return ""

    def close(self) -> None:
        pass


class UioDevice:
    """A device behind UIO and u-dma-buf nodes, below ``root`` (runtime/hc_uio.c); ``interrupt``: instead of polling."""

    def __init__(self, root: Path, interrupt: bool) -> None:
        self.link = Link(nodes=root, interrupt=interrupt)

    def ended(self) -> str:
        return ""

    def close(self) -> None:
        pass


class SimulatedDevice:
    """Starts the package's device process and names the file that both sides map.

    `close` ends the process and removes the file. Without `close` the process does both when this process dies.
    """

    def __init__(self, package: Package) -> None:
        self.file = memory_folder() / f"hetero-{os.getpid()}-{secrets.token_hex(8)}"
        self.link = Link(shared=self.file)
        command = [str(package.program("device")), str(self.file), str(os.getpid())]
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed in close()
        # A session of its own: a Ctrl-C in the terminal reaches only this process, which then closes the device.
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=self._errors, start_new_session=True)

    def ended(self) -> str:
        status = self.process.poll()
        if status is None:
            return ""
        how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        last = last_line(self._errors)
        return f"the device process {how}{f': {last}' if last else ''}"

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._errors.close()
        self.file.unlink(missing_ok=True)


def last_line(stream: IO[bytes]) -> str:
    """The last line that was written to a file; "" if there is none."""
    stream.seek(0)
    lines = stream.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else ""


def memory_folder() -> Path:
    """Where a file costs no disk traffic, if there is such a place."""
    folder = Path("/dev/shm")
    return folder if os.access(folder, os.W_OK | os.X_OK) else Path(tempfile.gettempdir())
