"""How a layer's work is cut for several cores: tiles of rows, or of channels where there is a single row."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cpu_backend.layers import Layer, layers_of
from cpu_backend.requantise import kernel_type
from ir.graph import Graph, Node
from ir.ops import (
    Arithmetic,
    Conv2d,
    Curve,
    DepthToSpace,
    GatedConv2d,
    IntegerRmsNorm,
    IntegerSoftmax,
    Interpolate,
    Lookup,
    MatMul,
    MaxPool2d,
    Op,
    Pad,
    Reduce,
    Reshape,
    Slice,
    Transpose,
    Upsample,
)
from ir.target import Cpu

TILES_PER_THREAD = 2
"""So that a core that is late leaves less undone."""
CHANNELS = 32
"""Output channels of the narrowest tile: vectors of fewer lanes waste what another core would save."""

STRIP_BYTES, STRIP_PIXELS = 100 * 1024, 200
"""Of a strip of a layer with pruned columns: planes that fit a second-level cache of 512 KiB beside the rows of operand
and result, at least so many results (the last panel of a strip may be filled in part)."""


REFERENCE: tuple[type[Op], ...] = (Arithmetic, Curve, Interpolate, Reduce, Reshape, Slice, Transpose)
"""Float layers whose kernel is the fallback's reference code, which computes all of a layer."""
WHOLE: tuple[type[Op], ...] = (IntegerRmsNorm, IntegerSoftmax, Lookup, MatMul, Pad, Reshape, Slice, Transpose)
"""Layers of integers whose kernel computes all of a layer."""


@dataclass(frozen=True)
class Tiles:
    """``count`` tiles of ``each`` of the ``units``, the last one of what is left, for up to ``threads`` threads."""

    units: int
    each: int
    threads: int

    @property
    def count(self) -> int:
        return -(-self.units // self.each)

    @property
    def longest(self) -> float:
        """The share of the work that falls to the busiest thread, if all tiles take the same time."""
        rounds = -(-self.count // self.threads)
        return min(rounds * self.each / self.units, 1.0)


def threads_of(cpu: Cpu) -> int:
    """Threads that a region may use: a core each where Linux runs on them; a coprocessor has no threads."""
    return cpu.cores if cpu.role == "host" else 1


def rows(layer: Layer) -> int:
    """Rows that can be computed by themselves: of the result, of the operand where each makes several."""
    shape = layer.x.shape if isinstance(layer.first.op, (DepthToSpace, Upsample)) else layer.y.shape
    return shape[1] if len(shape) == 3 else 1


def row_tiles(layer: Layer) -> Tiles | None:
    """None where one thread does the whole layer at once, or it has only one row; also for gated convolutions of levels
    that are not bytes.

    The kernel for columns lays the operand out in planes, unless the layer is in place, and has tables for one number
    of rows, which has to divide the layer's. One thread has tiles for it, too: planes shall stay in a cache.
    """
    total = rows(layer)
    if total == 1 or (layer.threads == 1 and layer.form != "columns"):
        return None
    if isinstance(layer.first.op, WHOLE if layer.y.dtype.is_integer else REFERENCE):
        return None
    if isinstance(layer.first.op, GatedConv2d) and kernel_type(layer.x) not in ("HCK_U8", "HCK_I8"):
        return None
    each = -(-total // min(total, layer.threads * TILES_PER_THREAD)) if layer.threads > 1 else total
    if layer.form == "winograd" and not layer.find(MaxPool2d):
        each += each % 2  # results come in pairs of rows
    if layer.form == "columns" and not layer.is_in_place:
        each = _strip(layer, next(n for n in range(each, total + 1) if total % n == 0))
    return Tiles(total, each, layer.threads) if each < total else None


def _strip(layer: Layer, most: int) -> int:
    """The most rows, ``most`` or a number that divides them, whose planes a cache holds and that fill panels."""
    width = layer.y.shape[2]
    sizes = (n for n in range(most, 0, -1) if most % n == 0 and n * width >= STRIP_PIXELS)
    return next((n for n in sizes if _plane_bytes(layer, n) <= STRIP_BYTES), most)


def _plane_bytes(layer: Layer, results: int) -> int:
    """About the bytes of the operand under so many rows of results, as the kernel for pruned columns lays it out."""
    op, (channels, _, width) = layer.first.op, layer.x.shape
    assert isinstance(op, Conv2d)
    kernel = layer.first.operands[1].type.shape[2:]
    sums = results * (2 if layer.find(MaxPool2d) else 1)
    reached = (sums - 1) * op.stride[0] + kernel[0]
    return int(channels * reached * (width + kernel[1] - 1) * (2 if layer.x.dtype.is_integer else 4))


def channel_tiles(layer: Layer) -> Tiles | None:
    """For a convolution with one row of results, a fully connected layer above all; None as in `row_tiles`."""
    op, channels = layer.first.op, layer.y.shape[0]
    if layer.threads == 1 or rows(layer) > 1 or layer.form == "columns" or not isinstance(op, Conv2d) or op.groups > 1:
        return None
    each = max(-(-channels // (layer.threads * CHANNELS)) * CHANNELS, CHANNELS)
    tiles = Tiles(channels, each, layer.threads)
    same = all(kernel_type(part.y) == kernel_type(layer.y) for part in channel_parts(layer, tiles))
    return tiles if tiles.count > 1 and same else None


def tiles_of(layer: Layer) -> Tiles | None:
    return row_tiles(layer) or channel_tiles(layer)


def channel_parts(layer: Layer, tiles: Tiles) -> tuple[Layer, ...]:
    """Each tile's channels as a layer of its own, which no longer is shared."""
    return tuple(_part(layer, slice(at, at + tiles.each)) for at in range(0, tiles.units, tiles.each))


def _part(layer: Layer, channels: slice) -> Layer:
    """The constants of all nodes have the output channels in front."""
    (x,) = layer.inputs
    nodes: list[Node] = []
    constants = {}
    for view in layer.nodes:
        for name, operand in zip(view.node.inputs, view.operands, strict=True):
            if operand.value is not None:
                constants[f"{view.name}.{name}"] = operand.value[channels]
        inputs = tuple(
            f"{view.name}.{name}" if f"{view.name}.{name}" in constants else name for name in view.node.inputs
        )
        nodes.append(Node(view.name, view.op, inputs))
    graph = Graph("part", {x: layer.x}, tuple(nodes), (layer.name,), constants)
    (part,) = layers_of(graph)
    return replace(part, form=layer.form)
