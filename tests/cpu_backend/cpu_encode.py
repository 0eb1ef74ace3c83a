"""One-layer graphs as kernel calls for driver.c, with the bytes that the reference executor says they have to leave."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

import numpy as np
from cpu_cases import Case, values

from cpu_backend.emit.base import element_bytes, pixels_of
from cpu_backend.emit.convolution import (
    bytes_of,
    conv_accumulator,
    conv_fields,
    depthwise_halves,
    gate_thresholds,
    is_narrow,
    pack_weights,
)
from cpu_backend.emit.elementwise import constant, pair_fields
from cpu_backend.emit.movement import resize_fields, resize_tables
from cpu_backend.emit.pooling import pool_fields
from cpu_backend.layers import MAPS, Layer, is_map, layers_of
from cpu_backend.requantise import Requantisation, kernel_type, requantisation
from ir.executor import execute
from ir.graph import Graph
from ir.layouts import Plain, pixels_first
from ir.ops import (
    Add,
    Conv2d,
    DepthToSpace,
    GatedConv2d,
    MaxPool2d,
    Multiply,
    Op,
    Resize,
    SpaceToDepth,
    SumPool2d,
    Upsample,
)
from ir.types import Array, TensorType

TYPES = ("HCK_U8", "HCK_I8", "HCK_U16", "HCK_I16", "HCK_I32", "HCK_F32")
FUSED = ("HCK_APART", "HCK_PARTS", "HCK_SHORT_PARTS", "HCK_WHOLE_SUMS")
MAP_NAMES = (
    "HCK_KEEP",
    "HCK_MULTIPLY_SHIFT",
    "HCK_THRESHOLDS",
    "HCK_CLIP",
    "HCK_ADD",
    "HCK_PRELU",
    "HCK_RPRELU",
)
MAP_NUMBERS = ("shift", "lo", "hi", "levels", "offset", "step", "above")
MAP_ARRAYS = ("mul", "add", "wide_add", "table", "sign", "after", "before", "least", "most")
OPERANDS = len(MAP_ARRAYS) + 1
"""Blobs of a map and the operand."""
CONV, CONV_WIDE, GATED, MAP, ADD, MULTIPLY, MAX_POOL, SUM_POOL = range(8)
SPACE_TO_DEPTH, DEPTH_TO_SPACE_DCR, DEPTH_TO_SPACE_CRD, UPSAMPLE, RESIZE, COPY = range(8, 14)
TILE, XNOR, BITS, CHOSEN, FULL, GATED_BITS, FILTERED = range(16, 23)
"""14 and 15 are column-pruned ones."""
FILL = 0xA5

Call = tuple[int, tuple[int, ...], tuple[bytes, ...]]
"""Operator, parameters, blobs."""


proof_of = lru_cache(maxsize=1)(conv_accumulator)
"""A case asks twice, and it is most of the work."""


def build(graph: Graph, rng: np.random.Generator, frame: Mapping[str, Array] | None = None) -> Case:
    """The case of a graph that is one layer, on random values by default; OperatorError where the kernels do not take
    it."""
    (layer,) = layers_of(graph)
    frame = frame or {name: values(rng, type_) for name, type_ in graph.inputs.items()}
    result = execute(graph, frame)[layer.name]
    stride = layer.y.shape[0] + int(rng.choice([0, 0, 5]))
    kernel_type(layer.y)
    inputs = [Plain().pack(frame[name], graph.inputs[name]) for name in layer.inputs]
    operator, parameters, blobs = _encoder(layer)(layer, inputs, stride)
    label = f"{layer.title}: {[str(o.type) for o in layer.first.operands]} {[v.op for v in layer.nodes]}"
    if isinstance(layer.first.op, (Conv2d, GatedConv2d)):
        label += f" {proof_of(layer).note}"
    return Case(operator, parameters, blobs, strided(result, layer.y, stride), label)


def strided(values_: Array, type_: TensorType, stride: int) -> bytes:
    """(C, H, W) as pixels ``stride`` elements apart, untouched bytes between them."""
    container = type_.dtype.container
    pixels = pixels_first(values_).astype(container).reshape(-1, type_.shape[0])
    out = np.full((pixels.shape[0], stride * container.itemsize), FILL, np.uint8)
    out[:, : pixels.shape[1] * container.itemsize] = np.ascontiguousarray(pixels).view(np.uint8)
    return out.tobytes()


def _encoder(layer: Layer) -> Callable[[Layer, list[bytes], int], Call]:
    return _map if is_map(layer.first) else ENCODERS[type(layer.first.op)]


def _numbers(fields: Mapping[str, int | str]) -> tuple[int, ...]:
    """The fields of a record in its order, names of enumerations by their index."""
    indices = {name: i for names in (TYPES, FUSED) for i, name in enumerate(names)}
    words = (str(value) for value in fields.values())
    return tuple(indices[word] if word in indices else int(word.rstrip("u")) for word in words)


def map_of(layer: Layer, stride: int, other: Requantisation | None = None) -> tuple[tuple[int, ...], tuple[bytes, ...]]:
    map_ = other or requantisation(layer.map)
    assert map_.fields.keys() <= {"map", *MAP_NUMBERS} and map_.arrays.keys() <= set(MAP_ARRAYS)
    numbers = [int(map_.fields.get(key, 0)) for key in MAP_NUMBERS]
    kind, type_ = MAP_NAMES.index(str(map_.fields["map"])), TYPES.index(kernel_type(layer.y))
    arrays = tuple(map_.arrays[key].tobytes() if key in map_.arrays else b"" for key in MAP_ARRAYS)
    return (kind, type_, layer.y.shape[0], *numbers, stride), arrays


def _map(layer: Layer, inputs: list[bytes], stride: int) -> Call:
    parameters, arrays = map_of(layer, stride)
    rows, channels = pixels_of(layer.x)
    return MAP, (*parameters, TYPES.index(kernel_type(layer.x)), channels, rows, 1), (*arrays, *inputs)


def _conv(layer: Layer, inputs: list[bytes], stride: int) -> Call:
    w = layer.first.operands[1].constant
    op = layer.first.op
    assert isinstance(op, (Conv2d, GatedConv2d))
    gated = isinstance(op, GatedConv2d)
    narrow = is_narrow(layer)
    halves = depthwise_halves(layer)
    w = halves.weights if halves else w
    parameters, arrays = map_of(layer, stride, halves.map if halves else None)
    zeros = w.shape[3] * layer.x.shape[0] * (1 if gated else element_bytes(layer.x))
    fields, bytes_ = conv_fields(layer, proof_of(layer)), bytes_of(layer, halves)
    numbers = (
        *parameters,
        *_numbers(fields | {"fused": "HCK_WHOLE_SUMS"} if halves else fields),
        *(bytes_ or (0, 0, 0)),
        zeros,
        TYPES.index(kernel_type(layer.x)),
    )
    blobs = (*arrays, *inputs, pack_weights(w, op.groups, narrow).tobytes())
    if gated:
        return GATED, numbers, (*blobs, gate_thresholds(layer).tobytes())
    return CONV if narrow else CONV_WIDE, numbers, blobs


def _pair(layer: Layer, inputs: list[bytes], stride: int) -> Call:
    run_time = iter(inputs)
    blobs = tuple(
        next(run_time) if o.value is None else constant(o.value, o.type).tobytes() for o in layer.first.operands
    )
    operator = ADD if isinstance(layer.first.op, Add) else MULTIPLY
    return operator, (*_numbers(pair_fields(layer, stride)), stride), blobs


def _pool(layer: Layer, inputs: list[bytes], stride: int) -> Call:
    operator = MAX_POOL if isinstance(layer.first.op, MaxPool2d) else SUM_POOL
    return operator, (*_numbers(pool_fields(layer)), stride), tuple(inputs)


def _space_to_depth(layer: Layer, inputs: list[bytes], stride: int) -> Call:
    assert isinstance(layer.first.op, SpaceToDepth)
    size = element_bytes(layer.x)
    parameters = (layer.x.shape[0] * size, *layer.y.shape[1:], layer.first.op.block, stride * size)
    return SPACE_TO_DEPTH, parameters, tuple(inputs)


def _depth_to_space(layer: Layer, inputs: list[bytes], stride: int) -> Call:
    op = layer.first.op
    assert isinstance(op, DepthToSpace)
    parameters = (TYPES.index(kernel_type(layer.x)), *layer.x.shape[1:], layer.y.shape[0], op.block, stride)
    return {"dcr": DEPTH_TO_SPACE_DCR, "crd": DEPTH_TO_SPACE_CRD}[op.order], parameters, tuple(inputs)


def _upsample(layer: Layer, inputs: list[bytes], stride: int) -> Call:
    assert isinstance(layer.first.op, Upsample)
    size = element_bytes(layer.x)
    parameters = (layer.x.shape[0] * size, *layer.x.shape[1:], layer.first.op.factor, stride * size)
    return UPSAMPLE, parameters, tuple(inputs)


def _resize(layer: Layer, inputs: list[bytes], stride: int) -> Call:
    tables = (table.tobytes() for table in resize_tables(layer).values())
    return RESIZE, (*resize_fields(layer).values(), stride), (*inputs, *tables)


ENCODERS: Mapping[type[Op], Callable[[Layer, list[bytes], int], Call]] = {
    **dict.fromkeys(MAPS, _map),
    Add: _pair,
    Conv2d: _conv,
    DepthToSpace: _depth_to_space,
    GatedConv2d: _conv,
    MaxPool2d: _pool,
    Multiply: _pair,
    Resize: _resize,
    SpaceToDepth: _space_to_depth,
    SumPool2d: _pool,
    Upsample: _upsample,
}
