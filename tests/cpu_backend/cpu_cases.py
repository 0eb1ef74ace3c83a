"""Seeded kernel cases: one-layer graphs with extreme values, encoded for driver.c with the results `ir` gives."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cpu_backend.emit import conv_accumulator, pack_weights
from cpu_backend.layers import REQUANTISE, Layer, layers_of
from cpu_backend.ranges import fits_int8
from cpu_backend.requantise import Requantisation, kernel_type, requantisation
from ir.executor import execute
from ir.graph import Graph, Node
from ir.layouts import Plain, pixels_first
from ir.ops import Concat, Conv2d, MaxPool2d, MultiplyShift, Op, OperatorError, SpaceToDepth, Thresholds
from ir.types import Array, DType, TensorType

TYPES = ("HCK_U8", "HCK_I8", "HCK_U16", "HCK_I16", "HCK_I32")
MAPS = ("HCK_KEEP", "HCK_MULTIPLY_SHIFT", "HCK_THRESHOLDS")
CONV, CONV_WIDE, REQUANTISE_ROWS, MAX_POOL, SPACE_TO_DEPTH, COPY = range(6)
FILL = 0xA5


@dataclass(frozen=True)
class Case:
    """A kernel call, the bytes it has to leave in its result, and a line that tells it from others."""

    operator: int
    parameters: tuple[int, ...]
    blobs: tuple[bytes, ...]
    expected: bytes
    label: str


def encode(cases: Sequence[Case]) -> bytes:
    parts = [struct.pack("<Q", len(cases))]
    for case in cases:
        parts.append(struct.pack("<QQ", case.operator, len(case.parameters)))
        parts.append(struct.pack(f"<{len(case.parameters)}q", *case.parameters))
        parts.append(struct.pack("<Q", len(case.blobs)))
        parts += [struct.pack("<Q", len(blob)) + blob for blob in case.blobs]
        parts.append(struct.pack("<Q", len(case.expected)))
    return b"".join(parts)


def check(cases: Sequence[Case], results: bytes) -> None:
    """Asserts byte equality, naming the first case that differs."""
    at = 0
    for number, case in enumerate(cases):
        got = results[at : at + len(case.expected)]
        assert got == case.expected, f"case {number}: {case.label}: {_first_difference(got, case.expected)}"
        at += len(case.expected)
    assert at == len(results)


def _first_difference(got: bytes, expected: bytes) -> str:
    place = next((i for i, (a, b) in enumerate(zip(got, expected, strict=False)) if a != b), len(got))
    return f"byte {place} of {len(expected)} is {got[place : place + 1]!r}, not {expected[place : place + 1]!r}"


def values(rng: np.random.Generator, type_: TensorType) -> Array:
    """Uniform, all lowest, all highest, or a mixture of the two extremes."""
    style = rng.integers(4)
    if style == 0:
        return rng.integers(type_.lo, type_.hi, type_.shape, endpoint=True)
    if style == 3:
        return rng.choice([type_.lo, type_.hi], type_.shape)
    return np.full(type_.shape, type_.lo if style == 1 else type_.hi, np.int64)


def operand(rng: np.random.Generator, shape: tuple[int, ...], names: Sequence[str]) -> TensorType:
    """A tensor of one of these element types, half the time in a narrower true range."""
    dtype = DType.parse(str(rng.choice(names)))
    if rng.integers(2):
        return TensorType.of_dtype(shape, dtype)
    lo, hi = sorted(int(v) for v in rng.integers(dtype.lo, dtype.hi, 2, endpoint=True))
    return TensorType(shape, dtype, lo, hi)


def random_map(rng: np.random.Generator, channels: int, x: TensorType) -> tuple[Op, dict[str, Array]] | None:
    """Nothing, a multiply-shift (32-bit or 64-bit arithmetic, any sign) or thresholds (rising and falling)."""
    kind = rng.integers(4)
    if kind == 0:
        return None
    if kind == 1:
        levels = int(rng.choice([1, 3, 15]))
        table = np.sort(rng.integers(x.lo - 3, x.hi + 3, (channels, levels), endpoint=True), axis=1)
        rising = rng.integers(0, 1, channels, endpoint=True) if rng.integers(2) else np.ones(channels, np.int64)
        return Thresholds(int(rng.integers(-8, 8))), {"table": table, "rising": rising}
    wide = kind == 3
    reach = max(abs(x.lo), abs(x.hi), 1)
    most = max(1, min((1 << 60 if wide else 1 << 29) // reach, (1 << 31) - 1))
    mul = rng.integers(-most, most, channels, endpoint=True)
    shift = int(rng.integers(1, 50 if wide else 31))
    limit = min(1 << 60, most * reach) if wide else 1 << 28
    add = rng.integers(-limit, limit, channels, endpoint=True)
    lo, hi = [(0, 15), (-8, 7), (0, 255), (-128, 127), (-1000, 1000), (-(1 << 20), 1 << 20)][rng.integers(6)]
    return MultiplyShift(shift, lo, hi), {"mul": mul, "add": add}


def map_parameters(map_: Requantisation, y: TensorType, stride: int) -> tuple[tuple[int, ...], tuple[bytes, ...]]:
    f, arrays = map_.fields, map_.arrays
    numbers = [int(f.get(key, 0)) for key in ("shift", "lo", "hi", "levels", "offset")]
    parameters = (MAPS.index(str(f["map"])), TYPES.index(kernel_type(y)), y.shape[0], *numbers, stride)
    names = ("mul", "add", "wide_add", "table", "sign")
    return parameters, tuple(arrays[key].tobytes() if key in arrays else b"" for key in names)


def strided(values_: Array, type_: TensorType, stride: int) -> bytes:
    """(C, H, W) as pixels ``stride`` elements apart, untouched bytes between them."""
    container = type_.dtype.container
    pixels = pixels_first(values_).astype(container).reshape(-1, type_.shape[0])
    out = np.full((pixels.shape[0], stride * container.itemsize), FILL, np.uint8)
    out[:, : pixels.shape[1] * container.itemsize] = np.ascontiguousarray(pixels).view(np.uint8)
    return out.tobytes()


def build(graph: Graph, rng: np.random.Generator) -> Case:
    """The case of a graph that is one layer; OperatorError where the kernels do not take it."""
    (layer,) = layers_of(graph)
    frame = {name: values(rng, type_) for name, type_ in graph.inputs.items()}
    result = execute(graph, frame)[layer.name]
    stride = layer.y.shape[0] + int(rng.choice([0, 0, 5]))
    expected = strided(result, layer.y, stride)
    label = f"{layer.title}: {[str(o.type) for o in layer.first.operands]} {[v.op for v in layer.nodes]}"
    x = Plain().pack(frame["x"], graph.inputs["x"])
    kind = type(layer.first.op)
    if kind is Conv2d:
        return _conv_case(layer, x, stride, expected, label)
    if kind in REQUANTISE:
        parameters, arrays = map_parameters(requantisation(layer.first), layer.y, stride)
        rows = layer.x.elements // layer.x.shape[0]
        more = (TYPES.index(kernel_type(layer.x)), layer.x.shape[0], rows, 1)
        return Case(REQUANTISE_ROWS, parameters + more, (*arrays, x), expected, label)
    return _spatial_case(layer, x, stride, expected, label)


def _conv_case(layer: Layer, x: bytes, stride: int, expected: bytes, label: str) -> Case:
    op, w, proof = layer.first.op, layer.first.operands[1].constant, conv_accumulator(layer)
    assert isinstance(op, Conv2d)
    map_, arrays = map_parameters(requantisation(layer.find(*REQUANTISE)), layer.y, stride)
    narrow = fits_int8(w) and kernel_type(layer.x) != "HCK_I32"
    (c, h, wide), sums = layer.x.shape, layer.first.type.shape
    shape = (TYPES.index(kernel_type(layer.x)), h, wide, c, sums[1], sums[2], sums[0], *w.shape[2:], *op.stride)
    flush = proof.flush if proof.bits == 16 else 0
    tail = (op.padding[0], op.padding[1], op.groups, flush, 2 if layer.find(MaxPool2d) else 1)
    zeros = w.shape[3] * c * layer.x.dtype.container.itemsize
    weights = pack_weights(w, op.groups, narrow).tobytes()
    parameters = (*map_, *shape, *tail, zeros)
    return Case(CONV if narrow else CONV_WIDE, parameters, (*arrays, x, weights), expected, f"{label} {proof.note}")


def _spatial_case(layer: Layer, x: bytes, stride: int, expected: bytes, label: str) -> Case:
    op, size = layer.first.op, layer.x.dtype.container.itemsize
    if isinstance(op, MaxPool2d):
        extents = (layer.x.shape[2], layer.x.shape[0], *layer.y.shape[1:], *op.kernel, *op.stride, stride)
        return Case(MAX_POOL, (TYPES.index(kernel_type(layer.x)), *extents), (x,), expected, label)
    assert isinstance(op, SpaceToDepth)
    parameters = (layer.x.shape[0] * size, *layer.y.shape[1:], op.block, stride * size)
    return Case(SPACE_TO_DEPTH, parameters, (x,), expected, label)


def conv_graph(rng: np.random.Generator) -> Graph:
    """Conv2d [+ 2x2 max-pool] [+ map]: every stride, padding and grouping; channels around the vector lengths."""
    kh, kw = [(1, 1), (3, 3), (3, 3), (5, 5), (1, 3), (2, 2)][rng.integers(6)]
    style = rng.integers(5)
    groups, inner, outer = (
        1,
        int(rng.choice([1, 2, 3, 8, 17, 40])),
        int(rng.choice([1, 3, 16, 17, 33, 36, 64, 65, 130])),
    )
    if style == 0:
        groups, inner, outer = int(rng.choice([2, 3])), int(rng.integers(1, 9)), int(rng.integers(1, 40))
    elif style == 1:
        groups, inner, outer = int(rng.choice([2, 16, 35, 70])), 1, 1
    h, w = (int(v) for v in rng.integers(max(kh, kw), 12, 2))
    op = Conv2d(
        (int(rng.integers(1, 3)), int(rng.integers(1, 3))), tuple(int(v) for v in rng.integers(0, 3, 4)), groups
    )
    x = operand(
        rng, (inner * groups, h, w), ["uint1", "uint4", "uint4", "uint8", "int4", "int8", "int16", "uint16", "bipolar"]
    )
    weight_bits = int(rng.choice([1, 2, 4, 4, 8, 8, 12]))
    weights = values(rng, TensorType.of_dtype((outer * groups, inner, kh, kw), DType("int", weight_bits)))
    constants: dict[str, Array] = {"w": weights}
    nodes = [Node("conv", op, ("x", "w"))]
    graph = Graph("case", {"x": x}, tuple(nodes), ("conv",), constants).verify()
    sums = graph.types["conv"]
    if rng.integers(3) == 0 and min(sums.shape[1:]) >= 2:
        nodes.append(Node("pool", MaxPool2d(), ("conv",)))
    mapping = random_map(rng, sums.shape[0], sums)
    if mapping:
        constants |= mapping[1]
        nodes.append(Node("map", mapping[0], (nodes[-1].name, *mapping[1])))
    return Graph("case", {"x": x}, tuple(nodes), (nodes[-1].name,), constants).verify()


ELEMENTS = ["uint1", "uint4", "uint8", "int8", "uint12", "int16", "uint16", "int24", "bipolar"]


def map_graph(rng: np.random.Generator) -> Graph:
    x = operand(rng, (int(rng.choice([1, 16, 33, 70])), 3, 2), ELEMENTS)
    mapping = None
    while mapping is None:
        mapping = random_map(rng, x.shape[0], x)
    return Graph("case", {"x": x}, (Node("map", mapping[0], ("x", *mapping[1])),), ("map",), mapping[1]).verify()


def spatial_graph(rng: np.random.Generator) -> Graph:
    x = operand(rng, (int(rng.choice([1, 3, 16, 65, 300])), *(int(v) * 2 for v in rng.integers(2, 5, 2))), ELEMENTS)
    kernel, stride = (tuple(int(v) for v in rng.integers(1, 4, 2)) for _ in range(2))
    op: Op = SpaceToDepth(2) if rng.integers(3) == 0 else MaxPool2d(kernel, stride)  # type: ignore[arg-type]
    return Graph("case", {"x": x}, (Node("y", op, ("x",)),), ("y",)).verify()


def copy_case(rng: np.random.Generator) -> Case:
    """One operand of a Concat, copied into the joined tensor."""
    x = operand(rng, (int(rng.choice([1, 5, 16])), 3, 2), ELEMENTS)
    other = operand(rng, (int(rng.integers(1, 9)), 3, 2), ELEMENTS)
    y = Graph("case", {"x": x, "o": other}, (Node("y", Concat(), ("x", "o")),), ("y",)).types["y"]
    data = values(rng, x)
    y_type = TensorType((x.shape[0], 3, 2), y.dtype, y.lo, y.hi)
    parameters = (TYPES.index(kernel_type(x)), TYPES.index(kernel_type(y)), y.shape[0], 6, x.shape[0])
    return Case(COPY, parameters, (Plain().pack(data, x),), strided(data, y_type, y.shape[0]), f"{x} into {y}")


GRAPHS = {"conv": conv_graph, "map": map_graph, "spatial": spatial_graph}


def cases(kind: str, count: int, seed: int) -> list[Case]:
    """``count`` cases that the kernels take."""
    rng = np.random.default_rng(seed)
    if kind == "copy":
        return [copy_case(rng) for _ in range(count)]
    made: list[Case] = []
    while len(made) < count:
        graph = GRAPHS[kind](rng)
        try:
            made.append(build(graph, rng))
        except OperatorError:
            continue  # sums or products beyond 32 and 64 bits: the engine refuses them
    return made
