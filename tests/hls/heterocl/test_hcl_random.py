"""Random programs: compiled native code, `ap_int` and the simulator give the same, at the types' extremes too."""

from __future__ import annotations

import ctypes
import operator
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from hcl_programs import run_ap
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp

from hls.heterocl import hcl
from hls.heterocl.build import compile_library
from hls.heterocl.lower import PIPELINE, lower
from hls.heterocl.printers import print_native, print_vitis
from hls.heterocl.printers.native import storage_of
from hls.heterocl.schedule import Schedule
from hls.heterocl.simulate import simulate
from hls.heterocl.types import DType

SIZE = 16
WIDTHS = (1, 2, 3, 4, 5, 8, 11, 16, 17, 27, 31, 32, 33, 45, 48, 63, 64)
ARITHMETIC = (operator.add, operator.sub, operator.mul, operator.and_, operator.or_, operator.xor)
RELATIONS = (operator.lt, operator.le, operator.eq, operator.ne, operator.gt, operator.ge)
AMOUNTS = (0, 1, 3, 7, 13, 31)


@dataclass(frozen=True)
class Case:
    """A lowered program over three inputs, and its data."""

    module: ModuleOp
    types: tuple[DType, ...]
    store: DType
    data: tuple[tuple[int, ...], ...]
    expected: list[int]


def _type(rng: random.Random, widths: Sequence[int] = WIDTHS) -> DType:
    return rng.choice((hcl.Int, hcl.UInt))(rng.choice(widths))


def _leaf(rng: random.Random, leaves: Sequence[Callable[[], Any]], i: Any) -> Any:
    kind = rng.random()
    if kind < 0.7:
        return rng.choice(leaves)()
    return rng.choice((0, 1, -1, 15, 1000, -(2**31))) if kind < 0.85 else rng.choice((i, i + 1, 3 * i - 1))


def _tree(rng: random.Random, leaves: Sequence[Callable[[], Any]], depth: int, i: Any) -> Any:
    if depth == 0 or rng.random() < 0.1:
        return _leaf(rng, leaves, i)
    a, b = (_tree(rng, leaves, depth - 1, i) for _ in range(2))
    a = hcl.cast(hcl.Int(32), a) if isinstance(a, int) else a
    amount = rng.choice((*AMOUNTS, _leaf(rng, leaves, i)))
    kinds: tuple[Callable[[], Any], ...] = (
        lambda: hcl.cast(_type(rng, WIDTHS[:12]), a),
        lambda: -a,
        lambda: hcl.cast(_type(rng, WIDTHS[2:]), a) << amount,
        lambda: a >> (min(amount, a.dtype.bits - 1) if isinstance(amount, int) else amount),
        lambda: hcl.select(rng.choice(RELATIONS)(a, b), b, _tree(rng, leaves, depth - 1, i)),
        lambda: rng.choice(RELATIONS)(a, b),
        *([lambda: rng.choice(ARITHMETIC)(a, b)] * 6),
    )
    return rng.choice(kinds)()


def _lowered(schedule: Schedule) -> ModuleOp:
    """What `lower` makes of it, after each of its passes has left a valid module."""
    module = schedule.module.clone()
    for step in PIPELINE:
        step.apply(Context(), module)
        module.verify()
    assert module.is_structurally_equivalent(lower(schedule))
    return module


def _case(seed: int) -> Case:
    rng = random.Random(seed)
    types, store = tuple(_type(rng) for _ in range(3)), _type(rng)
    tensors = [hcl.placeholder((SIZE,), f"A{k}", t) for k, t in enumerate(types)]

    def top(*arrays: Any) -> Any:
        def body(i: Any) -> Any:
            leaves: list[Callable[[], Any]] = [lambda a=a: a[i] for a in arrays]
            w = hcl.scalar(_tree(rng, leaves, 2, i), "w", _type(rng))
            with hcl.if_(w.v > arrays[0][i]):
                w.v = w.v + _tree(rng, leaves, 1, i)
            with hcl.else_():
                w.v = _tree(rng, leaves, 2, i)
            return _tree(rng, [*leaves, lambda: w.v], 2, i)

        return hcl.compute((SIZE,), body, "C", dtype=store)

    module = _lowered(hcl.create_schedule(tensors, top))
    data = tuple(
        tuple(
            rng.choice((t.lo, t.hi, 0, t.hi - 1)) if rng.random() < 0.4 else rng.randint(t.lo, t.hi)
            for _ in range(SIZE)
        )
        for t in types
    )
    arrays = [np.array(column, object) for column in data]
    expected = [int(v) for v in simulate(module, *arrays, np.zeros(SIZE, np.int64)).arrays[-1]]
    return Case(module, types, store, data, expected)


def test_native(tmp_path: Path) -> None:
    cases = [_case(seed) for seed in range(60)]
    texts = [
        print_native(case.module).replace('#include "hls_native.h"\n', "").replace("void top(", f"void top_{k}(")
        for k, case in enumerate(cases)
    ]
    flags = ("-O1", "-std=c++17", "-fPIC", "-shared", "-fsanitize=shift-exponent", "-fsanitize-undefined-trap-on-error")
    library = ctypes.CDLL(
        str(compile_library(['#include "hls_native.h"\n' + "\n".join(texts)], tmp_path, "random", flags))
    )
    for k, case in enumerate(cases):
        columns = [np.array(d, storage_of(t).removesuffix("_t")) for d, t in zip(case.data, case.types, strict=True)]
        got = np.zeros(SIZE, storage_of(case.store).removesuffix("_t"))
        getattr(library, f"top_{k}")(*(ctypes.c_void_p(c.ctypes.data) for c in (*columns, got)))
        assert got.tolist() == case.expected, f"seed {k}:\n{texts[k]}"


def test_ap_int(tmp_path: Path) -> None:
    includes = "#include <ap_int.h>\n#include <hls_stream.h>\n"
    seeds = range(100, 116)
    cases, source, body = [_case(seed) for seed in seeds], includes, ""
    for k, case in enumerate(cases):
        source += print_vitis(case.module).replace(includes, "").replace("void top(", f"void top_{k}(")
        for n, (t, column) in enumerate(zip(case.types, case.data, strict=True)):
            # decimal text is the one notation that ap_int reads exactly at every width
            texts = ", ".join(f'"{v}"' for v in column)
            body += f"static {_ap(t)} A{k}_{n}[{SIZE}]; {{ const char *t[] = {{{texts}}}; "
            body += f"for (int i = 0; i < {SIZE}; ++i) A{k}_{n}[i] = {_ap(t)}(t[i], 10); }}\n"
        body += f"static {_ap(case.store)} C{k}[{SIZE}]; top_{k}(A{k}_0, A{k}_1, A{k}_2, C{k});\n"
        signed = str(case.store.signed).lower()
        body += f'for (auto &c : C{k}) printf("%s\\n", c.to_string(10, {signed}).c_str());\n'
    got = run_ap(tmp_path, source, f"int main() {{\n{body}return 0;\n}}")
    for k, seed in enumerate(seeds):
        assert got[k * SIZE : (k + 1) * SIZE] == cases[k].expected, f"seed {seed}:\n{print_vitis(cases[k].module)}"


def _ap(dtype: DType) -> str:
    return f"ap_{'int' if dtype.signed else 'uint'}<{dtype.bits}>"
