"""The standalone program through pipes (runtime/hc_wire.h): here, under qemu-riscv64, or on another machine."""

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

from host.device import Link, last_line
from host.errors import RunError
from host.transport import SPAN, RawSpan, Setting

HEADER = struct.Struct("<IIQ")
MAGIC = 0x31774348
FRAME, OUTPUTS, STATISTICS, SPANS, NOTICE = 1, 2, 3, 4, 5
LONGEST_TEXT = 4096
SLICE_SECONDS = 0.1


class PipedTransport:
    """A `host.transport.Transport`; ``command`` starts the program, to which its options are appended.

    Its last line on standard error says why it ended: ``hetero: CODE: text``, or whatever ``command`` says instead.
    """

    def __init__(self, command: Sequence[str], setting: Setting) -> None:
        self._setting = setting
        self._in_flight = 0
        self._unsent = bytearray()
        self._received = bytearray()
        self._spans: list[RawSpan] = []
        self._name = Path(command[0]).name
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed in close()
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            [*command, *_options(setting)],
            stdin=pipe, stdout=pipe, stderr=self._errors, bufsize=0, start_new_session=True,
        )  # fmt: skip
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

    def spans(self) -> list[RawSpan]:
        return self._spans

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
        """The next message of a kind; what comes before it is noted."""
        while True:
            found, length = self._header()
            if found == SPANS and length % SPAN.size == 0:
                self._spans = [RawSpan(*fields) for fields in SPAN.iter_unpack(self._take(length))]
            elif found == NOTICE and length <= LONGEST_TEXT:
                self._setting.notify(self._take(length).decode(errors="replace"))
            elif (found, length) == (kind, size):
                return self._take(length)
            else:
                raise RunError("bad_status", f"{self._name}: the program sent something that is no answer")

    def _header(self) -> tuple[int, int]:
        magic, kind, length = HEADER.unpack(self._take(HEADER.size))
        return (kind if magic == MAGIC else 0), length

    def _take(self, size: int) -> bytes:
        while len(self._received) < size:
            self._exchange(SLICE_SECONDS)
        data = bytes(self._received[:size])
        del self._received[:size]
        return data

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

    def _ended(self) -> RunError:
        """What the program said when it ended."""
        status = self._process.wait()
        ended = self._setting.device.ended()
        last = last_line(self._errors)
        program, code, text = [*last.split(": ", 2), "", ""][:3]
        if program == "hetero":
            return RunError(code, f"{text}{f' ({ended})' if ended else ''}")
        return RunError("system", f"{self._name} ended with status {status}{f': {last}' if last else ''}")


def _options(setting: Setting) -> list[str]:
    numbers = ["--deadline", str(setting.deadline_ms), "--threads", str(setting.threads)]
    return [*link_options(setting.device.link), *numbers, *["--trace"] * setting.trace]


def link_options(link: Link) -> list[str]:
    """What tells the program where its device is."""
    if link.shared:
        return ["--shared", str(link.shared)]
    if link.nodes:
        return ["--nodes", str(link.nodes), *["--interrupt"] * link.interrupt]
    return []


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
