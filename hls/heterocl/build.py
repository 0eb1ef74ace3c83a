"""`build`: a schedule as a callable (compiled native C++) or as the text of Vitis HLS C++."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .arrays import NDArray
from .errors import BuildError
from .lower import lower
from .printers import print_native, print_vitis
from .printers.native import storage_of
from .schedule import Schedule
from .tensor import Tensor

INCLUDE = Path(__file__).parent / "include"
FLAGS = ("-O3", "-std=c++17", "-Wall", "-Wextra", "-fPIC", "-shared")


def build(schedule: Schedule, target: str | None = None) -> Any:
    """Compiles a schedule.

    Args:
        schedule: from `create_schedule`.
        target: None (a callable), or `"vhls"` (the text of Vitis HLS C++).

    Returns:
        `Program`, called with one `NDArray` an input and output of the program; or the C++ text.

    Raises:
        BuildError: unknown target, no compiler, a compiler error, a width above the target's limit.
        StageError: the program is not legal (see `lower`).
    """
    if target is None:
        return Program(schedule)
    if target == "vhls":
        return print_vitis(lower(schedule))
    raise BuildError(f"unknown target {target!r}: None (run here) or 'vhls'")


def compile_library(sources: Sequence[str], folder: Path, name: str, flags: Sequence[str] = FLAGS) -> Path:
    """Compiles C++ texts into one shared library with the system's g++.

    Raises:
        BuildError: no g++, or its first error.
    """
    compiler = _compiler()
    files = []
    for i, text in enumerate(sources):
        file = folder / (f"{name}.cpp" if len(sources) == 1 else f"{name}_{i}.cpp")
        file.write_text(text)
        files.append(str(file))
    library = folder / f"{name}.so"
    command = [compiler, *flags, f"-I{INCLUDE}", *files, "-o", str(library)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        first = next((line for line in result.stderr.splitlines() if "error" in line), result.stderr[:400])
        raise BuildError(f"g++ rejects the printed program: {first}")
    return library


def compiler_version() -> str:
    """What the system's g++ says of itself. BuildError: there is none."""
    return subprocess.run([_compiler(), "--version"], capture_output=True, text=True, check=True).stdout


def _compiler() -> str:
    compiler = shutil.which("g++")
    if compiler is None:
        raise BuildError("no C++ compiler: g++ is needed to run a HeteroCL program; install it, e.g. apt install g++")
    return compiler


class Program:
    """A compiled program: `program(a, b, ...)`, inputs first, then the tensors that the function returned."""

    def __init__(self, schedule: Schedule) -> None:
        self.tensors: tuple[Tensor, ...] = (*schedule.inputs, *schedule.outputs)
        self.source: str = print_native(lower(schedule))
        self._folder = tempfile.TemporaryDirectory(prefix="hls_native_")
        name = schedule.function.sym_name.data
        library = compile_library([self.source], Path(self._folder.name), name)
        self._function = getattr(ctypes.CDLL(str(library)), name)
        self._function.restype = None

    def __call__(self, *arrays: NDArray) -> None:
        """Runs one frame; arrays that the program stores into are updated.

        Raises:
            BuildError: wrong number, type or shape of an argument.
        """
        if len(arrays) != len(self.tensors):
            names = ", ".join(t.name for t in self.tensors)
            raise BuildError(f"{len(arrays)} arrays are given; the program takes {len(self.tensors)}: {names}")
        raw = []
        for tensor, array in zip(self.tensors, arrays, strict=True):
            if not isinstance(array, NDArray):
                raise BuildError(f"argument {tensor.name} is a {type(array).__name__}: wrap it with hcl.asarray")
            if array.dtype != tensor.dtype or array.shape != tensor.shape:
                raise BuildError(
                    f"argument {tensor.name} is {list(array.shape)} of {array.dtype}; "
                    f"the program takes {list(tensor.shape)} of {tensor.dtype}"
                )
            raw.append(np.ascontiguousarray(array.values.astype(storage_of(tensor.dtype).removesuffix("_t"))))
        self._function(*(ctypes.c_void_p(r.ctypes.data) for r in raw))
        for array, result in zip(arrays, raw, strict=True):
            array.values = result.astype(array.values.dtype)
