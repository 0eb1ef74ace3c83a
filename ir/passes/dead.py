"""Removal of nodes that no output depends on."""

from __future__ import annotations

from dataclasses import dataclass

from ir.graph import Graph


@dataclass(frozen=True)
class RemoveDead:
    """Keeps the nodes from which an output can be reached."""

    def __call__(self, graph: Graph) -> Graph:
        live = set(graph.outputs)
        for node in reversed(graph.nodes):
            if node.name in live:
                live.update(node.inputs)
        return graph.with_nodes(node for node in graph.nodes if node.name in live)
