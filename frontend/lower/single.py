"""Networks without quantisers: the float graph as it is executed, in float32."""

from __future__ import annotations

import numpy as np

from frontend.errors import ModelError
from ir.graph import Graph
from ir.kinds import kind_of
from ir.ops import FakeQuantize
from ir.passes.base import run_passes
from ir.passes.dead import RemoveDead
from ir.passes.floats import FoldAffine, FoldFlatten, SinglePrecision, ToAffine

PASSES = (RemoveDead(), ToAffine(), FoldAffine(), FoldFlatten(), RemoveDead(), SinglePrecision())


def is_quantised(graph: Graph) -> bool:
    """Whether a graph has quantisers, so that it is to be frozen to integers."""
    return any(isinstance(node.op, FakeQuantize) for node in graph.nodes)


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
