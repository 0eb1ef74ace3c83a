"""C simulation of the Vitis C++ with the system's compiler and the ap_int headers of the hls4ml wheel."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from ir.engine import Artifact
from ir.graph import Graph
from ir.types import Array

FLAGS = ("-std=c++17", "-O1", "-Wall", "-Wno-unknown-pragmas", "-Wno-unused-label")


class CSimulationError(RuntimeError):
    """The C simulation cannot be built or run here."""


def ap_headers() -> Path:
    """The folder of ap_int.h and hls_stream.h; found without importing hls4ml, which would load TensorFlow parts."""
    spec = importlib.util.find_spec("hls4ml")
    folder = Path(spec.origin).parent / "templates/vivado/ap_types" if spec and spec.origin else None
    if folder is None or not (folder / "ap_int.h").is_file():
        raise CSimulationError("ap_int.h is missing: pip install hls4ml")
    return folder


class CSimulation:
    """The testbench of a lowered region, compiled once; a context manager."""

    def __init__(self, artifact: Artifact, region: Graph) -> None:
        """Raises CSimulationError where compiler or headers are missing, or the sources do not compile."""
        self._artifact, self._region = artifact, region
        self._folder = tempfile.TemporaryDirectory(prefix="hls_csim_")
        try:
            self._program = _compile(artifact, Path(self._folder.name))
        except BaseException:
            self._folder.cleanup()
            raise

    def __enter__(self) -> CSimulation:
        return self

    def __exit__(self, *error: object) -> None:
        self._folder.cleanup()

    def run(self, tensors: Mapping[str, Array]) -> dict[str, Array]:
        """The region's outputs (C, H, W) for one frame; ``tensors`` also holds the outputs it is compared with.

        Raises CSimulationError where the testbench fails.
        """
        folder, types = Path(self._folder.name), self._region.types
        ports = (*self._artifact.inputs, *self._artifact.outputs)
        given = [folder / f"port{i}.bin" for i in range(len(ports))]
        for file, port in zip(given, ports, strict=True):
            file.write_bytes(port.layout.pack(tensors[port.tensor], types[port.tensor]))
        made = [folder / f"made{i}.bin" for i in range(len(self._artifact.outputs))]
        command = [str(self._program), *map(str, given), *map(str, made)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode not in (0, 1):
            raise CSimulationError(f"the testbench failed: {done.stderr.strip()[:300]}")
        results = {}
        for file, port in zip(made, self._artifact.outputs, strict=True):
            results[port.tensor] = port.layout.unpack(file.read_bytes(), types[port.tensor])
        return results


def _compile(artifact: Artifact, folder: Path) -> Path:
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        raise CSimulationError("no C++ compiler: install g++")
    sources = []
    for path, content in artifact.files.items():
        if Path(path).name in ("accelerator.cpp", "testbench.cpp", "memory.h"):
            (folder / Path(path).name).write_bytes(content if isinstance(content, bytes) else content.encode())
        if Path(path).name in ("accelerator.cpp", "testbench.cpp"):
            sources.append(folder / Path(path).name)
    program = folder / "testbench"
    command = [compiler, *FLAGS, "-isystem", str(ap_headers()), *map(str, sources), "-o", str(program)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if built.returncode:
        first = next((line for line in built.stderr.splitlines() if "error" in line), built.stderr[:300])
        raise CSimulationError(f"the accelerator's C++ does not compile: {first}")
    return program
