"""Measures on a board over ssh: keys only, known hosts only, nothing asked, everything under a deadline.

The system's ssh and scp are called with lists of arguments; what a remote shell sees are fixed words, the name of a
folder that mktemp made, and the launcher's words, quoted.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median_low
from types import MappingProxyType

from cpu_backend.tuning.call import encode
from cpu_backend.tuning.measure import Measurement
from cpu_backend.tuning.signature import Signature
from cpu_backend.variants import Variant

ADDRESS = re.compile(r"ssh://(?:(?P<user>[A-Za-z_][\w.-]*)@)?(?P<host>[A-Za-z0-9][\w.-]*)(?::(?P<port>\d{1,5}))?")
FOLDER = re.compile(r"/tmp/hetero-tune\.[A-Za-z0-9]{8}")
TIMES = 5
OPTIONS = MappingProxyType(
    {
        "BatchMode": "yes",
        "PasswordAuthentication": "no",
        "KbdInteractiveAuthentication": "no",
        "ForwardAgent": "no",
        "StrictHostKeyChecking": "yes",
        "ConnectTimeout": "10",
        "ServerAliveInterval": "5",
        "ServerAliveCountMax": "3",
    }
)
"""Before those of the user's configuration, so that none of them can be weakened there."""


class BoardAccessError(RuntimeError):
    """A board that cannot be reached, or a measurement that failed there; one line."""


@dataclass(frozen=True)
class Address:
    host: str
    user: str | None = None
    port: int | None = None

    @staticmethod
    def parse(text: str) -> Address:
        """``ssh://[user@]host[:port]``. BoardAccessError."""
        found = ADDRESS.fullmatch(text)
        if not found or int(found["port"] or 1) not in range(1, 65_536):
            raise BoardAccessError(f"'{text}' is no place to measure (meter, or ssh://user@host[:port])")
        return Address(found["host"], found["user"], int(found["port"]) if found["port"] else None)

    def __str__(self) -> str:
        return f"{self.user}@{self.host}" if self.user else self.host


@dataclass(frozen=True)
class Connection:
    """``configuration``: an ssh_config file instead of the user's; ``deadline``: seconds for one command."""

    address: Address
    configuration: Path | None = None
    deadline: float = 120.0

    def run(self, command: str) -> str:
        """The standard output of a command there. BoardAccessError."""
        port = ["-p", str(self.address.port)] if self.address.port else []
        return self._call([*self._program("ssh"), *port, "-T", "--", str(self.address), command])

    def copy(self, source: Path, target: str) -> None:
        """BoardAccessError."""
        port = ["-P", str(self.address.port)] if self.address.port else []
        self._call([*self._program("scp"), *port, "-q", "--", str(source), f"{self.address}:{target}"])

    def _program(self, name: str) -> list[str]:
        found = shutil.which(name)
        if found is None:
            raise BoardAccessError(f"{name} is missing: install it (Debian and Ubuntu: apt-get install openssh-client)")
        configuration = ["-F", str(self.configuration)] if self.configuration else []
        return [found, *configuration, *(f"-o{key}={value}" for key, value in OPTIONS.items())]

    def _call(self, command: Sequence[str]) -> str:
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, errors="replace", timeout=self.deadline,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise BoardAccessError(f"{self.address}: no answer within {self.deadline:g} s") from None
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if line.strip() and not line.startswith("@")]
            reason = lines[-1].strip() if lines else f"status {done.returncode}"
            raise BoardAccessError(f"{self.address}: {reason}")
        return done.stdout


@dataclass(frozen=True)
class OnBoard:
    """Runs the measured program in ``folder`` on a board; ``clock_mhz`` turns its time into cycles where it does not
    let programs read the cycle counter. ``launcher``: words before the program there (``taskset -c 2``)."""

    connection: Connection
    folder: str
    scratch: Path
    clock_mhz: float
    launcher: tuple[str, ...] = ()
    place: str = "board"

    def measure(self, signature: Signature, variant: Variant) -> Measurement:
        """The median of some runs. BoardAccessError."""
        call = self.scratch / "board-call"
        call.write_bytes(encode(signature, variant))
        self.connection.copy(call, f"{self.folder}/call")
        words = [*self.launcher, f"{self.folder}/tune", f"{self.folder}/call", str(TIMES)]
        answer = self.connection.run(shlex.join(words))
        try:
            found = json.loads(answer)
            clock, samples = str(found["clock"]), [int(sample) for sample in found["samples"]]
            ticks = median_low(samples)
        except (ValueError, KeyError, TypeError):
            raise BoardAccessError(f"{self.connection.address}: did not print measurements: {answer[:80]!r}") from None
        cycles = ticks if clock == "rdcycle" else round(ticks * self.clock_mhz / 1000)
        return Measurement(max(1, cycles), clock, {"samples": samples})


@contextmanager
def board_folder(connection: Connection, program: Path) -> Iterator[str]:
    """A folder on the board with the measured program, removed at the end. BoardAccessError."""
    folder = connection.run("mktemp -d /tmp/hetero-tune.XXXXXXXX").strip()
    if not FOLDER.fullmatch(folder):
        raise BoardAccessError(f"{connection.address}: mktemp printed {folder[:60]!r}")
    try:
        connection.copy(program, f"{folder}/tune")
        connection.run(f"chmod 700 {folder}/tune")
        yield folder
    finally:
        connection.run(f"rm -r {folder}")
