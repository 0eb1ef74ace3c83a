"""Result types against HeteroCL v0.5's own tables, errors included."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hcl_programs import dtype

from hls.heterocl.errors import APIError, DTypeError
from hls.heterocl.expr import Const, compare
from hls.heterocl.types import Index, Int, UInt, result_type, unary_type


@pytest.fixture(scope="module")
def tables(shared_data: Path) -> dict[str, list[list[Any]]]:
    return json.loads((shared_data / "heterocl" / "types.json").read_text())


def test_binary_operators(tables: dict[str, list[list[Any]]]) -> None:
    rows = tables["binary"]
    assert len(rows) == 5832
    wrong = [row for row in rows if str(result_type(row[0], dtype(row[1]), dtype(row[2]))) != row[3]]
    assert wrong == []


def test_operators_with_python_integers(tables: dict[str, list[list[Any]]]) -> None:
    rows = tables["with_python_int"]
    assert len(rows) == 3672

    def typed(op: str, name: str, value: int, side: str) -> str:
        operands = (dtype(name), value) if side == "right" else (value, dtype(name))
        return str(result_type(op, *operands))

    assert [row for row in rows if typed(*row[:4]) != row[4]] == []


def test_unary_operators(tables: dict[str, list[list[Any]]]) -> None:
    names = {"bit0": "bit", "slice0:2": "slice:2"}

    def typed(op: str, name: str) -> str:
        try:
            return str(unary_type(names.get(op, op), dtype(name)))
        except APIError as error:
            return f"error: {type(error).__name__}"

    assert [row for row in tables["unary"] if typed(row[0], row[1]) != row[2]] == []


def test_expressions_carry_the_table_types() -> None:
    a, b = Const(0, Int(4)), Const(0, UInt(4))
    assert [(a + b).dtype, (a * b).dtype, (b - b).dtype, (a << 3).dtype, (3 << a).dtype] == [
        Int(6),
        Int(8),
        UInt(5),
        Int(4),
        Int(32),
    ]
    assert compare("<", a, 7).dtype == UInt(1)
    assert a[0].dtype == UInt(1)
    assert a[0:2].dtype == UInt(2)
    with pytest.raises(APIError, match=r"x \^ mask"):
        _ = ~a


def test_loop_variables_stay_exact_among_themselves() -> None:
    assert result_type("+", Index(), Index()) == Index()
    assert result_type("+", Index(), Int(8)) == Int(34)
    assert result_type("*", UInt(4), Index()) == UInt(36)


def test_wrapping() -> None:
    assert [Int(4).wrap(v) for v in (7, 8, -9, 31)] == [7, -8, 7, -1]
    assert [UInt(4).wrap(v) for v in (15, 16, -1)] == [15, 0, 15]
    with pytest.raises(DTypeError, match="positive"):
        Int(0)
