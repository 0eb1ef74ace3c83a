"""Files that stand for the nodes of a UIO device, served by a package's real device process.

``sync_for_device`` and ``sync_for_cpu`` are pipes whose orders are kept; the interrupt is a terminal in raw mode, which
blocks and wakes like a UIO node does.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
import tty
from pathlib import Path
from types import TracebackType

from host.package import Package
from host.plan import make_plan

ADDRESS = 0x7_C000_0000
PAGE = 0x1000


class Nodes:
    """A tree below ``root``; a context manager that ends the device process."""

    def __init__(self, root: Path, package: Package, memory_bytes: int | None = None) -> None:
        plan = make_plan(package.manifest)
        self.root = root
        self.registers = root / "dev/uio0"
        self.memory = root / "dev/udmabuf0"
        self.interrupts = 0
        size = PAGE + plan.dma_bytes if memory_bytes is None else memory_bytes
        attributes = {
            "sys/class/uio/uio0/name": "hetero\n",
            "sys/class/uio/uio1/name": "hetero-irq\n",
            "sys/class/uio/uio2/name": "somebody else\n",
            "sys/class/u-dma-buf/udmabuf0/size": f"{size}\n",
            "sys/class/u-dma-buf/udmabuf0/phys_addr": f"{ADDRESS:#018x}\n",
        }
        for name, text in attributes.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        self.registers.parent.mkdir()
        self.registers.write_bytes(bytes(PAGE))
        self.memory.write_bytes(bytes(size))
        self._pipes = {}
        for way in ("device", "cpu"):
            pipe = root / f"sys/class/u-dma-buf/udmabuf0/sync_for_{way}"
            os.mkfifo(pipe)
            self._pipes[way] = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
        self._master, slave = os.openpty()
        tty.setraw(slave)
        (root / "dev/uio1").symlink_to(os.ttyname(slave))
        self._slave = slave
        os.mkfifo(root / "raised")
        self._raised = os.open(root / "raised", os.O_RDWR)
        threading.Thread(target=self._relay, daemon=True).start()
        self._command = [
            str(package.program("device")), "--nodes", str(self.registers), str(self.memory), hex(ADDRESS),
            str(root / "raised"), str(os.getpid()),
        ]  # fmt: skip
        self.start()

    @property
    def descriptors(self) -> set[int]:
        """This process's own, which serve the device's side."""
        return {*self._pipes.values(), self._slave, self._master, self._raised}

    def start(self) -> None:
        self.process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL)

    def synced(self, way: str) -> list[tuple[int, int]]:
        """(offset, bytes) of the orders since the last call, "device" or "cpu"; at most what a pipe holds."""
        orders = []
        while True:
            try:
                text = os.read(self._pipes[way], 18)
            except BlockingIOError:
                return orders
            value = int(text, 16)
            assert value & 0xF == 1, "direction both, and the order to go"
            orders.append((value >> 32, value & 0xFFFFFFF0))

    def raised(self, count: int) -> int:
        """Interrupts so far, once there are ``count``: the device raises the last one behind its completion."""
        end = time.monotonic() + 30
        while self.interrupts < count and time.monotonic() < end:
            time.sleep(0.001)
        return self.interrupts

    def __enter__(self) -> Nodes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        os.write(self._raised, b"stop")
        for descriptor in (*self._pipes.values(), self._slave):
            os.close(descriptor)

    def _relay(self) -> None:
        while (count := os.read(self._raised, 4)) != b"stop":
            self.interrupts += 1
            os.write(self._master, count)
        os.close(self._raised)
        os.close(self._master)
