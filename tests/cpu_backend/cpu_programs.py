"""The drivers of the kernels, built once per session and kind of machine, and run over cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import cpu_cases
from cpu_objects import kernel_object

from cpu_backend import toolchain
from cpu_backend.toolchain import is_kernel

HERE = Path(__file__).parent
KERNELS = sorted(toolchain.KERNELS.glob("*.c"))
INTEGERS = (HERE / "driver.c", *KERNELS)
FLOATS = (HERE / "driver_f32.c", *(path for path in KERNELS if path.stem.startswith("hck_f32_")))
MACHINES: Mapping[str, int | None] = {"x86-asan": None, "no-v": 0, "vlen128": 128, "vlen256": 256, "vlen512": 512}
"""VLEN; 0 without vectors, None for this machine under sanitizers."""


class Programs:
    """One driver; builds in ``folder`` what is asked for, when it is first asked for."""

    def __init__(self, folder: Path, sources: Sequence[Path] = INTEGERS) -> None:
        self._folder, self._sources = folder, sources
        self._vector_objects = cache(lambda: self._objects(sources, toolchain.VECTOR))
        self._built: dict[str, Path] = {}

    def program(self, vlen: int | None) -> Path:
        """For this machine with sanitizers (None), without vectors (0) or with; one binary for all lengths."""
        name = "native" if vlen is None else "vector" if vlen else "scalar"
        if name not in self._built:
            self._built[name] = self._build(name)
        return self._built[name]

    def with_zvbb(self) -> Path:
        """The vector program with the kernels of bits compiled for Zvbb."""
        if "bits" not in self._built:
            others = [path for path in self._vector_objects() if not path.stem.startswith("hck_bits")]
            of_bits = [path for path in self._sources if path.stem.startswith("hck_bits")]
            objects = [*others, *self._objects(of_bits, toolchain.BITS)]
            self._built["bits"] = toolchain.link_riscv(objects, self._folder / "bits")
        return self._built["bits"]

    def results(self, cases: Sequence[cpu_cases.Case], vlen: int | None, folder: Path, zvbb: bool = False) -> bytes:
        """What the program leaves for these cases; ``vlen`` as for `program`."""
        program = self.with_zvbb() if zvbb else self.program(vlen)
        (folder / "cases").write_bytes(cpu_cases.encode(cases))
        files = [folder / "cases", folder / "results"]
        if vlen is None:
            toolchain.run([program, *files])
        else:
            toolchain.run_riscv(program, files, vlen, zvbb=zvbb)
        return (folder / "results").read_bytes()

    def check(self, cases: Sequence[cpu_cases.Case], vlen: int | None, folder: Path, zvbb: bool = False) -> None:
        """Asserts that it leaves what is expected, byte by byte."""
        cpu_cases.check(cases, self.results(cases, vlen, folder, zvbb))

    def _objects(self, sources: Sequence[Path], feature: toolchain.Feature) -> list[Path]:
        return toolchain.compile_objects(sources, self._folder, feature, [toolchain.KERNELS])

    def _build(self, name: str) -> Path:
        output = self._folder / name
        if name == "native":
            linked = [
                kernel_object(path.name, toolchain.SANITIZE) if is_kernel(path) else path for path in self._sources
            ]
            return toolchain.build_native(linked, output, [toolchain.KERNELS], toolchain.SANITIZE)
        objects = self._vector_objects() if name == "vector" else self._objects(self._sources, toolchain.SCALAR)
        return toolchain.link_riscv(objects, output)
