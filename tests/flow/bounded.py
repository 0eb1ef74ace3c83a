"""hetero-compile in children of bounded memory and time. They are forked from one process that has imported everything,
so that each costs what it does itself, and a crash is a crash of the child."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MEMORY = 4 << 30
"""Bytes of address space."""
SECONDS = 60


@dataclass(frozen=True)
class Done:
    """``status``: what the child exited with, less than 0 for a signal; ``peak``: KiB of memory."""

    status: int
    stdout: str
    stderr: str
    peak: int


class Forker:
    """The process that children are forked from."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.process = subprocess.Popen([sys.executable, __file__, str(folder)], text=True, **pipes)

    def run(self, *arguments: object) -> Done:
        """hetero-compile with these arguments."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps([str(a) for a in arguments]) + "\n")
        self.process.stdin.flush()
        status, peak = json.loads(self.process.stdout.readline())
        said = ((self.folder / name).read_text() for name in ("stdout", "stderr"))
        return Done(status, *said, peak)

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def _child(arguments: Sequence[str], folder: Path) -> int:
    from hetero_compile.command import run

    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(folder / name, os.O_CREAT | os.O_TRUNC | os.O_WRONLY), number)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.alarm(SECONDS)
    try:
        return run(arguments)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def _serve(folder: Path) -> None:
    """A line of arguments in, a line of [status, peak] out."""
    import hetero_compile.command  # noqa: F401 - what every child needs

    for line in sys.stdin:
        child = os.fork()
        if not child:
            os._exit(_child(json.loads(line), folder))
        _, status, used = os.wait4(child, 0)
        print(json.dumps([os.waitstatus_to_exitcode(status), used.ru_maxrss]), flush=True)


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
