"""The fallback's functions and operators: near the libraries' values, and as their docstrings say."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from ir import functions
from ir.graph import Graph, GraphError, Node
from ir.kinds import is_fallback, kind_of
from ir.ops import (
    Affine,
    Arithmetic,
    Interpolate,
    MaxPool2d,
    Op,
    Operand,
    OperatorError,
    Reduce,
    Softmax,
    ToInteger,
)
from ir.rounding import ROUNDINGS
from ir.types import Array, DType, TensorType

REAL = DType("float", 64)
SOME = np.concatenate([np.random.default_rng(0).normal(0, s, 500) for s in (1e-6, 1e-2, 1, 30)])
LARGE = np.array([0.0, 1.0, -1.0, 300.0, -300.0, 700.0, -700.0])


@pytest.mark.parametrize(
    ("ours", "theirs", "x", "units"),
    [
        (functions.exp, math.exp, np.concatenate([SOME, LARGE]), 4),
        (functions.expm1, math.expm1, np.concatenate([SOME, LARGE]), 4),
        (functions.log, math.log, np.concatenate([np.abs(SOME), [5e-324, 1e-308, 1e308]]), 4),
        (functions.tanh, math.tanh, np.concatenate([SOME, LARGE]), 4),
        (functions.erf, math.erf, SOME, 16),
        (functions.sqrt, math.sqrt, np.concatenate([np.abs(SOME), [1e-300, 1e300]]), 2),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_functions(ours: Callable[[Array], Array], theirs: Callable[[float], float], x: Array, units: int) -> None:
    expected = np.array([theirs(v) for v in x.tolist()])
    assert (np.abs(ours(x) - expected) <= units * np.spacing(np.abs(expected))).all()


def test_functions_at_the_ends() -> None:
    with np.errstate(all="ignore"):
        assert functions.exp(np.array([1e9, np.inf, -1e9, -np.inf])).tolist() == [np.inf, np.inf, 0, 0]
        assert functions.log(np.array([0.0, np.inf])).tolist() == [-np.inf, np.inf]
        assert functions.tanh(np.array([-1e9, 1e9])).tolist() == [-1, 1]
        assert functions.erf(np.array([-7.0, 7.0])).tolist() == [-1, 1]
        for function in (functions.exp, functions.log, functions.tanh, functions.erf, functions.sqrt):
            assert np.isnan(function(np.array([np.nan]))).all()
        assert np.isnan(functions.log(np.array([-1.0]))).all()


def operand(shape: tuple[int, ...], values: Array | None = None, dtype: DType = REAL) -> Operand:
    return Operand(TensorType(shape, dtype), values)


def test_reductions_add_up_in_the_order_of_memory() -> None:
    """A sum in another order would round otherwise: 1e16 takes up no single 1."""
    x = np.ones((2, 2, 2))
    x[0, 0, 0], x[1, 1, 1] = 1e16, -1e16
    total = Reduce("sum", (0, 1, 2)).evaluate([x])
    one_by_one = 0.0
    for value in x.transpose(1, 2, 0).ravel().tolist():
        one_by_one += value
    assert total.shape == (1, 1, 1) and total.item() == one_by_one == 0.0
    assert Reduce("sum", (0,)).evaluate([x])[0].tolist() == [[1e16, 2], [2, 1 - 1e16]]
    assert Reduce("largest", (1, 2)).evaluate([x])[:, 0, 0].tolist() == [1e16, 1]


def test_arithmetic_broadcasts() -> None:
    x, y = np.arange(1.0, 13).reshape(3, 2, 2), np.array([2.0, 4, 8]).reshape(3, 1, 1)
    assert np.array_equal(Arithmetic("divide").evaluate([x, y]), x / y)
    assert Arithmetic("divide").infer([operand((3, 2, 2)), operand((3, 1, 1))]).shape == (3, 2, 2)
    assert Arithmetic("smaller").evaluate([x, y])[:, 0, 0].tolist() == [1, 4, 8]


@pytest.mark.parametrize("rounding", sorted(ROUNDINGS))
def test_to_integers(rounding: str) -> None:
    op, x = ToInteger(-8, 7, 2, rounding), np.linspace(-30, 30, 241).reshape(1, 1, -1)
    given = np.concatenate([x, np.full((1, 1, 1), np.nan)], axis=2)
    expected = ROUNDINGS[rounding](np.clip(x / 2.0 + 2, -8, 7)) - 2
    result = op.evaluate([given, np.array([2.0])])
    assert np.array_equal(result[..., :-1], expected) and result[0, 0, -1] == -10
    type_ = op.infer([operand(given.shape), operand((1,), np.array([2.0]))])
    assert (type_.lo, type_.hi) == (-10, 5)


def test_interpolation_of_a_ramp() -> None:
    """Between pixels a ramp stays a ramp; beside the outermost ones it is flat."""
    ramp = np.arange(4.0).reshape(1, 1, 4).repeat(4, 1)
    half = Interpolate(8, 8, "half_pixel").evaluate([ramp])[0, 0]
    assert half.tolist() == [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3]
    assert np.allclose(Interpolate(4, 7, "align_corners").evaluate([ramp])[0, 0], np.arange(7) / 2)
    assert Interpolate(4, 8, "asymmetric").evaluate([ramp])[0, 0].tolist() == [0, 0.5, 1, 1.5, 2, 2.5, 3, 3]


@pytest.mark.parametrize(
    ("op", "operands", "message"),
    [
        (Arithmetic("power"), [operand((1, 2, 2))] * 2, "'power' is unknown"),
        (Arithmetic("add"), [operand((2, 2, 2)), operand((3, 2, 2))], "do not broadcast"),
        (Reduce("sum", ()), [operand((2, 2, 2))], "axes"),
        (Interpolate(4, 4, "cubic"), [operand((1, 2, 2))], "'cubic' is unknown"),
        (Interpolate(4, 4), [operand((1, 2))], "takes floats"),
        (ToInteger(0, 255), [operand((2, 2, 2)), operand((2,), np.array([1.0, 0]))], "above 0"),
        (ToInteger(0, 255), [operand((2, 2, 2)), operand((1,), np.ones(1))], "one per channel"),
    ],
)
def test_refusals(op: Op, operands: list[Operand], message: str) -> None:
    with pytest.raises(OperatorError, match=message):
        op.infer(operands)


def test_a_network_of_integers_may_hold_reals_of_the_fallback_only() -> None:
    x = TensorType.of_range((2, 3, 3), -5, 5)
    constants = {"scale": np.full(2, 0.5), "offset": np.zeros(2)}
    nodes = [Node("real", Affine(), ("x", "scale", "offset")), Node("soft", Softmax(), ("real",))]
    back = Node("back", ToInteger(0, 255), ("soft", "scale"))
    graph = Graph("net", {"x": x}, (*nodes, back), ("back",), constants)
    assert kind_of(graph) == "integer" and all(is_fallback(view) for view in graph.views())
    pooled = Graph("net", {"x": x}, (nodes[0], Node("pool", MaxPool2d(), ("real",))), ("pool",), constants)
    with pytest.raises(GraphError, match=r"node 'pool' gives float64.*neither frozen nor float32"):
        kind_of(pooled)
