"""Multiply-shift to thresholds: the requantisation without a multiplier."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ir.graph import Graph, Node
from ir.ops import MultiplyShift, Thresholds
from ir.types import Array, Ints, TensorType


@dataclass(frozen=True)
class MultiplyShiftToThresholds:
    """Replaces every `MultiplyShift` whose result has at most ``levels`` levels by the `Thresholds` that equal it.

    ``clip((x*m + a + 2**(s-1)) >> s, lo, hi) >= k`` is ``x*m >= (k << s) - a - 2**(s-1)``, one comparison of x per
    level; it turns round where m < 0, and is constant where m = 0.
    """

    levels: int = 16

    def __call__(self, graph: Graph) -> Graph:
        nodes: list[Node] = []
        constants = dict(graph.constants)
        for node in graph.nodes:
            op = node.op
            if isinstance(op, MultiplyShift) and op.hi - op.lo < self.levels:
                source, mul, add = node.inputs
                table, rising = thresholds_of(op, graph.types[source], constants[mul], constants[add])
                names = (f"{node.name}.thresholds", f"{node.name}.rising")
                constants.update(zip(names, (table, rising), strict=True))
                nodes.append(Node(node.name, Thresholds(op.lo), (source, *names)))
            else:
                nodes.append(node)
        return graph.with_nodes(nodes, constants)


def thresholds_of(op: MultiplyShift, x: TensorType, mul: Array, add: Array) -> tuple[Ints, Ints]:
    """(table (C, hi - lo), rising (C,)) for x in its true range; thresholds outside it are moved to just beside it."""
    table = np.empty((len(mul), op.hi - op.lo), np.int64)
    rising = np.ones(len(mul), np.int64)
    for c, (m, a) in enumerate(zip(mul.tolist(), add.tolist(), strict=True)):
        for i, level in enumerate(range(op.lo + 1, op.hi + 1)):
            bound = (level << op.shift) - a - (1 << (op.shift - 1))
            if m > 0:
                table[c, i] = min(max(-(-bound // m), x.lo), x.hi + 1)
            elif m < 0:
                table[c, i] = min(max(-(bound // -m) if bound % -m == 0 else -(bound // -m) - 1, x.lo - 1), x.hi)
            else:
                table[c, i] = x.lo if bound <= 0 else x.hi + 1
        rising[c] = m >= 0
    return table, rising
