"""Networks without quantisers: the float graph as it is executed, in float32."""

from __future__ import annotations

import numpy as np

from frontend.errors import ModelError
from ir.graph import Graph
from ir.kinds import kind_of
from ir.ops import Dequantize, FakeQuantize, MultiThreshold, Quantize
from ir.passes.base import run_passes
from ir.passes.dead import RemoveDead
from ir.passes.floats import FoldAffine, FoldFlatten, PlainCurves, SinglePrecision, ToAffine

PASSES = (
    RemoveDead(), ToAffine(), PlainCurves(), FoldAffine(), FoldFlatten(), RemoveDead(), SinglePrecision(),
)  # fmt: skip

QUANTISERS = (Dequantize, FakeQuantize, MultiThreshold, Quantize)


def is_float(graph: Graph) -> bool:
    """Whether a graph computes real values and has no quantisers, so that it has no integer form."""
    real = any(not graph.types[node.name].dtype.is_integer for node in graph.nodes)
    return real and not any(isinstance(node.op, QUANTISERS) for node in graph.nodes)


def to_single(graph: Graph) -> Graph:
    """The float32 form of a graph without quantisers: batch norms folded in float64, constants rounded once.

    ModelError for a constant that float32 does not hold; GraphError where integers and floats mix.
    """
    with np.errstate(over="ignore"):
        single = run_passes(graph, PASSES)
    bad = next((name for name, value in single.constants.items() if not np.isfinite(value).all()), None)
    if bad:
        raise ModelError(f"{graph.name}: constant '{bad}' leaves the range of float32: a batch norm is degenerate")
    kind_of(single)
    return single
