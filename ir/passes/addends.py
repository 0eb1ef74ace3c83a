"""One number per channel in front of a requantisation, as part of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ir.graph import Graph, Node
from ir.ops import Add, MultiplyShift

LIMIT = 1 << 60


@dataclass(frozen=True)
class FoldAddends:
    """``(x + b[c]) * mul[c] + add[c]`` becomes ``x * mul[c] + (add[c] + b[c] * mul[c])`` where only it reads the sum.

    Exact. The bias of a convolution of an integer network is such a sum; without it the requantisation follows the
    convolution at once, in the same stage or kernel.
    """

    def __call__(self, graph: Graph) -> Graph:
        constants, inputs = dict(graph.constants), {node.name: node.inputs for node in graph.nodes}
        gone = set()
        for node in graph.nodes:
            before = _sum_before(graph, node)
            if before is None:
                continue
            source, addend = before.inputs
            mul, add, b = (constants[i].astype(object) for i in (*node.inputs[1:], addend))
            folded = add + b * mul
            if max(abs(int(v)) for v in folded) < LIMIT:
                constants[node.inputs[2]] = folded.astype(np.int64)
                inputs[node.name] = (source, *node.inputs[1:])
                gone.add(before.name)
        kept = (Node(n.name, n.op, inputs[n.name]) for n in graph.nodes if n.name not in gone)
        return graph.with_nodes(kept, constants)


def _sum_before(graph: Graph, node: Node) -> Node | None:
    if not isinstance(node.op, MultiplyShift) or node.inputs[0] not in graph.by_name:
        return None
    before = graph.by_name[node.inputs[0]]
    if not isinstance(before.op, Add) or before.name in graph.outputs or graph.consumers[before.name] != (node.name,):
        return None
    x, addend = before.inputs
    vector = addend in graph.constants and graph.constants[addend].shape == graph.types[x].shape[:1]
    shared = any(node.inputs[2] in other.inputs for other in graph.nodes if other.name != node.name)
    return before if vector and x not in graph.constants and not shared else None
