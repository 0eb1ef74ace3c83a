"""Programs and helpers that several tests share."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hls.heterocl import hcl
from hls.heterocl.schedule import Schedule
from hls.heterocl.types import DType


def dtype(name: str) -> DType:
    """`Int4` or `Int(4)`."""
    match = re.fullmatch(r"(U?Int)\(?(\d+)\)?", name)
    assert match
    return {"Int": hcl.Int, "UInt": hcl.UInt}[match[1]](int(match[2]))


def elementwise(inputs: Sequence[DType], store: DType, body: Callable[..., Any], size: int) -> Schedule:
    """`C[i] = body(A0[i], A1[i], ...)` over `size` elements."""
    tensors = [hcl.placeholder((size,), f"A{k}", t) for k, t in enumerate(inputs)]

    def top(*arrays: Any) -> Any:
        return hcl.compute((size,), lambda i: body(*(a[i] for a in arrays)), "C", dtype=store)

    return hcl.create_schedule(tensors, top)


def run(schedule: Schedule, *inputs: Any) -> list[np.ndarray]:
    """Compiles and runs a program natively; its outputs."""
    given = [hcl.asarray(a, t.dtype) for a, t in zip(inputs, schedule.inputs, strict=True)]
    made = [hcl.asarray(np.zeros(t.shape, np.int64), t.dtype) for t in schedule.outputs]
    hcl.build(schedule)(*given, *made)
    return [array.asnumpy() for array in made]


def ap_types() -> Path:
    """The folder of `ap_int.h`; skips where the package that ships it is not installed."""
    spec = importlib.util.find_spec("hls4ml")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("hls4ml, which ships ap_int.h, is not installed")
    return Path(spec.submodule_search_locations[0]) / "templates" / "vivado" / "ap_types"


def run_ap(folder: Path, source: str, main: str, stdin: str = "") -> list[int]:
    """Compiles Vitis C++ and a main program against `ap_types`; the integers it prints."""
    file, binary = folder / "vitis.cpp", folder / "vitis"
    file.write_text(f"{source}\n#include <cstdio>\n{main}\n")
    command = ["g++", "-O0", "-std=c++17", "-w", "-isystem", str(ap_types()), str(file), "-o", str(binary)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    output = subprocess.run([str(binary)], input=stdin, check=True, capture_output=True, text=True)
    return [int(word) for word in output.stdout.split()]
