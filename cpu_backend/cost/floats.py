"""Estimated cycles of float32 layers, as `cost` does for integers: beats of a 128-bit datapath at VLEN 256."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod

from cpu_backend.cost.reference import REFERENCE_VLEN
from cpu_backend.emit.convolution import is_depthwise
from cpu_backend.emit.floats import weights_of
from cpu_backend.emit.reals import real_cycles
from cpu_backend.layers import Layer
from ir.graph import NodeView
from ir.ops import (
    Add,
    Affine,
    AveragePool2d,
    Clip,
    Concat,
    Conv2d,
    DepthToSpace,
    MaxPool2d,
    Multiply,
    Op,
    Pad,
    Pool,
    PRelu,
    Reshape,
    Sigmoid,
    Softmax,
    SpaceToDepth,
    Upsample,
)
from ir.target import Cpu

VECTOR_CYCLES_PER_MAC = 0.26
DEPTHWISE_CYCLES_PER_MAC = 0.34
SCALAR_CYCLES_PER_MAC = 2.0
"""Of the portable block of 4 x 4: loads, products and loop, one instruction a cycle."""
VECTOR_ELEMENT: Mapping[type[Op], float] = {
    Add: 0.8,
    Affine: 1.3,
    AveragePool2d: 0.5,
    Clip: 0.8,
    Concat: 0.5,
    DepthToSpace: 0.5,
    Reshape: 4.0,
    MaxPool2d: 0.5,
    Multiply: 0.8,
    PRelu: 1.3,
    Pad: 0.5,
    Sigmoid: 40.0,
    Softmax: 40.0,
    SpaceToDepth: 0.5,
    Upsample: 0.5,
}
SCALAR_ELEMENT: Mapping[type[Op], float] = {
    Add: 6.0,
    Affine: 8.0,
    AveragePool2d: 3.0,
    Clip: 5.0,
    Concat: 1.5,
    DepthToSpace: 1.5,
    Reshape: 4.0,
    MaxPool2d: 4.0,
    Multiply: 6.0,
    PRelu: 7.0,
    Pad: 1.5,
    Sigmoid: 40.0,
    Softmax: 40.0,
    SpaceToDepth: 1.5,
    Upsample: 1.5,
}
"""Cycles per element of the result; pooling: per element of a window. A map that ends another layer is part of it."""
ENDING = 0.25
"""Vector cycles per element of a bound that a layer's own kernel keeps."""


def float_cycles(layer: Layer, view: NodeView, cpu: Cpu) -> float:
    """Cycles per frame of one node of a layer."""
    vector = cpu.vlen > 0
    scale = REFERENCE_VLEN / cpu.vlen if vector else 1.0
    if isinstance(view.op, Conv2d):
        return _conv_cycles(layer, view, cpu) * scale
    if view is not layer.first:
        return view.type.elements * ENDING * scale
    if type(view.op) not in VECTOR_ELEMENT:
        return real_cycles(layer)
    unit = UNITS.get(type(view.op))
    each = (VECTOR_ELEMENT if vector else SCALAR_ELEMENT)[type(view.op)]
    return view.type.elements * (unit(view) if unit else 1) * each * scale


def _conv_cycles(layer: Layer, view: NodeView, cpu: Cpu) -> float:
    assert isinstance(view.op, Conv2d)
    products = prod(weights_of(layer).shape[1:])
    if cpu.vlen == 0:
        return view.type.elements * products * SCALAR_CYCLES_PER_MAC
    depthwise = is_depthwise(layer)
    lanes = view.type.shape[0] // (1 if depthwise else view.op.groups)
    # the smallest vector that the channels fit, of one register to four
    width = next((w for w in (cpu.vlen // 32, cpu.vlen // 16) if lanes <= w), cpu.vlen // 8)
    filled = lanes / (-(-lanes // width) * width)
    return view.type.elements * products * (DEPTHWISE_CYCLES_PER_MAC if depthwise else VECTOR_CYCLES_PER_MAC) / filled


def _window(view: NodeView) -> int:
    return prod(view.op.kernel) if isinstance(view.op, Pool) else 1


UNITS: Mapping[type[Op], Callable[[NodeView], int]] = {AveragePool2d: _window, MaxPool2d: _window}
