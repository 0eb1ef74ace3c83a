"""Values against HeteroCL v0.5's LLVM runs of 624 small programs: natively, in the simulator, and under `ap_int`."""

from __future__ import annotations

import ctypes
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hcl_programs import dtype, elementwise, run_ap
from xdsl.dialects.builtin import ModuleOp

from hls.heterocl import hcl
from hls.heterocl.build import compile_library
from hls.heterocl.errors import APIError
from hls.heterocl.lower import lower
from hls.heterocl.printers import print_native, print_vitis
from hls.heterocl.printers.native import storage_of
from hls.heterocl.simulate import simulate

_NAMED: dict[str, Callable[..., Any]] = {
    "select(a>0,a,b)": lambda a, b: hcl.select(a > 0, a, b),
    "cast(Int(5),a)+b": lambda a, b: hcl.cast(hcl.Int(5), a) + b,
    "cast(UInt(5),a)*b": lambda a, b: hcl.cast(hcl.UInt(5), a) * b,
    "a*b": lambda a, b: a * b,
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "&": lambda a, b: a & b,
    "|": lambda a, b: a | b,
    "^": lambda a, b: a ^ b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    "==": lambda a, b: a == b,
    ">": lambda a, b: a > b,
}
_WITH_CONSTANT: dict[str, Callable[..., Any]] = {
    "<<": lambda a, k: a << k,
    ">>": lambda a, k: a >> k,
    "+": lambda a, k: a + k,
    "&": lambda a, k: a & k,
}


def _body(op: str) -> Callable[..., Any]:
    if op in _NAMED:
        return _NAMED[op]
    match = re.fullmatch(r"a(<<|>>|\+|&)(\d+)", op)
    assert match, op
    operator, constant = _WITH_CONSTANT[match[1]], int(match[2])
    return lambda a, b: operator(a, constant)


@pytest.fixture(scope="module")
def rows(shared_data: Path) -> list[dict[str, Any]]:
    return [row for row in _rows(shared_data) if not _beyond_the_width(row)]


def _rows(shared_data: Path) -> list[dict[str, Any]]:
    return json.loads((shared_data / "heterocl" / "values.json").read_text())


def _beyond_the_width(row: dict[str, Any]) -> bool:
    """Right shifts by the width or more: v0.5's result is LLVM's poison."""
    match = re.fullmatch(r"a>>(\d+)", row["op"])
    return match is not None and int(match[1]) >= dtype(row["a"]).bits


def test_right_shifts_by_the_width(shared_data: Path) -> None:
    refused = [row for row in _rows(shared_data) if _beyond_the_width(row)]
    assert refused
    for row in refused:
        with pytest.raises(APIError, match="undefined from the width on"):
            elementwise([dtype(row["a"]), dtype(row["b"])], dtype(row["store"]), _body(row["op"]), 2)


@pytest.fixture(scope="module")
def modules(rows: list[dict[str, Any]]) -> list[ModuleOp]:
    return [
        lower(elementwise([dtype(r["a"]), dtype(r["b"])], dtype(r["store"]), _body(r["op"]), len(r["cases"])))
        for r in rows
    ]


def _label(row: dict[str, Any]) -> str:
    return f"{row['op']} {row['a']} {row['b']} -> {row['store']}"


def test_native(rows: list[dict[str, Any]], modules: list[ModuleOp], tmp_path: Path) -> None:
    texts = [
        print_native(module).replace('#include "hls_native.h"\n', "").replace("void top(", f"void top_{k}(")
        for k, module in enumerate(modules)
    ]
    strict = ("-O1", "-std=c++17", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared")
    source = '#include "hls_native.h"\n' + "\n".join(texts)
    library = ctypes.CDLL(str(compile_library([source], tmp_path, "values", strict)))
    wrong = []
    for k, row in enumerate(rows):
        columns = zip(*row["cases"], strict=True)
        a, b, want = (
            np.array(column, storage_of(dtype(row[key])).removesuffix("_t"))
            for column, key in zip(columns, ("a", "b", "store"), strict=True)
        )
        got = np.zeros_like(want)
        getattr(library, f"top_{k}")(*(ctypes.c_void_p(array.ctypes.data) for array in (a, b, got)))
        if not np.array_equal(got, want):
            wrong.append(_label(row))
    assert len(rows) >= 600
    assert wrong == []


def test_simulator(rows: list[dict[str, Any]], modules: list[ModuleOp]) -> None:
    wrong = []
    for row, module in zip(rows, modules, strict=True):
        a, b, want = (np.array(column) for column in zip(*row["cases"], strict=True))
        if not np.array_equal(simulate(module, a, b, np.zeros_like(want)).arrays[-1], want):
            wrong.append(_label(row))
    assert wrong == []


def test_ap_int(rows: list[dict[str, Any]], modules: list[ModuleOp], tmp_path: Path) -> None:
    """Every seventh program: compiling against ap_int.h is slow."""
    sample = list(zip(rows, modules, strict=True))[::7]
    includes = "#include <ap_int.h>\n#include <hls_stream.h>\n"
    source, body = includes, ""
    for k, (row, module) in enumerate(sample):
        source += print_vitis(module).replace(includes, "").replace("void top(", f"void top_{k}(")
        n = len(row["cases"])
        for name, key, column in (("A", "a", 0), ("B", "b", 1)):
            kind = f"ap_{'int' if dtype(row[key]).signed else 'uint'}<{dtype(row[key]).bits}>"
            body += f"static {kind} {name}{k}[] = {{{', '.join(str(c[column]) for c in row['cases'])}}};\n"
        body += f"static ap_int<{dtype(row['store']).bits}> C{k}[{n}]; top_{k}(A{k}, B{k}, C{k});\n"
        body += f'for (auto &c : C{k}) printf("%lld\\n", (long long)c);\n'
    got = run_ap(tmp_path, source, f"int main() {{\n{body}return 0;\n}}")
    wrong = []
    for row, _ in sample:
        want = [case[2] for case in row["cases"]]
        if got[: len(want)] != want:
            wrong.append(_label(row))
        del got[: len(want)]
    assert wrong == []
