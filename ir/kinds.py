"""Integer graphs and float graphs: the two kinds of network that are executed, which never mix."""

from __future__ import annotations

from typing import Literal

from ir.graph import Graph, GraphError
from ir.ops import Affine
from ir.types import DType

Kind = Literal["integer", "float32"]
FLOAT32 = DType("float", 32)


def kind_of(graph: Graph) -> Kind:
    """``integer`` where every value is an integer, ``float32`` where every result is a float32.

    A float graph's inputs may hold integers (a picture), which only an `Affine` reads. GraphError names the first node
    of the other kind, or one whose values are not frozen (float64).
    """
    floats = [node.name for node in graph.nodes if not graph.types[node.name].dtype.is_integer]
    first = floats[0] if floats else None
    for view in graph.views():
        if first is None:
            break
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
