"""A graph as the flow lowers it, its Vitis C++ run with ap_int."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from design_runs import assert_equal, reference
from test_layer_flows import TARGET

from hls.csim import CSimulation
from hls.engine import DataflowEngine
from ir.engine import Candidate, Configuration, Prepared
from ir.graph import Graph
from ir.types import Array


def check_ap_int(
    graph: Graph, frames: Iterable[Mapping[str, Array]], chosen: Mapping[str, Configuration] | None = None
) -> None:
    """Every frame gives the reference's integers, each node built as ``chosen`` or in the engine's first way."""
    engine, choices = DataflowEngine(), dict[str, Candidate]()
    for view in graph.views():
        prepared = engine.prepare(view, TARGET)
        assert isinstance(prepared, Prepared)
        first = engine.candidates(prepared, TARGET)[0]
        choices[view.name] = replace(first, configuration=(chosen or {}).get(view.name, first.configuration))
    with CSimulation(engine.lower(graph, choices, TARGET), graph) as program:
        for inputs in frames:
            expected = reference(graph, inputs)
            assert_equal(program.run({**inputs, **expected}), expected, graph.types)
