"""driver.c, built once per session and kind of machine, and run over cases."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import cpu_cases

from cpu_backend import toolchain

HERE = Path(__file__).parent
SOURCES = [HERE / "driver.c", *sorted(toolchain.KERNELS.glob("*.c"))]
OF_BITS = [path for path in SOURCES if path.stem.startswith("hck_bits")]


class Programs:
    """Builds in ``folder`` what is asked for, when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._vector_objects = cache(lambda: self._objects(SOURCES, toolchain.VECTOR))
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
            objects = [*others, *self._objects(OF_BITS, toolchain.BITS)]
            self._built["bits"] = toolchain.link_riscv(objects, self._folder / "bits")
        return self._built["bits"]

    def _objects(self, sources: list[Path], feature: toolchain.Feature) -> list[Path]:
        return toolchain.compile_objects(sources, self._folder, feature, [toolchain.KERNELS])

    def _build(self, name: str) -> Path:
        output = self._folder / name
        if name == "native":
            return toolchain.build_native(SOURCES, output, [toolchain.KERNELS], toolchain.SANITIZE)
        objects = self._vector_objects() if name == "vector" else self._objects(SOURCES, toolchain.SCALAR)
        return toolchain.link_riscv(objects, output)


def results(program: Path, cases: list[cpu_cases.Case], vlen: int | None, folder: Path, zvbb: bool = False) -> bytes:
    """What the program leaves for these cases; ``vlen`` as for `Programs.program`."""
    (folder / "cases").write_bytes(cpu_cases.encode(cases))
    files = [folder / "cases", folder / "results"]
    if vlen is None:
        toolchain.run([program, *files])
    else:
        toolchain.run_riscv(program, files, vlen, zvbb=zvbb)
    return (folder / "results").read_bytes()
