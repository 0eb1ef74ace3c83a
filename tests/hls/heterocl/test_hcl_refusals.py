"""What HeteroCL v0.5 rejects or miscompiles is refused, with a message that names what to write instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hls.heterocl import alloc, hcl
from hls.heterocl.errors import APIError, BuildError, DTypeError, HeteroCLError, ScheduleError, StageError
from hls.heterocl.lower import lower
from hls.heterocl.schedule import Schedule

N = 8


def _trace(body: Callable[[Any, Any], Any], in_type: Any = None, out_type: Any = None) -> Schedule:
    """One compute stage `C[i] = body(A, i)`."""
    a = hcl.placeholder((N,), "A", in_type or hcl.Int(8))

    def top(a: Any) -> Any:
        return hcl.compute((N,), lambda i: body(a, i), "C", dtype=out_type or hcl.Int(16))

    return hcl.create_schedule([a], top)


def _guarded(a: Any, i: Any, condition: Any) -> Any:
    v = hcl.scalar(0, "v", hcl.Int(8))
    with hcl.if_(condition):
        v.v = a[i]
    return v.v


def _store_bits(a: Any, i: Any) -> Any:
    v = hcl.scalar(0, "v", hcl.Int(8))
    v.v[0] = 1
    return v.v


def _read_again(value: Any) -> Any:
    held = hcl.scalar(value, "held", hcl.Int(8))
    return held.v + value


def _stale(a: Any, i: Any) -> Any:
    v = hcl.scalar(a[i], "v", hcl.Int(8))
    before = v.v
    v.v = before + 1
    return before + v.v


def _reuse(a: Any, i: Any) -> Any:
    with hcl.if_(i > 0):
        value = a[i] + 1
        hcl.scalar(value, "inner", hcl.Int(16))
    return value


EXPRESSIONS: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "division of an index": (lambda a, i: a[i // 2], "split the loop"),
    "modulo of an index": (lambda a, i: a[i % 2], "split the loop"),
    "division of a value": (lambda a, i: a[i] / 3, "multiply and shift"),
    "set bit": (_store_bits, "clear with & and set with |"),
    "cast of an unsigned slice": (lambda a, i: hcl.cast(hcl.Int(8), hcl.cast(hcl.UInt(8), a[i])[0:4]), "spare bit"),
    "invert": (lambda a, i: ~a[i], "x \\^ mask"),
    "python truth": (lambda a, i: a[i] if a[i] > 0 else 0, "hcl.select"),
    "python and": (lambda a, i: _guarded(a, i, (i > 0) and (i < 3)), "and_"),
    "if of a number": (lambda a, i: _guarded(a, i, a[i]), "compare it with 0"),
    "and_ of numbers": (lambda a, i: _guarded(a, i, hcl.and_(a[i], i > 0)), "compare it with 0"),
    "constant that wraps": (lambda a, i: a[i] + (1 << 31), "wraps in HeteroCL"),
    "numpy number": (lambda a, i: a[i] + np.int64(1), "neither an expression nor"),
    "scalar without .v": (lambda a, i: a[i] + hcl.scalar(0, "s", hcl.Int(8)), "use .v"),
    "float": (lambda a, i: a[i] + 0.5, "neither an expression nor"),
    "unsigned data index": (lambda a, i: a[hcl.cast(hcl.UInt(3), a[i])], "cast it to Int\\(4\\)"),
    "too few indices": (lambda a, i: a[i, i], "has 1 dimensions"),
    "constant out of bounds": (lambda a, i: a[N], "has 8 elements"),
    "reused outside of its block": (_reuse, "hold it in an hcl.scalar"),
    "missing function": (lambda a, i: hcl.while_(i > 0), "for_ with static bounds"),
    "fixed point": (lambda a, i: hcl.cast(hcl.Fixed(8, 4), a[i]), "explicit shifts"),
    "bitcast": (lambda a, i: hcl.bitcast(hcl.UInt(8), a[i]), "cast of the same width"),
    "no result": (lambda a, i: None, "use mutate"),
    "wrapping index": (lambda a, i: a[hcl.cast(hcl.Int(3), i)], "leaves out the casts in an index"),
    "right shift by the width": (lambda a, i: a[i] >> 8, "undefined from the width on"),
    "left shift of two bits": (lambda a, i: hcl.cast(hcl.UInt(2), a[i]) << 1, "shift a wider word"),
    "read in two statements": (lambda a, i: _read_again(a[i]), "reads again: hold it in an hcl.scalar"),
    "scalar read after a store": (lambda a, i: _stale(a, i), "reads v is used again in a later statement"),
    "keyword": (lambda a, i: hcl.scalar(a[i], "new", hcl.Int(8)).v, "called new, a word of C\\+\\+"),
    "name of a value": (lambda a, i: hcl.scalar(a[i], "v1", hcl.Int(8)).v, "as HeteroCL calls its own values"),
    "no identifier": (lambda a, i: hcl.scalar(a[i], "a b", hcl.Int(8)).v, "no identifier"),
}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_expressions(name: str) -> None:
    body, message = EXPRESSIONS[name]
    with pytest.raises((APIError, DTypeError), match=message):
        _trace(body)


def test_division_on_either_side() -> None:
    for divide in (lambda x: 3 / x, lambda x: 3 // x, lambda x: 3 % x):
        with pytest.raises(APIError, match="divider"):
            _trace(lambda a, i, divide=divide: divide(a[i]))


def test_select_around_a_read_out_of_bounds() -> None:
    with pytest.raises(StageError, match="select reads both alternatives: guard the read with if_"):
        lower(_trace(lambda a, i: hcl.select(i > 0, a[i - 1], 0)))


def test_read_out_of_bounds_says_where() -> None:
    with pytest.raises(StageError, match=r"stage C reads A at index 8 of dimension 0, which has 8 .* \(at i = 7\)"):
        lower(_trace(lambda a, i: a[i + 1]))


def test_a_guard_on_loop_variables_makes_a_read_legal() -> None:
    def body(a: Any, i: Any) -> Any:
        v = hcl.scalar(0, "v", hcl.Int(8))
        with hcl.if_(hcl.and_(i >= 1, i < N)):
            v.v = a[i - 1]
        with hcl.else_():
            v.v = a[i + N - 1]
        return v.v

    lower(_trace(body))


def _statements(make: Callable[[Any], Any]) -> Schedule:
    a = hcl.placeholder((N,), "A", hcl.Int(8))
    return hcl.create_schedule([a], make)


def _nested_tag(a: Any) -> None:
    with hcl.for_(0, N, tag="outer") as i, hcl.for_(0, 2, tag="inner"):
        a[i] = 0


def _no_tag(a: Any) -> None:
    with hcl.for_(0, N) as i:
        a[i] = 0


def _dynamic_bound(a: Any) -> None:
    with hcl.for_(0, N, tag="t") as i, hcl.for_(0, i) as j:
        a[j] = 0


def _empty_loop(a: Any) -> None:
    with hcl.for_(3, 3, tag="t"):
        pass


def _backwards(a: Any) -> None:
    with hcl.for_(N, 0, -1, tag="t"):
        pass


def _store_at_top(a: Any) -> None:
    a[0] = 1


def _scalar_at_top(a: Any) -> None:
    hcl.scalar(0, "s")


def _store_to_constant(a: Any) -> None:
    c = hcl.const_tensor(np.arange(N), "c", hcl.Int(8))
    with hcl.for_(0, N, tag="t") as i:
        c[i] = 0


def _constant_too_small(a: Any) -> None:
    hcl.const_tensor(np.array([0, 128]), "c", hcl.Int(8))


def _constant_too_wide(a: Any) -> None:
    hcl.const_tensor(np.array([0, 1]), "c", hcl.Int(65))


def _constant_of_one_element(a: Any) -> None:
    hcl.const_tensor(np.array([1]), "c", hcl.Int(8))


def _float_constant(a: Any) -> None:
    hcl.const_tensor(np.array([0.5]), "c", hcl.Int(8))


def _two_stages_of_one_name(a: Any) -> None:
    for _ in range(2):
        with hcl.for_(0, N, tag="t") as i:
            a[i] = 0


def _orphan_else(a: Any) -> None:
    with hcl.for_(0, N, tag="t") as i, hcl.else_():
        a[i] = 0


def _loop_variable_escapes(a: Any) -> None:
    with hcl.for_(0, N, tag="t"):
        with hcl.for_(0, 2) as j:
            a[j] = 0
        a[j] = 1


def _scalar_escapes(a: Any) -> None:
    with hcl.for_(0, N, tag="t") as i:
        with hcl.if_(i > 0):
            v = hcl.scalar(1, "v")
        a[i] = v.v


def _returns_input(a: Any) -> Any:
    return a


def _compute_in_stage(a: Any) -> None:
    with hcl.for_(0, N, tag="t"):
        hcl.compute((N,), lambda i: i, "inner")


def _wrong_arity(a: Any) -> None:
    hcl.mutate((N, N), lambda i: None, "m")


STATEMENTS: dict[Callable[[Any], Any], str] = {
    _nested_tag: "only outermost loops are",
    _no_tag: "give it tag=",
    _dynamic_bound: "static bounds",
    _empty_loop: "is empty",
    _backwards: "count upwards",
    _store_at_top: "outside of every stage",
    _scalar_at_top: "outside of every stage",
    _store_to_constant: "is constant",
    _constant_too_small: "does not hold 128",
    _constant_too_wide: "at most 64 bits",
    _constant_of_one_element: "has one element",
    _float_constant: "integers are needed",
    _two_stages_of_one_name: "two stages are called t",
    _orphan_else: "directly after an if_",
    _loop_variable_escapes: "outside of its loop",
    _scalar_escapes: "outside of the block",
    _returns_input: "only tensors that the function computes",
    _compute_in_stage: "stages do not nest",
    _wrong_arity: "1 arguments .* 2 dimensions",
}


@pytest.mark.parametrize("program", STATEMENTS, ids=lambda f: f.__name__.strip("_"))
def test_statements(program: Callable[[Any], Any]) -> None:
    with pytest.raises((APIError, DTypeError), match=STATEMENTS[program]):
        _statements(program)


# -- building and calling ---------------------------------------------------------------------------------------


def test_missing_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(BuildError, match=r"g\+\+ is needed"):
        hcl.build(_trace(lambda a, i: a[i]))


def test_unknown_target() -> None:
    with pytest.raises(BuildError, match="'vhls'"):
        hcl.build(_trace(lambda a, i: a[i]), target="opencl")


def test_width_above_the_native_limit() -> None:
    def wide(a: Any, i: Any) -> Any:
        x = hcl.cast(hcl.Int(100), a[i])
        return x * x

    with pytest.raises(BuildError, match="stops at 128"):
        hcl.build(_trace(wide, in_type=hcl.Int(100)))


def test_wrong_arguments() -> None:
    program = hcl.build(_trace(lambda a, i: a[i]))
    right, out = hcl.asarray(np.zeros(N), hcl.Int(8)), hcl.asarray(np.zeros(N), hcl.Int(16))
    with pytest.raises(BuildError, match="takes 2: A, C"):
        program(right)
    with pytest.raises(BuildError, match=r"wrap it with hcl\.asarray"):
        program(np.zeros(N), out)
    with pytest.raises(BuildError, match=r"A is \[8\] of UInt\(8\); the program takes \[8\] of Int\(8\)"):
        program(hcl.asarray(np.zeros(N), hcl.UInt(8)), out)
    with pytest.raises(DTypeError, match="at most 64 bits"):
        hcl.asarray(np.zeros(N), hcl.UInt(65))
    with pytest.raises(DTypeError, match="integers are needed"):
        hcl.asarray(np.array([0.5]), hcl.Int(8))


def test_tensor_of_another_program() -> None:
    kept: list[Any] = []
    _statements(lambda a: kept.append(alloc((N,), "M", hcl.Int(8))))
    with pytest.raises(APIError, match="outside of the block or program"):
        _trace(lambda a, i: kept[0][i])


def test_expression_nested_too_deeply() -> None:
    def body(a: Any, i: Any) -> Any:
        total = a[i]
        for _ in range(2000):
            total = total & a[i]
        return total

    with pytest.raises(APIError, match=r"accumulate in an hcl\.scalar"):
        _trace(body)


def test_statements_outside_of_a_program() -> None:
    with pytest.raises(APIError, match="create_schedule"):
        hcl.scalar(0)
    assert issubclass(ScheduleError, HeteroCLError)
