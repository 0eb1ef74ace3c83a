"""Which form of a layer is executed: by which kernel, by how many threads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

import numpy as np

from cpu_backend.cost import REFERENCE_VLEN, layer_cycles
from cpu_backend.emit import (
    bit_planes,
    conv_accumulator,
    filtered,
    has_pruned_columns,
    has_pruned_float_columns,
    pruned_weights,
    streamed_bytes,
    stride_of,
    takes_columns,
    takes_winograd,
)
from cpu_backend.emit.convolution import weights_of
from cpu_backend.layers import Layer
from cpu_backend.meter.machine import DEFAULTS, CacheModel, Machine, load_machine
from cpu_backend.repeated import GROUPS_SUM16, can_repeat
from cpu_backend.tiles import threads_of
from ir.ops import Conv2d, GatedConv2d
from ir.target import Cpu

KERNELS = (Conv2d, GatedConv2d)
LEAST_COLUMNS_CYCLES = {8: 1 / 16, 16: 1 / 8, 32: 1 / 8}
COLUMNS_SHARE, IN_PLACE_SHARE = 0.9, 0.98
"""Dense weights are multiplied column by column where that takes at most this share of the other kernels' cycles: its
price is scratch memory, for planes or, in place, for a panel alone."""


def cheapest(layer: Layer, cpu: Cpu, cold: bool = False) -> Layer:
    """The layer, executed by that of the kernels which take it that is estimated to need the fewest cycles.

    The kernel for columns lives from vectors: without them it reads and writes its sums in memory for every product.
    The one for bits needs Zvbb. Weights of a fully connected layer are read once: where they come from memory, what
    counts is how many lines they take. ``cold``: whether they do whatever their size (`weights_leave_cache`).
    """
    forms = [layer]
    if layer.is_fallback:
        return layer
    if "zvbb" in cpu.extensions and layer.y.dtype.is_integer and bit_planes(layer):
        forms.append(replace(layer, form="bits"))
    elif cpu.vlen and layer.y.dtype.is_integer and _is_streamed(layer, cpu, cold):
        return replace(layer, form="streamed")
    if cpu.vlen and takes_winograd(layer) and filtered(layer):
        forms.append(replace(layer, form="winograd"))
    if cpu.vlen and _by_columns(layer, cpu, min(layer_cycles(form, cpu) for form in forms)):
        forms.append(replace(layer, form="columns"))
    return min(forms, key=lambda form: layer_cycles(form, cpu))


def shared(layer: Layer, cpu: Cpu) -> Layer:
    """The layer, shared by as many threads as the board has cores where that is estimated to take fewer cycles."""
    threads = threads_of(cpu)
    if threads == 1 or layer.is_fallback:  # kernels of the fallback know no tiles
        return layer
    split = replace(layer, threads=threads)
    return split if layer_cycles(split, cpu) < layer_cycles(layer, cpu) else layer


def weights_leave_cache(layers: Sequence[Layer], cpu: Cpu) -> bool:
    """Whether the weights of all layers are more than the last cache holds, so that none is left for the next frame."""
    kernels = [view.operands[1].type for layer in layers for view in layer.nodes if isinstance(view.op, KERNELS)]
    size = sum(type_.elements * (1 if type_.dtype.is_integer else 4) for type_ in kernels)
    last = _last_cache(cpu)
    return last is not None and size > last.kib * 1024


def _is_streamed(layer: Layer, cpu: Cpu, cold: bool) -> bool:
    """Whether the weights come from memory and fewer lines of it outweigh what they cost: if ``cold``, or so large that
    the rest of the network leaves no room for them in a cache (for which half of the last one is counted)."""
    size, last = streamed_bytes(layer), _last_cache(cpu)
    if not size or last is None or not (cold or size > last.kib * 1024 // 2):
        return False
    machine, weights = _machine(cpu), weights_of(layer)
    stored = stride_of(weights) * (weights.size // weights.shape[0])
    if stored >= size:  # bytes in rows that begin at lines: pieces of rows reach into fewer lines
        return size > last.kib * 1024 // 2
    miss = sum(level.miss_cycles / level.line_bytes for level in (machine.l1, machine.l2) if level)
    streamed = replace(layer, form="streamed")
    return bool(layer_cycles(streamed, cpu) + stored * miss < layer_cycles(layer, cpu) + size * miss)


def _machine(cpu: Cpu) -> Machine:
    return load_machine(cpu.machine or DEFAULTS[cpu.isa])


def _last_cache(cpu: Cpu) -> CacheModel | None:
    return _machine(cpu).l2 or _machine(cpu).l1


def _by_columns(layer: Layer, cpu: Cpu, others: int) -> bool:
    """Whether the kernel with pixels in the lanes takes the layer and may be worth it where others need so many cycles:
    there are columns to skip, weights that repeat, or so few output channels that the others' lanes are empty."""
    if not layer.y.dtype.is_integer:
        return has_pruned_float_columns(layer)
    if not takes_columns(layer):
        return False
    if has_pruned_columns(layer):
        return pruned_weights(layer) is not None
    limit = (IN_PLACE_SHARE if layer.is_in_place else COLUMNS_SHARE) * others
    if _least_by_columns(layer, cpu) > limit or pruned_weights(layer) is None:
        return False
    return layer_cycles(replace(layer, form="columns"), cpu) < limit


def _least_by_columns(layer: Layer, cpu: Cpu) -> float:
    """Cycles of the operations alone, so that weights need not be looked through where those are too many."""
    weights = weights_of(layer)
    each = LEAST_COLUMNS_CYCLES[conv_accumulator(layer).bits] * weights.size
    if can_repeat(layer.x.lo, layer.x.hi):
        each = min(each, GROUPS_SUM16.product * np.count_nonzero(weights))
    return each * prod(layer.first.type.shape[1:]) * REFERENCE_VLEN / cpu.vlen
