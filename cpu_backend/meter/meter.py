"""Builds the plugin and runs RISC-V programs under it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from cpu_backend import toolchain
from cpu_backend.meter.counts import Counts, MeterError, read_report

PLUGIN = Path(__file__).with_name("plugin")
INCLUDE = Path(__file__).with_name("include")
"""The folder of hc_meter.h, for programs that mark regions."""
NAME = "program"


@dataclass(frozen=True)
class Cache:
    """A level of a set-associative, least-recently-used cache.

    ``write_allocate`` False (first level, where it is the only one): stores to lines that are not there go around it,
    without a miss.
    """

    kib: int
    ways: int
    line_bytes: int
    write_allocate: bool = True

    @property
    def sets(self) -> int:
        """MeterError where size, ways and line do not give a whole number of sets."""
        sets, rest = divmod(self.kib * 1024, self.ways * self.line_bytes)
        if rest or not sets:
            raise MeterError(f"a cache of {self.kib} KiB has no whole sets of {self.ways} lines of {self.line_bytes} B")
        return sets


@dataclass(frozen=True)
class Emulator:
    """A QEMU of user mode that loads plugins; ``vector`` and ``scalar`` are its processors with and without V."""

    path: Path
    scalar: str
    vector: str | None

    def processor(self, vlen: int) -> str:
        """MeterError for a vector length on a machine without vectors."""
        if vlen and self.vector is None:
            raise MeterError(f"{self.path.name} runs programs without vectors only (VLEN {vlen} was asked for)")
        return self.vector.format(vlen=vlen) if vlen and self.vector else self.scalar


def wheel_emulator() -> Emulator:
    """The emulator wheel's qemu-riscv64. ToolError where it is missing."""
    scalar, vector = toolchain.SCALAR.processor, toolchain.VECTOR.processor
    assert scalar is not None
    return Emulator(toolchain.emulator(), scalar, vector)


def debian_emulator(xlen: int) -> Emulator:
    """The system's qemu-riscv32 or qemu-riscv64 (Debian: qemu-user 7.2). ToolError where it is missing."""
    name = f"qemu-riscv{xlen}"
    found = shutil.which(name)
    if found is None:
        raise toolchain.ToolError(f"{name} is missing: install it (Debian and Ubuntu: apt-get install qemu-user)")
    vector = "rv64,v=true,vlen={vlen},elen=64,vext_spec=v1.0" if xlen == 64 else None
    return Emulator(Path(found), f"rv{xlen}", vector)


@dataclass(frozen=True)
class Meter:
    """The built plugin, with the emulator that it is run in."""

    plugin: Path
    emulator: Emulator

    def run(
        self,
        program: Path,
        arguments: Sequence[str] = (),
        *,
        vlen: int = 0,
        caches: Sequence[Cache] = (),
        timeout: float = 600.0,
        files: Mapping[str, Path] | None = None,
    ) -> dict[int, Counts]:
        """Runs a static RISC-V executable to its end; the counts of its marked regions.

        ``vlen`` is 0 for a processor without vectors; ``caches`` are no, one or two levels of the same line size. The
        program runs in a fresh folder, by a fixed name and with an empty environment: what lies on its stack, and with
        it addresses and misses, then depends on ``arguments`` only. It finds ``files`` in that folder by these names.
        ToolError where it fails, MeterError where nothing can be counted.
        """
        with TemporaryDirectory(prefix="meter") as scratch:
            report = Path(scratch, "report.json")
            for name, path in {**(files or {}), NAME: program}.items():
                Path(scratch, name).symlink_to(path.absolute())
            options = ",".join(
                f"arg={word}" for word in (f"out={_escaped(report)}", f"vlen={vlen}", *_cache_words(caches))
            )
            command: list[str | Path] = [self.emulator.path, "-cpu", self.emulator.processor(vlen), "-seed", "1"]
            command += ["-plugin", f"file={_escaped(self.plugin)},{options}", NAME, *arguments]
            what = f"{program.name} under the meter (VLEN {vlen})"
            toolchain.run(command, timeout, what, Path(scratch), environment={})
            if not report.is_file():
                raise MeterError(f"{what}: {self.emulator.path.name} ran it without the plugin")
            regions = _read(report, what)
        if not regions:
            raise MeterError(f"{what}: the program marked no region")
        return regions


def build_meter(folder: Path, emulator: Emulator | None = None) -> Meter:
    """Compiles the plugin for this machine into ``folder``; the emulator is the wheel's by default. ToolError."""
    output = folder / "meter.so"
    command = [*toolchain.riscv_compiler(), *toolchain.WARNINGS, "-O2", "-fPIC", "-shared", "-fvisibility=hidden"]
    toolchain.run([*command, *sorted(PLUGIN.glob("*.c")), "-o", output], what="compiling the meter")
    return Meter(output, emulator or wheel_emulator())


def _cache_words(caches: Sequence[Cache]) -> list[str]:
    """Arguments of plugin.c; MeterError for levels that it cannot model."""
    if len(caches) > 2 or len({cache.line_bytes for cache in caches}) > 1:
        raise MeterError("the meter models at most two cache levels, with lines of one size")
    if not caches:
        return []
    around = not all(cache.write_allocate for cache in caches)
    if around and len(caches) > 1:
        raise MeterError("the meter models stores that go around a cache with one level only")
    levels = [f"l{level}={cache.sets}:{cache.ways}" for level, cache in enumerate(caches, 1)]
    return [f"line={caches[0].line_bytes}", *levels, f"around={int(around)}"]


def _escaped(path: Path) -> str:
    """A comma separates QEMU's options; doubled, it is part of one."""
    return str(path.absolute()).replace(",", ",,")


def _read(report: Path, what: str) -> dict[int, Counts]:
    try:
        return read_report(json.loads(report.read_text(encoding="utf-8")))
    except MeterError as error:
        raise MeterError(f"{what}: {error}") from None
