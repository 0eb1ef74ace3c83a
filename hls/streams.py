"""Block RAMs of the streams around a node, before there are stages: what a placement counts with.

Depths are searched for when a region is generated (`hls.sizing`). Until then three things count, as found in networks
whose depths were searched: where branches join, the one that is there first is held until the other one is; the rows of
a window wait for the layer before; and behind a convolution there is a stream that shift registers do not hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from hls.resources.memory import bram18
from ir.graph import Graph, NodeView
from ir.ops import Conv2d, GatedConv2d, Pool, SpaceToDepth
from ir.types import TensorType

SHIFTED = 2048
"""Bits that a stream holds in shift registers: 32 words of 64."""


def stream_blocks(view: NodeView) -> int:
    """An estimate for the streams that bring a node its operands, and for the one that takes its result away."""
    streams = {name: o.type for name, o in zip(view.node.inputs, view.operands, strict=True) if o.value is None}
    if isinstance(view.op, Conv2d | GatedConv2d):
        (x,) = streams.values()
        rows = view.operands[1].type.shape[2]
        return 1 + (_blocks(rows * _bits(x) / x.shape[1]) if rows > 1 else 0)
    if len(streams) < 2:
        return 0
    behind = delays(view.graph)
    last = max(behind[name] for name in streams)
    return sum(_blocks((last - behind[n] + 1 / x.shape[1]) * _bits(x)) for n, x in streams.items() if behind[n] < last)


def delays(graph: Graph) -> Mapping[str, float]:
    """Of every tensor, the share of a frame that has come in before its first word goes out."""
    found = dict.fromkeys(graph.inputs, 0.0)
    for view in graph.views():
        before = max((found[name] for name in view.node.inputs if name in found), default=0.0)
        found[view.name] = min(1.0, before + _rows_below(view) / _rows(view.operands[0].type))
    return found


def _rows_below(view: NodeView) -> int:
    """Rows that have to follow on its operand's first one before the node's first row is complete."""
    op = view.op
    if isinstance(op, Conv2d | GatedConv2d):
        return max(0, view.operands[1].type.shape[2] - 1 - op.padding[0])
    if isinstance(op, Pool):
        return max(0, op.kernel[0] - 1 - op.padding[0])
    return op.block - 1 if isinstance(op, SpaceToDepth) else 0


def _rows(x: TensorType) -> int:
    return x.shape[1] if len(x.shape) == 3 else 1


def _bits(x: TensorType) -> int:
    return prod(x.shape) * x.dtype.bits


def _blocks(bits: float) -> int:
    return bram18(int(bits), 1) if bits > SHIFTED else 0
