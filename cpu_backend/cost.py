"""Estimated cycles of a layer: a table of costs per unit of work, and what work a layer is.

Convolutions on vectors, cycles per MAC: arithmetic beats per multiply-accumulate of a 3x3, 64 -> 64 layer at VLEN 256
with a datapath of VLEN / 2 bits, counted in an emulator (XNNPACK-style 32-bit sums; 16-bit sums of W4A4). They scale
with 1 / VLEN, and with the share of lanes that output channels fill. Scalar machines: a 2x4 register block of int8 in
rv32im measured 5.15 cycles per MAC; rv64gc counts the 3.8 instructions per MAC of this room's 4x2 block, one a cycle.
Everything else: instructions (or beats at LMUL 4) per element of the result, by the same reckoning.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod

from cpu_backend.emit import conv_accumulator
from cpu_backend.layers import Layer
from cpu_backend.ranges import WHOLE_SUM
from ir.graph import NodeView
from ir.ops import Concat, Conv2d, MaxPool2d, MultiplyShift, Op, SpaceToDepth, Thresholds
from ir.target import Cpu

REFERENCE_VLEN = 256
VECTOR_CYCLES_PER_MAC = {16: 0.128, 32: 0.2685}
SCALAR_CYCLES_PER_MAC = {"rv64gc": 3.8, "rv64gcv": 3.8, "rv32im": 5.15}
FLUSH_CYCLES = 0.6
"""Vector cycles per 16-bit sum added to its 32-bit total: load, widening add, store at REFERENCE_VLEN."""
VECTOR_ELEMENT: Mapping[type[Op], float] = {
    MultiplyShift: 2.0,
    Thresholds: 0.5,
    MaxPool2d: 0.1,
    SpaceToDepth: 0.2,
    Concat: 0.2,
}
SCALAR_ELEMENT: Mapping[type[Op], float] = {
    MultiplyShift: 12.0,
    Thresholds: 3.0,
    MaxPool2d: 3.0,
    SpaceToDepth: 0.5,
    Concat: 0.5,
}
"""Cycles per element of the result; thresholds: per element and threshold; pooling: per element of a window."""


def layer_cycles(layer: Layer, cpu: Cpu) -> int:
    """Cycles per frame on one core."""
    return round(sum(_node_cycles(layer, view, cpu) for view in layer.nodes))


def _node_cycles(layer: Layer, view: NodeView, cpu: Cpu) -> float:
    if isinstance(view.op, Conv2d):
        return _conv_cycles(layer, view, cpu)
    vector = cpu.vlen > 0
    each = (VECTOR_ELEMENT if vector else SCALAR_ELEMENT)[type(view.op)]
    unit = UNITS.get(type(view.op))
    work = view.type.elements * (unit(view) if unit else 1)
    return work * each * (REFERENCE_VLEN / cpu.vlen if vector else 1.0)


def _conv_cycles(layer: Layer, view: NodeView, cpu: Cpu) -> float:
    assert isinstance(view.op, Conv2d)
    weights = view.operands[1].type.shape
    products, macs = prod(weights[1:]), view.type.elements * prod(weights[1:])
    if cpu.vlen == 0:
        return macs * SCALAR_CYCLES_PER_MAC[cpu.isa]
    proof = conv_accumulator(layer)
    lanes = weights[0] if weights[1] == 1 else weights[0] // view.op.groups
    # the smallest vector that the channels fit, of half a register of bytes to two
    width = next((w for w in (cpu.vlen // 16, cpu.vlen // 8) if lanes <= w), cpu.vlen // 4)
    filled = lanes / (-(-lanes // width) * width)
    flushes = 0 if proof.bits == 32 or proof.flush == WHOLE_SUM else products // proof.flush + 1
    cycles = macs * VECTOR_CYCLES_PER_MAC[proof.bits] + view.type.elements * flushes * FLUSH_CYCLES
    return cycles / filled * REFERENCE_VLEN / cpu.vlen


def _window(view: NodeView) -> int:
    return prod(view.op.kernel) if isinstance(view.op, MaxPool2d) else 1


def _levels(view: NodeView) -> int:
    return view.operands[1].type.shape[1]


UNITS: Mapping[type[Op], Callable[[NodeView], int]] = {MaxPool2d: _window, Thresholds: _levels}
"""Work per element of the result, where it is not one."""
