"""Seeded convolutions with column-pruned weights, as cases for driver.c: per element type, integers and float32."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np
from cpu_blocks import MAP_PARAMETERS, rising
from cpu_cases import Case, operand, values
from cpu_encode import FILL, OPERANDS, TYPES, map_of, strided
from cpu_sketches import with_map

from cpu_backend.emit.sparse import as_columns, map_in_halves, offsets, plane_bytes, plane_shape, sparse_fields
from cpu_backend.layers import Layer, layers_of
from cpu_backend.repeated import GROUPS_SUM16, Columns, repeat
from cpu_backend.sparse import BYTES, FLOAT, prune, prune_float
from frontend.training.columns import prune_columns
from ir.executor import execute
from ir.graph import Graph, GraphError, Node
from ir.layouts import Plain
from ir.ops import Conv2d, MaxPool2d, OperatorError
from ir.types import Array, DType, TensorType

SPARSE, SPARSE_FLOAT = 14, 15
LAYOUTS = ("HCK_HWC", "HCK_CHW")
SUMS = (*(sums.name for sums in (*BYTES, GROUPS_SUM16, FLOAT)),)
RATIOS = ((1, 2), (2, 4), (1, 4), (1, 1))
INTEGERS: Mapping[str, tuple[tuple[int, ...], tuple[str, ...]]] = {
    "w8a8": ((8,), ("int8", "uint8")),
    "w8a4": ((8, 6), ("uint4", "int4")),
    "w4a8": ((4, 5), ("int8", "uint8", "uint8")),
    "w4a4": ((4,), ("uint4", "int4")),
    "w2a2": ((2, 3), ("uint2", "int2", "uint3")),
    "w1a1": ((2,), ("bipolar", "uint1")),
    "a16": ((8, 2), ("int16", "uint16", "int12")),
}
"""Bits of the weights, types of the activations."""


@dataclass(frozen=True)
class FloatCase:
    """A case whose result is compared within a tolerance."""

    case: Case
    expected: Array


def integer_graph(rng: np.random.Generator, types: str) -> Graph:
    """Conv2d [+ 2x2 max-pool] [+ map] with weights pruned N:M in tiles of any size, one in eight all zero; one map in
    three is as quantisers leave it."""
    bits, activations = INTEGERS[types]
    shape, op = _geometry(rng)
    x = operand(rng, shape[:3], activations)
    w = values(rng, TensorType.of_dtype(shape[3:], DType("int", int(rng.choice(bits)))))
    if rng.integers(2):
        w = rng.integers(w.min(), w.max(), w.shape, endpoint=True)
    w = prune_columns(w, *RATIOS[rng.integers(4)], int(rng.choice([1, 3, 4, 7, 8])))
    constants: dict[str, Array] = {"w": w * int(rng.integers(8) > 0)}
    nodes = [Node("conv", op, ("x", "w"))]
    sums = Graph("case", {"x": x}, tuple(nodes), ("conv",), constants).verify().types["conv"]
    if rng.integers(3) == 0 and min(sums.shape[1:]) >= 2:
        nodes.append(Node("pool", MaxPool2d(), ("conv",)))
    return (with_map if rng.integers(3) else rising)(rng, x, nodes, constants)


def _geometry(rng: np.random.Generator) -> tuple[tuple[int, ...], Conv2d]:
    """(C, H, W, O, C, KH, KW) and the operator; irregular channel counts, pictures of a few to some hundred pixels; one
    in four needs each pixel by itself."""
    kernel = [(1, 1), (3, 3), (5, 5), (3, 3), (1, 3), (2, 2)][rng.integers(6)]
    channels, filters = int(rng.choice([1, 2, 3, 8, 17, 40])), int(rng.choice([1, 3, 7, 8, 16, 17, 33]))
    height, width = (int(v) for v in rng.integers(5, 24, 2))
    stride = (int(rng.integers(1, 4)), int(rng.integers(1, 4))) if rng.integers(2) else (1, 1)
    if rng.integers(4) == 0:
        return (channels, height, width, filters, channels, 1, 1), Conv2d(stride)
    padding = tuple(int(v) for v in rng.integers(0, 3, 4))
    return (channels, height, width, filters, channels, *kernel), Conv2d(stride, padding)  # type: ignore[arg-type]


def integer_case(rng: np.random.Generator, types: str) -> Case:
    graph = integer_graph(rng, types)
    (layer,) = layers_of(graph)
    x = graph.inputs["x"]
    w = as_columns(graph.constants["w"].astype(np.int64))
    bits, block_rows = 8 * x.dtype.container.itemsize, _block_rows(rng)
    repeated = repeat(w, x.lo, x.hi, block_rows) if bits == 8 and rng.integers(2) else None
    halves = map_in_halves(layer) if repeated else None
    if repeated and halves:
        repeated = repeated.scaled(halves.scale)
    pruned = repeated or prune(w, x.lo, x.hi, bits, block_rows)
    if pruned is None:
        raise OperatorError("sums leave 32 bits")
    frame = {"x": values(rng, x)}
    result = execute(graph, frame)[layer.name]
    x_layout, y_layout = (LAYOUTS[rng.integers(2)] for _ in range(2))
    pixels = prod(layer.y.shape[1:])
    stride = (layer.y.shape[0] if y_layout == "HCK_HWC" else pixels) + int(rng.choice([0, 0, 5]))
    maps, arrays = map_of(layer, stride, halves.map if halves else None)
    container = x.dtype.container
    data = Plain().pack(frame["x"], x) if x_layout == "HCK_HWC" else frame["x"].astype(container).tobytes()
    numbers = _numbers(layer, pruned, x_layout, y_layout)
    expected = strided(result, layer.y, stride) if y_layout == "HCK_HWC" else _rows(result, layer.y, stride)
    label = f"{layer.title}: {x} {graph.constants['w'].shape} {layer.first.op} {x_layout} {y_layout} "
    label += f"{pruned.sums.name} {pruned.block_rows} rows a block {layer.map and layer.map.op}"
    label += f" in 16 bits above {halves.map.fields.get('above', 0)}" if halves else ""
    return Case(SPARSE, (*maps, *numbers), (*arrays, data, *_weights(layer, pruned)), expected, label)


def _block_rows(rng: np.random.Generator) -> int:
    return int(rng.choice([1, 7, 32, 1 << 16, 1 << 16]))


def _numbers(layer: Layer, pruned: Columns, x_layout: str, y_layout: str) -> tuple[int, ...]:
    fields = sparse_fields(layer, pruned) | {"x_layout": x_layout, "y_layout": y_layout}
    names = (*TYPES, *LAYOUTS, *SUMS)
    index = {name: group.index(name) for group in (TYPES, LAYOUTS, SUMS) for name in group}
    words = (str(value) for value in fields.values())
    plane = 0 if layer.is_in_place else prod(plane_shape(layer))
    return (*(index[word] if word in names else int(word) for word in words), plane)


def _weights(layer: Layer, pruned: Columns) -> tuple[bytes, ...]:
    return tuple(
        array.tobytes()
        for array in (offsets(layer, pruned.rows, plane_bytes(layer, pruned)), *pruned.arrays().values())
    )


def _rows(values_: Array, type_: TensorType, stride: int) -> bytes:
    """(C, H, W) as channels ``stride`` elements apart, untouched bytes between them."""
    container = type_.dtype.container
    rows = values_.astype(container).reshape(type_.shape[0], -1)
    out = np.full((rows.shape[0], stride * container.itemsize), FILL, np.uint8)
    out[:, : rows.shape[1] * container.itemsize] = rows.view(np.uint8)
    return out.tobytes()


def float_case(rng: np.random.Generator) -> FloatCase:
    """y = min(max(pool(conv) + bias, lo), hi) in float32; expected from numpy in float64."""
    shape, op = _geometry(rng)
    x = rng.standard_normal(shape[:3]).astype(np.float32)
    w = prune_columns(rng.standard_normal(shape[3:]).astype(np.float32), *RATIOS[rng.integers(4)], 7)
    # the layer only tells geometry and offsets: integers of the same shape stand in
    type_ = TensorType.of_dtype(x.shape, DType("int", 8))
    nodes = [Node("conv", op, ("x", "w"))]
    constants = {"w": np.ones(w.shape, np.int64)}
    sums = Graph("case", {"x": type_}, tuple(nodes), ("conv",), constants).verify().types["conv"].shape
    pool = rng.integers(3) == 0 and min(sums[1:]) >= 2
    if pool:
        nodes.append(Node("pool", MaxPool2d(), ("conv",)))
    (layer,) = layers_of(Graph("case", {"x": type_}, tuple(nodes), (nodes[-1].name,), constants).verify())
    bias = rng.standard_normal(w.shape[0]).astype(np.float32)
    lo, hi = (0.0, 6.0) if rng.integers(2) else (-3e38, 3e38)
    y = op.evaluate([x.astype(np.float64), w.astype(np.float64)])
    if pool:
        y = MaxPool2d().evaluate([y])
    y = np.clip(y + bias[:, None, None], lo, hi)
    pruned = prune_float(as_columns(w), _block_rows(rng))
    x_layout, y_layout = (LAYOUTS[rng.integers(2)] for _ in range(2))
    data = (x if x_layout == "HCK_CHW" else np.ascontiguousarray(x.transpose(1, 2, 0))).tobytes()
    stride = y.shape[0] if y_layout == "HCK_HWC" else prod(y.shape[1:])
    expected = y if y_layout == "HCK_CHW" else y.transpose(1, 2, 0)
    constants_ = np.concatenate([[lo, hi], bias]).astype(np.float32).tobytes()
    blobs = (constants_, *[b""] * (OPERANDS - 2), data, *_weights(layer, pruned))
    numbers = (*[0] * (MAP_PARAMETERS - 1), stride, *_numbers(layer, pruned, x_layout, y_layout))
    label = f"float {x.shape} {w.shape} {op} pool {pool} {x_layout} {y_layout} {pruned.block_rows}"
    return FloatCase(Case(SPARSE_FLOAT, numbers, blobs, bytes(4 * y.size), label), expected)


def integer_cases(types: str, count: int, seed: int) -> list[Case]:
    rng = np.random.default_rng([seed, *types.encode()])
    made: list[Case] = []
    while len(made) < count:
        try:
            made.append(integer_case(rng, types))
        except (GraphError, OperatorError):
            continue  # sums or products beyond 32 and 64 bits: the verifier or the engine refuses them
    return made


def float_cases(count: int, seed: int) -> list[FloatCase]:
    rng = np.random.default_rng(seed)
    return [float_case(rng) for _ in range(count)]
