"""The drivers of the kernels, built once per run of the tests and kind of machine, and run over cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import cpu_cases
from cpu_objects import kernel_object

from cpu_backend import toolchain
from cpu_backend.toolchain import is_kernel
from tests.once import Once

HERE = Path(__file__).parent
KERNELS = sorted(toolchain.KERNELS.glob("*.c"))
INTEGERS = (HERE / "driver.c", *KERNELS)
FLOATS = (HERE / "driver_f32.c", *(path for path in KERNELS if path.stem.startswith("hck_f32_")))
MACHINES: Mapping[str, int | None] = {"x86-asan": None, "no-v": 0, "vlen128": 128, "vlen256": 256, "vlen512": 512}
"""VLEN; 0 without vectors, None for this machine under sanitizers."""


class Programs:
    """One driver; builds what is asked for, when it is first asked for. ``once``: the fixture of that name."""

    def __init__(self, once: Once, sources: Sequence[Path] = INTEGERS) -> None:
        self._sources = sources
        builds = {"native": self._native, "scalar": self._scalar, "vector": self._vector, "zvbb": self._zvbb}
        self._folder = cache(lambda kind: once(f"{sources[0].stem}-{kind}", builds[kind]))

    def program(self, vlen: int | None) -> Path:
        """For this machine with sanitizers (None), without vectors (0) or with; one binary for all lengths."""
        kind = "native" if vlen is None else "vector" if vlen else "scalar"
        return self._folder(kind) / "driver"

    def with_zvbb(self) -> Path:
        """The vector program with the kernels of bits compiled for Zvbb."""
        return self._folder("zvbb") / "driver"

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

    def _native(self, folder: Path) -> None:
        linked = [kernel_object(path.name, toolchain.SANITIZE) if is_kernel(path) else path for path in self._sources]
        toolchain.build_native(linked, folder / "driver", [toolchain.KERNELS], toolchain.SANITIZE)

    def _scalar(self, folder: Path) -> None:
        toolchain.link_riscv(self._objects(self._sources, folder, toolchain.SCALAR), folder / "driver")

    def _vector(self, folder: Path) -> None:
        toolchain.link_riscv(self._objects(self._sources, folder, toolchain.VECTOR), folder / "driver")

    def _zvbb(self, folder: Path) -> None:
        bits = [path for path in self._sources if path.stem.startswith("hck_bits")]
        others = [path for path in self._folder("vector").glob("*.o") if not path.stem.startswith("hck_bits")]
        toolchain.link_riscv([*others, *self._objects(bits, folder, toolchain.BITS)], folder / "driver")

    def _objects(self, sources: Sequence[Path], folder: Path, feature: toolchain.Feature) -> list[Path]:
        return toolchain.compile_objects(sources, folder, feature, [toolchain.KERNELS])
