"""Packages on another machine, over ssh: copied once by their hash, then run there, with frames through the connection.

Only hosts that the user's ssh knows, only keys, never a question. What the remote shell is given is made of fixed
words, hexadecimal digits and paths that are checked; every local command is a list of arguments.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from host.errors import InputError, PackageError, RunError
from host.manifest import MANIFEST_NAME
from host.package import Package

OPTIONS = (
    "-o", "BatchMode=yes",
    "-o", "StrictHostKeyChecking=yes",
    "-o", "PasswordAuthentication=no",
    "-o", "ConnectTimeout=10",
    "-o", "ServerAliveInterval=5",
    "-o", "ServerAliveCountMax=3",
)  # fmt: skip
FOLDER = ".cache/hetero-compile"
COPY_SECONDS = 600.0
ASK_SECONDS = 30.0
HOST = re.compile(r"([A-Za-z0-9_][A-Za-z0-9._-]*@)?[A-Za-z0-9][A-Za-z0-9.-]*")


class Remote:
    """A machine by name, as ssh's configuration knows it; InputError if it is no name."""

    def __init__(self, host: str) -> None:
        if not HOST.fullmatch(host):
            raise InputError(f"--remote '{host}': is no [USER@]HOST")
        self.host = host

    def command(self, package: Package) -> list[str]:
        """The command that runs the package's program there; copies the package first unless it is there.

        RunError: the machine cannot be reached, or refuses. PackageError: there is no program for it.
        """
        machine = self._ask("uname -m")
        program = package.program("standalone", machine).relative_to(package.root)
        folder = f"{FOLDER}/{package.seal.hash}"
        if self._ask(f"test -e {folder}/manifest.json && echo there || echo absent") != "there":
            self._copy(package, folder)
        return ["ssh", *OPTIONS, "--", self.host, f"exec {folder}/{program}"]

    def _copy(self, package: Package, folder: str) -> None:
        """What the seal names into a folder of its own, which gets its name once it is complete. scp follows links, so
        a package with one, which it need not have verified, is refused: PackageError."""
        link = next((path for path in sorted(package.root.rglob("*")) if path.is_symlink()), None)
        if link is not None:
            raise PackageError(f"{link}: is a symbolic link; a package has none, and what it leads to is not copied")
        staging = self._ask(f"umask 077 && mkdir -p {FOLDER} && mktemp -d {FOLDER}/new.XXXXXXXX")
        if not re.fullmatch(re.escape(FOLDER) + r"/new\.[A-Za-z0-9]{8}", staging):
            raise RunError("ssh", f"{self.host}: did not make a folder for the package")
        names = {name.split("/")[0] for name in (*package.seal.files, MANIFEST_NAME)}
        sources = [str(package.root / name) for name in sorted(names)]
        self._run(["scp", "-q", "-r", "-p", *OPTIONS, "--", *sources, f"{self.host}:{staging}/"], COPY_SECONDS)
        self._ask(f"test -e {folder}/manifest.json || mv -T {staging} {folder}; rm -rf {staging}; echo done")

    def _ask(self, text: str) -> str:
        """What a command there prints."""
        return self._run(["ssh", "-n", *OPTIONS, "--", self.host, text], ASK_SECONDS).strip()

    def _run(self, command: Sequence[str], seconds: float) -> str:
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=seconds,
                check=False,
            )  # fmt: skip
        except FileNotFoundError:
            raise RunError("ssh", f"'{command[0]}' is not installed") from None
        except subprocess.TimeoutExpired:
            raise RunError("ssh", f"{self.host}: no answer within {seconds:g} s") from None
        if done.returncode:
            lines = done.stderr.strip().splitlines()
            raise RunError("ssh", f"{self.host}: {lines[-1] if lines else f'exit status {done.returncode}'}")
        return done.stdout


def check_remote_path(path: Path) -> Path:
    """InputError unless a remote shell takes the path as it is."""
    if not re.fullmatch(r"/[A-Za-z0-9_./-]*", str(path)):
        raise InputError(f"--nodes '{path}': must be a plain absolute path")
    return path
