"""The simulated device: a process of the package's ``device`` program and the file that both sides map."""

from __future__ import annotations

import os
import secrets
import subprocess
import tempfile
from pathlib import Path
from typing import IO

from host.errors import RunError
from host.package import Package


class SimulatedDevice:
    """Starts the process; `close` ends it and removes the file. Without `close` it does both when this process dies."""

    def __init__(self, package: Package) -> None:
        self.file = _memory_folder() / f"hetero-{os.getpid()}-{secrets.token_hex(8)}"
        command = [str(package.program("device")), str(self.file), str(os.getpid())]
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed in close()
        # A session of its own: a Ctrl-C in the terminal reaches only this process, which then closes the device.
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=self._errors, start_new_session=True)

    def check(self) -> None:
        """RunError with the reason if the process has ended."""
        status = self.process.poll()
        if status is None:
            return
        how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        last = last_line(self._errors)
        raise RunError("device_lost", f"the device process {how}{f': {last}' if last else ''}")

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


def _memory_folder() -> Path:
    """Where a file costs no disk traffic, if there is such a place."""
    folder = Path("/dev/shm")
    return folder if os.access(folder, os.W_OK | os.X_OK) else Path(tempfile.gettempdir())
