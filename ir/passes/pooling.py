"""Max-pooling before requantisation: fewer values to requantise, and both fuse into the convolution before them."""

from __future__ import annotations

from dataclasses import dataclass

from ir.graph import Graph, Node
from ir.ops import MaxPool2d, MultiplyShift, Thresholds


@dataclass(frozen=True)
class PoolBeforeRequantise:
    """``pool(requantise(x))`` becomes ``requantise(pool(x))`` where that is exact and leaves fewer values to map.

    A map that does not fall commutes with the maximum: a multiply-shift whose every multiplier is at least 0,
    thresholds whose every channel rises. The requantised tensor must have no other reader and be no output. The result
    keeps its name; the pooled sums are called ``<name>.sums``.
    """

    def __call__(self, graph: Graph) -> Graph:
        moved = {node.name: graph.by_name[node.inputs[0]] for node in graph.nodes if _movable(graph, node)}
        gone = {requantise.name for requantise in moved.values()}
        nodes: list[Node] = []
        for node in graph.nodes:
            if node.name in gone:
                continue
            if node.name not in moved:
                nodes.append(node)
                continue
            source, *constants = moved[node.name].inputs
            sums = f"{node.name}.sums"
            nodes.append(Node(sums, node.op, (source,)))
            nodes.append(Node(node.name, moved[node.name].op, (sums, *constants)))
        return graph.with_nodes(nodes)


def _movable(graph: Graph, pool: Node) -> bool:
    if not isinstance(pool.op, MaxPool2d) or pool.inputs[0] not in graph.by_name:
        return False
    before = graph.by_name[pool.inputs[0]]
    private = graph.consumers[before.name] == (pool.name,) and before.name not in graph.outputs
    shrinks = graph.types[pool.name].elements < graph.types[before.name].elements
    return private and shrinks and never_falls(graph, before)


def never_falls(graph: Graph, node: Node) -> bool:
    """Whether a requantisation maps larger values to results at least as large, in every channel."""
    if isinstance(node.op, MultiplyShift):
        return bool((graph.constants[node.inputs[1]] >= 0).all())
    if isinstance(node.op, Thresholds):
        return bool((graph.constants[node.inputs[2]] != 0).all())
    return False
