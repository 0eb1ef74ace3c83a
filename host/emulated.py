"""The standalone program under qemu-riscv64, through pipes (runtime/hc_wire.h)."""

from __future__ import annotations

import importlib.util
import os
import re
import select
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from host.device import last_line
from host.errors import RunError
from host.transport import Setting

HEADER = struct.Struct("<IIQ")
MAGIC = 0x31774348
FRAME, OUTPUTS, STATISTICS = 1, 2, 3
SLICE_SECONDS = 0.1


class EmulatedTransport:
    """A `host.transport.Transport`; ``isa`` and ``vlen`` are those of `host.manifest.Board`."""

    def __init__(self, program: Path, isa: str, vlen: int, setting: Setting) -> None:
        self._setting = setting
        self._in_flight = 0
        self._unsent = bytearray()
        self._received = bytearray()
        command = [*emulator(isa, vlen), str(program), "--deadline", str(setting.deadline_ms)]
        command += ["--threads", str(setting.threads)]
        if setting.shared_file:
            command += ["--shared", str(setting.shared_file)]
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed in close()
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=self._errors, bufsize=0, start_new_session=True
        )
        assert self._process.stdin and self._process.stdout
        self._stdin, self._stdout = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._stdin, False)

    def begin(self, inputs: Sequence[bytes]) -> bool:
        if self._in_flight == self._setting.frames:
            return False
        self._in_flight += 1
        self._unsent += HEADER.pack(MAGIC, FRAME, sum(map(len, inputs)))
        for data in inputs:
            self._unsent += data
        self._exchange(0.0)
        return True

    def finish(self) -> list[bytes]:
        body = self._message(OUTPUTS, sum(self._setting.output_bytes))
        self._in_flight -= 1
        outputs, start = [], 0
        for size in self._setting.output_bytes:
            outputs.append(body[start : start + size])
            start += size
        return outputs

    def times(self) -> list[tuple[int, int]]:
        self._unsent += HEADER.pack(MAGIC, STATISTICS, 0)
        body = self._message(STATISTICS, 16 * self._setting.steps)
        return [(runs, busy) for runs, busy in struct.iter_unpack("<QQ", body)]

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            if stream:
                stream.close()

    def _message(self, kind: int, size: int) -> bytes:
        while len(self._received) < HEADER.size + size:
            self._exchange(SLICE_SECONDS)
        if HEADER.unpack_from(self._received) != (MAGIC, kind, size):
            raise RunError("bad_status", "the emulated program sent something that is no answer")
        body = bytes(self._received[HEADER.size : HEADER.size + size])
        del self._received[: HEADER.size + size]
        return body

    def _exchange(self, seconds: float) -> None:
        """Writes and reads what the pipes take and give, waiting at most ``seconds`` for the first of it.

        Both directions are served at once: each side may be waiting for the other to empty a full pipe.
        """
        writing = [self._stdin] if self._unsent else []
        readable, writable, _ = select.select([self._stdout], writing, [], seconds)
        try:
            if writable:
                del self._unsent[: os.write(self._stdin, self._unsent)]
            data = os.read(self._stdout, 1 << 20) if readable else None
        except BrokenPipeError:
            data = b""
        if data == b"":
            raise self._ended()
        self._received += data or b""
        if not readable and not writable:
            self._setting.check_device()

    def _ended(self) -> RunError:
        """What the program said when it ended."""
        status = self._process.wait()
        self._setting.check_device()
        last = last_line(self._errors)
        program, code, text = [*last.split(": ", 2), "", ""][:3]
        if program == "hetero":
            return RunError(code, text)
        return RunError("system", f"the emulated program ended with status {status}{f': {last}' if last else ''}")


def emulator(isa: str, vlen: int) -> list[str]:
    """The emulator with its processor; RunError where none executes this instruction set."""
    if isa.endswith("_zvbb"):
        return [str(find_qemu_with_zvbb()), "-cpu", f"rv64,v=true,vlen={vlen},elen=64,vext_spec=v1.0,zvbb=true"]
    return [str(find_qemu()), "-cpu", f"c908v,vlen={vlen}" if vlen else "c908"]


def find_qemu_with_zvbb() -> Path:
    """qemu-riscv64-zvbb or qemu-riscv64 of PATH, from version 9 on; RunError where there is none."""
    for name in ("qemu-riscv64-zvbb", "qemu-riscv64"):
        found = shutil.which(name)
        if found is None:
            continue
        answer = subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout
        version = re.search(r"version (\d+)", answer)
        if version and int(version[1]) >= 9:
            return Path(found)
    raise RunError(
        "system",
        "the package's programs use Zvbb, which the emulator of the xuantie-qemu wheel lacks: put qemu-riscv64 of "
        "version 9 or later on PATH, so named or qemu-riscv64-zvbb",
    )


def find_qemu() -> Path:
    """qemu-riscv64 from the xuantie-qemu wheel or from PATH; RunError where there is none."""
    spec = importlib.util.find_spec("qemu")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        candidate = Path(folder) / "qemu-riscv64"
        if os.access(candidate, os.X_OK):
            return candidate
    found = shutil.which("qemu-riscv64")
    if not found:
        raise RunError("system", "qemu-riscv64 is not installed (pip install xuantie-qemu, or put it on PATH)")
    return Path(found)
