"""Kernels compiled for this machine under sanitizers, once for all programs of all test processes: that takes half a
minute, which regions and drivers would spend again and again."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path

from cpu_backend import runner, toolchain
from ir.engine import Artifact
from ir.graph import Graph
from tests.once import Once, once_in

STORE = Path(__file__).parents[2] / "build" / "test_kernels"


@cache
def _store() -> Once:
    """What makes the kernels' objects as they are now; those of other kernels or compilers are removed."""
    texts = [path.name.encode() + path.read_bytes() for path in sorted(toolchain.KERNELS.iterdir()) if path.is_file()]
    texts.append(toolchain.run([toolchain.native_compiler(), "--version"]).stdout.encode())
    folder = STORE / hashlib.sha256(b"\0".join(texts)).hexdigest()[:16]
    for other in STORE.glob("*"):
        if other != folder:
            shutil.rmtree(other, ignore_errors=True)
    return once_in(folder)


@cache
def kernel_object(name: str, flags: tuple[str, ...]) -> Path:
    """hck_*.c compiled with these flags."""

    def compile_in(folder: Path) -> None:
        command = [toolchain.native_compiler(), *toolchain.WARNINGS, *flags, "-c", toolchain.KERNELS / name]
        toolchain.run([*command, "-o", folder / "kernel.o"], what=f"compiling {name}")

    stem = f"{Path(name).stem}-{hashlib.sha256(' '.join(flags).encode()).hexdigest()[:8]}"
    return _store()(stem, compile_in) / "kernel.o"


def build_region(
    artifact: Artifact,
    region: Graph,
    folder: Path,
    feature: toolchain.Feature | None = None,
    flags: Sequence[str] = (),
    threaded: bool = False,
) -> Path:
    """As `runner.build_region`; ``flags`` of this machine's programs are those of the kernels too."""
    kernel = partial(_of_source, flags=tuple(flags) or ("-O3",))
    return runner.build_region(artifact, region, folder, feature, flags, threaded, kernel)


def _of_source(source: Path, flags: tuple[str, ...]) -> Path:
    assert source.read_bytes() == (toolchain.KERNELS / source.name).read_bytes(), f"{source} is not the kernel"
    return kernel_object(source.name, flags)
