"""Multipliers made non-negative by turning the signs of the convolution before them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ir.graph import Graph, Node
from ir.ops import Conv2d, MultiplyShift
from ir.types import DType


@dataclass(frozen=True)
class PositiveMultipliers:
    """``(w . x) * mul`` becomes ``(-w . x) * -mul`` in the channels where mul < 0, so that maps never fall.

    Exact. Applies where the multiply-shift is the convolution's only reader and the turned weights still fit the type
    of the others (-128 has no counterpart in int8). New constants are called ``<conv>.weights`` and ``<map>.mul``.
    """

    def __call__(self, graph: Graph) -> Graph:
        constants = dict(graph.constants)
        inputs = {node.name: node.inputs for node in graph.nodes}
        for node in graph.nodes:
            if not _applies(graph, node):
                continue
            conv = graph.by_name[node.inputs[0]]
            weights, mul = graph.constants[conv.inputs[1]], graph.constants[node.inputs[1]].astype(np.int64)
            sign = np.where(mul < 0, -1, 1)
            turned = weights.astype(np.int64) * sign.reshape(-1, 1, 1, 1)
            if not _fits(int(turned.min()), int(turned.max()), int(weights.min()), int(weights.max())):
                continue
            constants |= {f"{conv.name}.weights": turned, f"{node.name}.mul": mul * sign}
            inputs[conv.name] = (conv.inputs[0], f"{conv.name}.weights")
            inputs[node.name] = (conv.name, f"{node.name}.mul", node.inputs[2])
        return graph.with_nodes((replace(node, inputs=inputs[node.name]) for node in graph.nodes), constants)


def _applies(graph: Graph, node: Node) -> bool:
    if not isinstance(node.op, MultiplyShift) or node.inputs[0] not in graph.by_name:
        return False
    conv = graph.by_name[node.inputs[0]]
    private = graph.consumers[conv.name] == (node.name,) and conv.name not in graph.outputs
    negative = bool((graph.constants[node.inputs[1]] < 0).any())
    return negative and private and isinstance(conv.op, Conv2d) and conv.inputs[1] in graph.constants


def _fits(lo: int, hi: int, was_lo: int, was_hi: int) -> bool:
    """Turned weights may be stored as the old ones were: in the same native integer, taken as signed."""
    return (
        DType.holding(min(lo, -1), hi).container.itemsize == DType.holding(min(was_lo, -1), was_hi).container.itemsize
    )
