"""What a pass is, and how passes are run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from ir.graph import Graph


class Pass(Protocol):
    """A frozen dataclass of options; calling it maps a valid graph to a valid graph with the same integers."""

    def __call__(self, graph: Graph) -> Graph: ...


def run_passes(graph: Graph, passes: Iterable[Pass], after: Callable[[Pass, Graph], None] | None = None) -> Graph:
    """Apply passes in order and verify the graph after each; ``after`` sees every intermediate graph."""
    graph.verify()
    for each in passes:
        graph = each(graph).verify()
        if after:
            after(each, graph)
    return graph
