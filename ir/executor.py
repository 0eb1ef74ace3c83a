"""The reference executor: the integers every other executor has to give."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ir.graph import Graph, GraphError
from ir.types import Array


def execute(graph: Graph, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Every tensor of the graph for one frame, by name (inputs included).

    Inputs are checked against their types: GraphError names the input, and what its shape or range should be.
    """
    values: dict[str, Array] = {}
    for name, type_ in graph.inputs.items():
        if name not in inputs:
            raise GraphError(f"{graph.name}: input '{name}' is missing")
        value = np.asarray(inputs[name])
        if value.shape != type_.shape:
            raise GraphError(f"{graph.name}: input '{name}' has shape {value.shape}, needs {type_.shape}")
        if type_.dtype.is_integer:
            if value.dtype.kind not in "iub":
                raise GraphError(f"{graph.name}: input '{name}' is {value.dtype}, needs integers ({type_.dtype})")
            if value.min() < type_.lo or value.max() > type_.hi:
                raise GraphError(f"{graph.name}: input '{name}' leaves its range {type_.lo}..{type_.hi}")
            if type_.dtype.kind == "bipolar" and not value.all():
                raise GraphError(f"{graph.name}: input '{name}' holds a 0, which is no bipolar value")
            value = value.astype(np.int64)
        values[name] = value
    for node in graph.nodes:
        operands = [values[i] if i in values else graph.constants[i] for i in node.inputs]
        values[node.name] = node.op.evaluate(operands)
    return values


def outputs_of(graph: Graph, values: Mapping[str, Array]) -> dict[str, Array]:
    """The graph's outputs among the values that `execute` returned."""
    return {name: values[name] for name in graph.outputs}
