"""Runs a lowered region over frames: natively in this process' machine code, or as riscv64 under the emulator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from cpu_backend import toolchain
from cpu_backend.emit import identifier
from ir.engine import Artifact
from ir.graph import Graph
from ir.types import Array

MAIN = toolchain.HARNESS / "region_main.c"
THREADS = ("-DHC_THREADS", "-D_POSIX_C_SOURCE=200809L", "-pthread")


def write_files(artifact: Artifact, folder: Path) -> list[Path]:
    """Writes the artifact's files under ``folder``; the paths of its sources."""
    for path, text in artifact.files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text if isinstance(text, bytes) else text.encode())
    return [folder / source for source in artifact.sources]


def build_region(
    artifact: Artifact,
    region: Graph,
    folder: Path,
    feature: toolchain.Feature | None = None,
    flags: Sequence[str] = (),
    threaded: bool = False,
    kernel: Callable[[Path], Path] = lambda source: source,
) -> Path:
    """An executable that runs the region over a file of frames; ``feature`` None builds for this machine.

    ``threaded``: with the runtime's pool of threads, otherwise tiles run one after another.
    ``kernel``: on this machine, what is linked for a kernel's source: an object that the caller has.
    """
    sources = [*write_files(artifact, folder), MAIN, *([toolchain.RUNTIME / "hc_threads.c"] if threaded else [])]
    defines = [f"-DHC_REGION=hc_region_{identifier(region.name)}", *(THREADS if threaded else ())]
    output = folder / f"{identifier(region.name)}.{feature.name if feature else 'native'}"
    if feature:
        return toolchain.build_riscv(sources, output, feature, [toolchain.RUNTIME], flags, defines)
    linked = [kernel(source) if toolchain.is_kernel(source) else source for source in sources]
    return toolchain.build_native(linked, output, [toolchain.RUNTIME], [*defines, *(flags or ["-O3"])])


def run_region(
    program: Path,
    artifact: Artifact,
    region: Graph,
    frames: Sequence[Mapping[str, Array]],
    vlen: int | None = None,
    threads: int = 0,
    zvbb: bool = False,
) -> list[dict[str, Array]]:
    """The output tensors (C, H, W) of each frame, in one process.

    ``vlen`` None runs a native program, 0 a riscv64 one on a processor without vectors, otherwise with that VLEN and,
    if told so, Zvbb. ``threads``: of a program that was built ``threaded``.
    """
    with TemporaryDirectory() as folder:
        source, sink = Path(folder, "in"), Path(folder, "out")
        ports = [(port.tensor, port.layout, region.types[port.tensor]) for port in artifact.inputs]
        source.write_bytes(b"".join(layout.pack(frame[t], type_) for frame in frames for t, layout, type_ in ports))
        arguments: list[str | Path] = [source, sink, *([str(threads)] if threads else [])]
        if vlen is None:
            toolchain.run([program, *arguments], what=program.name)
        else:
            toolchain.run_riscv(program, arguments, vlen, zvbb=zvbb)
        data = sink.read_bytes()
    results: list[dict[str, Array]] = []
    at = 0
    for _ in frames:
        result: dict[str, Array] = {}
        for port in artifact.outputs:
            type_ = region.types[port.tensor]
            size = port.layout.bytes_of(type_)
            result[port.tensor] = port.layout.unpack(data[at : at + size], type_)
            at += size
        results.append(result)
    return results
