"""Builds a package's programs with the system's compilers, through the package's own Makefile.

The flow passes ``Toolchain(...).build`` to `host.package.write_package`; what it runs in the package's folder is ::

    make -j2 native riscv CC=gcc CXX=g++ CC_RISCV="python -m ziglang cc" \
        RISCV_CFLAGS="-target riscv64-linux-musl -g0 -mcpu=baseline_rv64+v" \
        RISCV_LDFLAGS="-target riscv64-linux-musl -O3 -static"
"""

from __future__ import annotations

import platform
import shlex
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from host import objects
from host.errors import BuildError
from host.manifest import Manifest, Program
from ir.target import HostArch

# What compiles for a board's instruction set. That compiler writes debug information unless told not to, with the
# folder's name in it. All are linked for the plain target: its C library is built by the setup, which takes a minute,
# and once more for a link with other options.
ZIG_FLAGS: Mapping[str, str] = {
    "rv64gc": "-target riscv64-linux-musl -g0 -mcpu=baseline_rv64",
    "rv64gcv": "-target riscv64-linux-musl -g0 -mcpu=baseline_rv64+v",
    "rv64gcv_zvbb": "-target riscv64-linux-musl -g0 -mcpu=baseline_rv64+v+zvbb",
}
ZIG_LINK = "-target riscv64-linux-musl -O3 -static"

# A board's own C library is used, of 2018 or later: Python there loads it too.
ZIG_ARM: Mapping[HostArch, str] = {
    "aarch64": "-target aarch64-linux-gnu.2.28 -g0",
    "armv7l": "-target arm-linux-gnueabihf.2.28 -mcpu=cortex_a9 -g0",
}


@dataclass(frozen=True)
class Toolchain:
    """Compilers as command lines; no ``cc_riscv`` means no standalone program, as does a board without a 64-bit ISA.

    ``cc_arm``, in that dialect too, makes the library and the program of boards whose host is an Arm.

    ``riscv_cflags`` are by ISA, in the dialect of ``cc_riscv`` (by default, the clang in the ziglang wheel).
    ``objects``: a folder in which compiled objects are kept for later builds (`host.objects`).
    """

    cc: str = "cc"
    cxx: str = "c++"
    cc_riscv: str | None = None
    riscv_cflags: Mapping[str, str] = field(default_factory=lambda: ZIG_FLAGS)
    riscv_ldflags: str = ZIG_LINK
    cc_arm: str | None = None
    extra: tuple[str, ...] = ()
    jobs: int = 2
    objects: Path | None = None
    progress: Callable[[str], None] = lambda what: None

    def build(self, directory: Path, manifest: Manifest) -> tuple[Program, ...]:
        """Builds in ``directory`` and names what was built; BuildError with the first line of the compiler's error."""
        machine = platform.machine()
        native = f"CC={self.cc}", f"CXX={self.cxx}", f"MACHINE={machine}"
        programs = [
            Program("library", machine, f"bin/{machine}/libhetero.so"),
            Program("standalone", machine, f"bin/{machine}/hetero"),
        ]
        if manifest.uses_device:
            programs.append(Program("device", machine, f"bin/{machine}/device"))
        flags = self.riscv_cflags.get(manifest.board.isa)
        if self.cc_riscv and flags and machine != "riscv64":
            self.progress(f"compiling the programs for this machine and for {manifest.board.isa}")
            riscv = f"CC_RISCV={self.cc_riscv}", f"RISCV_CFLAGS={flags}", f"RISCV_LDFLAGS={self.riscv_ldflags}"
            compilers = (self.cc, self.cxx, self.cc_riscv)
            self._make(directory, ("native", "riscv"), compilers, *native, *riscv)  # at once: one file takes longest
            programs.append(Program("standalone", "riscv64", "bin/riscv64/hetero"))
        else:
            self.progress("compiling the programs for this machine")
            self._make(directory, ("native",), (self.cc, self.cxx), *native)
        host = manifest.board.host_arch
        if self.cc_arm and host and host != machine:
            programs += self._for_arm(directory, host)
        shutil.rmtree(directory / "obj")
        return tuple(programs)

    def _for_arm(self, directory: Path, machine: HostArch) -> tuple[Program, Program]:
        self.progress(f"compiling the programs for {machine}")
        compiler = f"{self.cc_arm} {ZIG_ARM[machine]}"
        variables = f"CC={compiler}", f"CXX={compiler}", f"MACHINE={machine}", f"OBJ={machine}", "LDFLAGS=-s"
        self._make(directory, ("library", "program"), (compiler,), *variables)
        return (
            Program("library", machine, f"bin/{machine}/libhetero.so"),
            Program("standalone", machine, f"bin/{machine}/hetero"),
        )

    def _make(self, directory: Path, targets: tuple[str, ...], compilers: tuple[str, ...], *variables: str) -> None:
        for command in ("make", *compilers):
            if shutil.which(shlex.split(command)[0]) is None:
                raise BuildError(f"'{command}' is not installed; it is needed to build a package")
        arguments = ["make", "-s", f"-j{self.jobs}", "-C", str(directory), *targets, *variables, *self.extra]
        missing = objects.restore(directory, self.objects, arguments, compilers) if self.objects else {}
        done = subprocess.run(arguments, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = done.stderr.splitlines()
            first = next((line for line in lines if "error" in line.lower()), lines[-1] if lines else "no message")
            raise BuildError(f"building the package's programs failed: {first.strip()}")
        if self.objects:
            objects.keep(missing, self.objects)
