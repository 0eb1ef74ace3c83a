"""A topological order in which the nodes that a device takes stand together as far as the graph allows."""

from __future__ import annotations

from collections.abc import Set

from ir.graph import Graph, Node


def gathered(graph: Graph, taken: Set[str]) -> Graph:
    """The same graph with its nodes reordered: once a node of ``taken`` has come, others of ``taken`` go first.

    Among equals the given order stays. An interval of the result can hold branches that the given order interleaves
    with nodes outside of ``taken``.
    """
    waiting = list(graph.nodes)
    known = {*graph.inputs, *graph.constants}
    ordered: list[Node] = []
    while waiting:
        ready = [node for node in waiting if known.issuperset(node.inputs)]
        started = any(node.name in taken for node in ordered)
        wanted = [node for node in ready if (node.name in taken) == started]
        chosen = (wanted or ready)[0]
        waiting.remove(chosen)
        ordered.append(chosen)
        known.add(chosen.name)
    return graph.with_nodes(ordered)
