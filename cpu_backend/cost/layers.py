"""Estimated cycles of a layer: a table of costs per unit of work, and what work a layer is.

Convolutions on vectors, cycles per MAC: arithmetic beats per multiply-accumulate of a 3x3, 64 -> 64 layer at VLEN 256
with a datapath of VLEN / 2 bits, counted in an emulator (XNNPACK-style 32-bit sums; 16-bit sums of W4A4; 8-bit sums of
W1A1, without what widens them). They scale with 1 / VLEN, and with the share of lanes that output channels fill.
Depthwise ones (3x3, 64 channels, 56x56, less their requantisation) were counted on this room's kernels in the same way.
Scalar machines: measured per scheme of `scalar.py`, 3x3, 64 -> 64, with its requantisation, on the models vexriscv and
u54 (benchmarks.riscv_scalar); the kernels for every machine (groups, wide weights) by a 2x4 register block of int8,
5.15 cycles per MAC in rv32im, and by the 3.8 instructions per MAC of this room's 4x2 block in rv64gc, one a cycle.
Everything else: instructions (or beats at LMUL 4) per element of the result, by the same reckoning.

Where threads share a layer (`tiles`), the busiest one's share counts, at `EFFICIENCY`, and `TURN_CYCLES` for the layer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod

from cpu_backend.cost.columns import columns_cycles
from cpu_backend.cost.depthwise import fused_rate
from cpu_backend.cost.floats import float_cycles
from cpu_backend.cost.full import full_cycles
from cpu_backend.cost.reference import REFERENCE_VLEN
from cpu_backend.cost.winograd import filtered_cycles
from cpu_backend.emit import (
    bit_planes,
    conv_accumulator,
    conv_scheme,
    extent,
    pruned_float_weights,
    pruned_weights,
    words_of,
)
from cpu_backend.emit.base import element_bytes
from cpu_backend.emit.convolution import fused, is_depthwise, is_narrow, short_period, weights_of
from cpu_backend.emit.full import full_scheme
from cpu_backend.emit.reals import real_cycles
from cpu_backend.layers import Layer
from cpu_backend.ranges import I16, WHOLE_SUM, Accumulator
from cpu_backend.scalar import word_of
from cpu_backend.tiles import tiles_of
from ir.graph import NodeView
from ir.ops import (
    Add,
    Clip,
    Concat,
    Conv2d,
    DepthToSpace,
    GatedConv2d,
    IntegerRmsNorm,
    IntegerSoftmax,
    Lookup,
    MatMul,
    MaxPool2d,
    Multiply,
    MultiplyShift,
    Op,
    Pad,
    Pool,
    PRelu,
    Reshape,
    Resize,
    RPRelu,
    Sign,
    Slice,
    SpaceToDepth,
    SumPool2d,
    Thresholds,
    Transpose,
    Upsample,
)
from ir.target import Cpu

VECTOR_CYCLES_PER_MAC = {8: 0.064, 16: 0.128, 32: 0.2685}
WIDENED_CYCLES_PER_MAC = 0.375
"""One pixel whose products leave no room in 16 bits: every weight is widened for a single product."""
DEPTHWISE_CYCLES_PER_MAC = {16: 0.14, 32: 0.30}
OTHER_DEPTHWISE_CYCLES_PER_MAC = 0.8
"""Kernels neither 3 nor 5 wide, larger strides, 16-bit elements, pooled."""
SCALAR_CYCLES_PER_MAC = {"rv64gc": 3.8, "rv64gcv": 3.8, "rv32im": 5.15}
SCHEME_CYCLES_PER_MAC = {
    (32, "block", 0): 4.55,
    (32, "swar", 16): 2.65,
    (32, "swar", 8): 1.34,
    (32, "xnor", 0): 0.56,
    (64, "block", 0): 2.8,
    (64, "swar", 32): 1.6,
    (64, "swar", 16): 0.84,
    (64, "swar", 8): 0.47,
    (64, "xnor", 0): 0.34,
}
"""By (bits of a word, kind, bits of a field); without moving sums to wider fields."""
MOVE_CYCLES = 12
"""Per word of sums and chunk of products."""
ISSUED, PIXEL_ISSUED = 3.0, 280
"""Instructions per product and vector of output channels of a pixel, and per pixel: what a core of single issue takes
where vectors are short or few products wait for them."""
FLUSH_CYCLES = 0.6
"""Vector cycles per 16-bit sum added to its 32-bit total: load, widening add, store at REFERENCE_VLEN."""
WIDENING_CYCLES = 0.125
"""Vector cycles per 8-bit sum added to its 16-bit one, both in registers: four beats for 32 lanes."""
VECTOR_ELEMENT: Mapping[type[Op], float] = {
    Add: 1.3,
    Clip: 1.25,
    Concat: 0.2,
    DepthToSpace: 0.2,
    IntegerRmsNorm: 60.0,
    IntegerSoftmax: 80.0,
    Lookup: 2.0,
    MatMul: 0.3,
    MaxPool2d: 0.1,
    Multiply: 1.3,
    MultiplyShift: 1.2,
    PRelu: 1.75,
    Pad: 1.0,
    RPRelu: 2.75,
    Reshape: 12.0,
    Resize: 3.0,
    Sign: 1.25,
    Slice: 1.0,
    SpaceToDepth: 0.2,
    SumPool2d: 0.6,
    Thresholds: 0.5,
    Transpose: 1.0,
    Upsample: 0.2,
}
NARROW_THRESHOLD = 0.25
"""One threshold of values that fit 16 bits."""
SCALAR_ELEMENT: Mapping[type[Op], float] = {
    Add: 4.0,
    Clip: 5.0,
    Concat: 0.5,
    DepthToSpace: 0.5,
    IntegerRmsNorm: 60.0,
    IntegerSoftmax: 80.0,
    Lookup: 4.0,
    MatMul: 4.0,
    MaxPool2d: 3.0,
    Multiply: 4.0,
    MultiplyShift: 12.0,
    PRelu: 6.0,
    Pad: 2.0,
    RPRelu: 9.0,
    Reshape: 12.0,
    Resize: 25.0,
    Sign: 4.0,
    Slice: 3.0,
    SpaceToDepth: 0.5,
    SumPool2d: 3.0,
    Thresholds: 3.0,
    Transpose: 4.0,
    Upsample: 0.5,
}
"""Cycles per element of the result; thresholds: per element and threshold; pooling: per element of a window;
products of matrices: per multiplication.

On vectors a 32-bit operation at LMUL 4 is a quarter of a beat per element, reading bytes as 32-bit integers and
narrowing the result back three quarters together."""
GATE_ELEMENT = {True: (2.4, 2.0), False: (5.0, 8.0)}
"""A gated convolution beside its two convolutions, with vectors and without: cycles per element of the operand, which
is split into two planes, and per element of the result, where the gate picks a sum."""
BITS_CYCLES, PACK_CYCLES = 0.38, 0.8
BITS_ISSUED, BITS_PIXEL_ISSUED = 4.6, 220
"""Convolutions of bits: vector cycles per element of 16 products (three operations on 16 bits) and to pack one; as
above, instructions per vector of elements and per pixel."""
EFFICIENCY = 0.85
"""Of a core beside others: they share caches and memory, and tiles read rows at their edges twice. An assumption; two
threads of x86 had 0.9 (benchmarks.threads)."""
TURN_CYCLES = 8000
"""Waking threads and waiting for the last: some microseconds. An assumption."""
STRIDED = 5
"""How much dearer than whole parts single elements are to move."""


def layer_cycles(layer: Layer, cpu: Cpu) -> int:
    """Cycles per frame, from the layer's start to its end."""
    if layer.is_fallback:
        return round(real_cycles(layer))
    cycles = _node_cycles if layer.y.dtype.is_integer else _float_cycles
    work = sum(cycles(layer, view, cpu) for view in layer.nodes)
    tiles = tiles_of(layer)
    return round(work * tiles.longest / EFFICIENCY + TURN_CYCLES if tiles and tiles.threads > 1 else work)


def _node_cycles(layer: Layer, view: NodeView, cpu: Cpu) -> float:
    vector = cpu.vlen > 0
    scale = REFERENCE_VLEN / cpu.vlen if vector else 1.0
    if isinstance(view.op, Conv2d):
        if layer.form == "columns":
            columns = pruned_weights(layer)
            assert columns is not None
            return columns_cycles(layer, columns, cpu.vlen)
        if layer.form == "winograd":
            return filtered_cycles(layer, cpu.vlen)
        return _bits_cycles(layer, view, cpu) if layer.form == "bits" else _conv_cycles(layer, view, cpu)
    if isinstance(view.op, GatedConv2d):
        operand, result = GATE_ELEMENT[vector]
        if layer.form == "bits":
            return _bits_cycles(layer, view, cpu) + view.type.elements * result * scale
        beside = layer.x.elements * operand + view.type.elements * result
        return 2 * _conv_cycles(layer, view, cpu) + beside * scale
    each = (VECTOR_ELEMENT if vector else SCALAR_ELEMENT)[type(view.op)]
    if vector and _is_narrow_threshold(layer, view):
        each = NARROW_THRESHOLD
    unit = UNITS.get(type(view.op))
    return view.type.elements * (unit(view) if unit else 1) * each * scale


def _float_cycles(layer: Layer, view: NodeView, cpu: Cpu) -> float:
    if layer.form == "columns" and isinstance(view.op, Conv2d):
        return columns_cycles(layer, pruned_float_weights(layer), cpu.vlen)
    return float_cycles(layer, view, cpu)


def _conv_cycles(layer: Layer, view: NodeView, cpu: Cpu) -> float:
    assert isinstance(view.op, (Conv2d, GatedConv2d))
    weights = view.operands[1].type.shape
    products = prod(weights[1:])
    if cpu.vlen == 0:
        chosen = conv_scheme(layer, word_of(cpu))
        if chosen is None:
            return view.type.elements * products * SCALAR_CYCLES_PER_MAC[cpu.isa]
        lanes = chosen.lanes
        filled = weights[0] / (-(-weights[0] // lanes) * lanes)
        each = SCHEME_CYCLES_PER_MAC[chosen.word, chosen.kind, chosen.bits]
        each += MOVE_CYCLES / (lanes * chosen.flush) if chosen.flush else 0
        return view.type.elements * products * each / filled
    proof = conv_accumulator(layer)
    if is_depthwise(layer):
        macs = view.type.elements * products
        return macs * _depthwise_rate(layer, view.op, proof, cpu.vlen) * REFERENCE_VLEN / cpu.vlen
    full = full_scheme(layer)
    if full and (cycles := full_cycles(layer, full, cpu.vlen, REFERENCE_VLEN / cpu.vlen)):
        return cycles
    lanes = weights[0] // view.op.groups
    # the smallest vector that the channels fit, of half a register of bytes to two
    width = next((w for w in (cpu.vlen // 16, cpu.vlen // 8) if lanes <= w), cpu.vlen // 4)
    if proof.bits == 8 and proof.flush == WHOLE_SUM and (lanes - 1) % (cpu.vlen // 2) >= cpu.vlen // 4:
        width = cpu.vlen // 2  # tile8_x8_m4
    filled = lanes / (-(-lanes // width) * width)
    flushes = 0 if proof.bits == 32 or proof.flush == WHOLE_SUM else products // proof.flush + 1
    # on shorter vectors the kernels (worth_8_bits) take 16-bit sums
    single = view.type.elements == weights[0]
    narrowest = proof.bits == 8 and not single and (width >= 64 or (width >= 32 and proof.flush8 >= 12))
    widenings = -(-products // proof.flush8) if narrowest else 0
    per_mac = VECTOR_CYCLES_PER_MAC[8 if narrowest else max(proof.bits, 16)]
    if single and proof.bits == 32 and short_period(layer) < 2:
        per_mac = WIDENED_CYCLES_PER_MAC
    each = products * per_mac + flushes * FLUSH_CYCLES + widenings * WIDENING_CYCLES
    beats = view.type.elements * each / filled * REFERENCE_VLEN / cpu.vlen
    issued = products * view.op.groups * -(-lanes // width) * ISSUED + PIXEL_ISSUED
    return max(beats, issued * prod(view.type.shape[1:]))


def _depthwise_rate(layer: Layer, op: Conv2d | GatedConv2d, proof: Accumulator, vlen: int) -> float:
    """Cycles per MAC at REFERENCE_VLEN; empty lanes count as filled ones. What 16-bit maps save is left out, since
    their proof takes long."""
    kind = fused(layer, proof)
    if kind != "HCK_APART":
        return fused_rate(weights_of(layer), kind, vlen // 8)
    special = isinstance(op, Conv2d) and is_narrow(layer) and element_bytes(layer.x) == 1 and not layer.find(MaxPool2d)
    if not special or weights_of(layer).shape[3] not in (3, 5) or op.stride[1] > 2:
        return OTHER_DEPTHWISE_CYCLES_PER_MAC
    width, channels = vlen // (8 if proof.bits == 16 else 16), layer.x.shape[0]
    return DEPTHWISE_CYCLES_PER_MAC[proof.bits] * (-(-channels // width) * width) / channels


def _bits_cycles(layer: Layer, view: NodeView, cpu: Cpu) -> float:
    """Vectors of elements that hold 16 channels of bits each, and the planes that are packed first."""
    lanes, planes = weights_of(layer).shape[0], bit_planes(layer)
    # the smallest vector that the channels fit, of one register to four
    width = next((w for w in (cpu.vlen // 16, cpu.vlen // 8) if lanes <= w), cpu.vlen // 4)
    filled = -(-lanes // width) * width
    products = prod(weights_of(layer).shape[2:]) * words_of(layer) * planes
    packed = prod(extent(layer)) * words_of(layer) * planes
    pixels = prod(view.type.shape[1:])
    beats = (pixels * filled * products * BITS_CYCLES + packed * PACK_CYCLES) * REFERENCE_VLEN / cpu.vlen
    issued = pixels * (products * filled // width * BITS_ISSUED + BITS_PIXEL_ISSUED)
    return float(max(beats, issued))


def _is_narrow_threshold(layer: Layer, view: NodeView) -> bool:
    """Of a convolution's sums, or of elements of 16 bits."""
    one = isinstance(view.op, Sign) or (isinstance(view.op, Thresholds) and _levels(view) == 1)
    x = view.operands[0].type
    return one and I16[0] <= x.lo and x.hi <= I16[1] and (view is not layer.first or x.dtype.container.itemsize > 1)


def _window(view: NodeView) -> int:
    return prod(view.op.kernel) if isinstance(view.op, Pool) else 1


def _levels(view: NodeView) -> int:
    return view.operands[1].type.shape[1]


def _parts(view: NodeView) -> int:
    return STRIDED if isinstance(view.op, DepthToSpace) and view.op.order == "crd" else 1


def _products(view: NodeView) -> int:
    return view.operands[0].type.shape[0]


UNITS: Mapping[type[Op], Callable[[NodeView], int]] = {
    DepthToSpace: _parts,
    MatMul: _products,
    MaxPool2d: _window,
    SumPool2d: _window,
    Thresholds: _levels,
}
"""Work per element of the result, where it is not one."""
