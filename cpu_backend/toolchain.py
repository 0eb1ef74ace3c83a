"""Compilers and the emulator: C sources to a shared library (native) or a static executable (riscv64).

RISC-V objects are compiled per feature set and linked once against the plain riscv64 musl target: the compiler wheel
builds a C library for every new link target, which takes up to two minutes (``python -m cpu_backend.warm`` does that).
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

KERNELS = Path(__file__).with_name("kernels")
HARNESS = Path(__file__).with_name("harness")
RUNTIME = Path(__file__).parents[1] / "host" / "runtime"
WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Werror")
SANITIZE = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
LINK_TARGET = "riscv64-linux-musl"
NO_DEBUG = "-g0"
"""The compiler wheel adds debug information unless told not to: a third of its time and most of an object's bytes."""


class ToolError(RuntimeError):
    """A tool is missing or failed; the message says which and what to do."""


@dataclass(frozen=True)
class Feature:
    """A RISC-V feature set: what the compiler is told, and the emulator's processor (None: compile only)."""

    name: str
    target: str
    mcpu: str
    processor: str | None
    flags: tuple[str, ...] = ()


EVERY_REGISTER = ("-fomit-frame-pointer",)
VECTOR = Feature("rv64gcv", LINK_TARGET, "baseline_rv64+v", "c908v,vlen={vlen}")
BITS = Feature(
    "rv64gcv_zvbb", LINK_TARGET, "baseline_rv64+v+zvbb", "rv64,v=true,vlen={vlen},elen=64,vext_spec=v1.0,zvbb=true"
)
SCALAR = Feature("rv64gc", LINK_TARGET, "baseline_rv64", "rv64", EVERY_REGISTER)
SOFT_CORE = Feature("rv32im", "riscv32-freestanding", "generic_rv32+m", None, EVERY_REGISTER)
FEATURES = {feature.name: feature for feature in (VECTOR, BITS, SCALAR, SOFT_CORE)}


def native_compiler() -> str:
    """The system's C compiler; ToolError where there is none."""
    for name in ("gcc", "cc", "clang"):
        if found := shutil.which(name):
            return found
    raise ToolError("no C compiler found: install one (Debian and Ubuntu: apt-get install gcc)")


def riscv_compiler() -> list[str]:
    """The command that compiles for RISC-V; ToolError where the wheel is missing."""
    if importlib.util.find_spec("ziglang") is None:
        raise ToolError("the RISC-V compiler is missing: pip install ziglang")
    return [sys.executable, "-m", "ziglang", "cc"]


def emulator() -> Path:
    """qemu-riscv64; ToolError where the wheel is missing or does not run here."""
    spec = importlib.util.find_spec("qemu")
    folders = spec.submodule_search_locations if spec else None
    found = next((p for f in folders or () if (p := Path(f) / "qemu-riscv64").is_file()), None)
    if found is None:
        raise ToolError("the RISC-V emulator is missing: pip install xuantie-qemu")
    return found


FIRST_WITH_ZVBB = 9
"""The version of qemu."""


def zvbb_emulator() -> Path:
    """A qemu-riscv64 that executes Zvbb, from the system; ToolError where there is none (the wheel's does not)."""
    for name in ("qemu-riscv64-zvbb", "qemu-riscv64"):
        found = shutil.which(name)
        version = re.search(r"version (\d+)", run([found, "--version"]).stdout) if found else None
        if found and version and int(version[1]) >= FIRST_WITH_ZVBB:
            return Path(found)
    raise ToolError(
        f"an emulator with Zvbb is missing: qemu-riscv64 of version {FIRST_WITH_ZVBB} or later on PATH, so named or "
        "qemu-riscv64-zvbb (Debian 12: package qemu-user of bookworm-backports)"
    )


def run(
    command: Sequence[str | Path],
    timeout: float = 600.0,
    what: str = "",
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Runs a command; ToolError with its last lines of output where it fails, cannot start or exceeds ``timeout``.

    ``folder`` and ``environment`` are this process' own by default.
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            capture_output=True,
            text=True,
            timeout=timeout,
            errors="replace",
            cwd=folder,
            env=environment,
        )
    except OSError as error:
        raise ToolError(f"{what or words[0]} does not start: {error}") from error
    except subprocess.TimeoutExpired as error:
        raise ToolError(f"{what or words[0]} took longer than {timeout:.0f} s") from error
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-30:])
        raise ToolError(f"{what or words[0]} failed with status {done.returncode}:\n{tail}")
    return done


def _includes(folders: Sequence[Path], sources: Sequence[Path]) -> list[str]:
    """Assembler files find the bytes that they include beside themselves."""
    beside = dict.fromkeys(source.parent for source in sources if source.suffix == ".S")
    return [f"-I{folder}" for folder in (*folders, *beside)]


def compile_objects(
    sources: Sequence[Path],
    folder: Path,
    feature: Feature,
    includes: Sequence[Path] = (),
    flags: Sequence[str] = (),
    defines: Sequence[str] = (),
) -> list[Path]:
    """RISC-V objects in ``folder``, one per source (names must differ); warnings are errors.

    Kernels are compiled without ``includes`` and ``defines``, which they do not need, and C by its name in its folder:
    the compiler's cache, which looks at contents and commands, then knows a kernel from any other region's copy.
    """
    objects = []
    for source in sources:
        target = folder.absolute() / f"{source.stem}.{feature.name}.o"
        command = [*riscv_compiler(), "-target", feature.target, f"-mcpu={feature.mcpu}", "-O3", *feature.flags]
        own = [] if is_kernel(source) else [*defines, *_includes([path.absolute() for path in includes], [source])]
        # not assembler files: the cache does not see which bytes they include
        beside = source.absolute().parent if source.suffix == ".c" else None
        run(
            [
                *command,
                NO_DEBUG,
                *WARNINGS,
                *flags,
                *own,
                "-c",
                source.name if beside else source.absolute(),
                "-o",
                target,
            ],
            what=f"compiling {source.name}",
            folder=beside,
        )
        objects.append(target)
    return objects


def is_kernel(source: Path) -> bool:
    """Whether it is one of `KERNELS` or a region's copy."""
    return source.parent.name == KERNELS.name and source.name.startswith("hck_")


def link_riscv(objects: Sequence[Path], output: Path) -> Path:
    """A static riscv64 Linux executable, linked against the plain target whatever the objects use.

    It is linked in the objects' folder: the compiler, where it lies below the folder it works in, does not know the C
    library again that it built for another.
    """
    command = [*riscv_compiler(), "-target", LINK_TARGET, "-O3", "-static"]
    files = [path.absolute() for path in objects]
    run([*command, *files, "-lm", "-o", output.absolute()], what="linking", folder=files[0].parent)
    return output


def build_riscv(
    sources: Sequence[Path],
    output: Path,
    feature: Feature = VECTOR,
    includes: Sequence[Path] = (),
    flags: Sequence[str] = (),
    defines: Sequence[str] = (),
) -> Path:
    """Compiles, as `compile_objects`, and links a static riscv64 executable."""
    with TemporaryDirectory() as folder:
        return link_riscv(compile_objects(sources, Path(folder), feature, includes, flags, defines), output)


def build_shared(
    sources: Sequence[Path], output: Path, includes: Sequence[Path] = (), flags: Sequence[str] = ("-O3",)
) -> Path:
    """A shared library for this machine, for ctypes."""
    command = [native_compiler(), *WARNINGS, *flags, "-fPIC", "-shared", *_includes(includes, sources)]
    run([*command, *sources, "-o", output], what=f"compiling {output.name}")
    return output


def build_native(
    sources: Sequence[Path], output: Path, includes: Sequence[Path] = (), flags: Sequence[str] = ("-O3",)
) -> Path:
    """An executable for this machine."""
    command = [native_compiler(), *WARNINGS, *flags, *_includes(includes, sources)]
    run([*command, *sources, "-lm", "-o", output], what=f"compiling {output.name}")
    return output


def emulated(
    executable: Path, arguments: Sequence[str | Path] = (), vlen: int = 0, zvbb: bool = False
) -> list[str | Path]:
    """The command that runs a riscv64 executable; ``vlen`` is 0 for a processor without the vector extension."""
    feature = BITS if zvbb else VECTOR if vlen else SCALAR
    assert feature.processor is not None
    program = zvbb_emulator() if zvbb else emulator()
    return [program, "-cpu", feature.processor.format(vlen=vlen), executable, *arguments]


def run_riscv(
    executable: Path, arguments: Sequence[str | Path] = (), vlen: int = 0, timeout: float = 600.0, zvbb: bool = False
) -> subprocess.CompletedProcess[str]:
    """Runs a riscv64 executable under the emulator."""
    return run(emulated(executable, arguments, vlen, zvbb), timeout, what=f"{executable.name} under qemu (VLEN {vlen})")
