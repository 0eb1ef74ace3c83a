"""Integer graphs and float graphs: the two kinds of network that are executed; and what integer graphs leave to floats.

A fallback is what a network of integers computes in reals between two quantisers, or behind the last one, because it
has no integer form. It is computed in binary64, in an order that each operator states: exactly, like the integers."""

from __future__ import annotations

from typing import Literal

from ir.graph import Graph, GraphError, NodeView
from ir.ops import (
    Affine,
    Arithmetic,
    Concat,
    Curve,
    Interpolate,
    Op,
    PRelu,
    Reduce,
    Reshape,
    Slice,
    Softmax,
    ToInteger,
    Transpose,
)
from ir.types import DType

Kind = Literal["integer", "float32"]
FLOAT32 = DType("float", 32)
FLOAT64 = DType("float", 64)
FALLBACK: tuple[type[Op], ...] = (
    Affine, Arithmetic, Concat, Curve, Interpolate, PRelu, Reduce, Reshape, Slice, Softmax, ToInteger, Transpose,
)  # fmt: skip
"""Operators of binary64 whose order of operations is stated."""


def is_fallback(view: NodeView) -> bool:
    """Whether a node of an integer graph computes in reals: its result or what it reads at run time is a float64."""
    read = [operand.type.dtype for operand in view.operands if operand.value is None]
    return FLOAT64 in (view.type.dtype, *read)


def kind_of(graph: Graph) -> Kind:
    """``integer`` where every value is an integer, or a float64 of the fallback; ``float32`` where every result is a
    float32.

    A float graph's inputs may hold integers (a picture), which only an `Affine` reads. GraphError names the first node
    of the other kind, or one whose values are not frozen (float64).
    """
    floats = [node.name for node in graph.nodes if graph.types[node.name].dtype == FLOAT32]
    first = floats[0] if floats else None
    for view in graph.views():
        if first is None:
            if is_fallback(view) and not isinstance(view.op, FALLBACK):
                raise GraphError(
                    f"{graph.name}: node '{view.name}' gives {view.type}, which is neither frozen nor float32"
                )
            continue
        if view.type.dtype.is_integer:
            raise GraphError(
                f"{graph.name}: node '{view.name}' gives integers ({view.type}) and '{first}' floats: "
                "a network is of integers or of float32 throughout"
            )
        if view.type.dtype != FLOAT32:
            raise GraphError(f"{graph.name}: node '{view.name}' gives {view.type}, which is neither frozen nor float32")
        read = view.node.inputs[0]
        if graph.types[read].dtype.is_integer and not isinstance(view.op, Affine):
            raise GraphError(f"{graph.name}: node '{view.name}' of a float network reads the integers of '{read}'")
    return "float32" if floats else "integer"
