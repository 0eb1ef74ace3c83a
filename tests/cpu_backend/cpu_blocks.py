"""Seeded one-layer graphs for the kernels of few pixels and of depthwise convolutions."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from cpu_cases import Case, operand, values
from cpu_encode import CONV, MAP_ARRAYS, OPERANDS, build
from cpu_sketches import with_map

from ir.graph import Graph, Node
from ir.ops import Conv2d, MaxPool2d, MultiplyShift
from ir.types import Array, DType, TensorType

PART = 254
"""The largest sum of magnitudes of a part of weights."""
AT_THE_EDGE = {
    "one": (28, 28, 28, 28, 28, 28, 28, 28, 30),
    "two": (50, 51, 51, 51, 51, 63, 63, 64, 64),
    "rows": (84, 85, 85, 84, 85, 85, 85, 84, 85),
    "four": (100, 100, 127, 100, 81, 127, 127, 127, 127),
}
"""Nine weights each that just fit such parts."""
BYTES = ["uint2", "uint4", "uint7", "uint8", "int4", "int8", "int8", "bipolar"]


def few_graph(rng: np.random.Generator) -> Graph:
    """One to seven pixels, or as many left over behind blocks of eight; channels around one to four vectors."""
    k = int(rng.choice([1, 1, 1, 3]))
    h, w = [(1, 1), (1, 2), (1, 3), (2, 2), (1, 5), (2, 3), (1, 7), (1, 11), (3, 7)][rng.integers(9)]
    groups = int(rng.choice([1, 1, 1, 2]))
    inner = int(rng.choice([1, 2, 3, 5, 8, 31, 100]))
    outer = int(rng.choice([1, 7, 8, 9, 16, 17, 33, 64, 65, 130, 200, 257]))
    pool = rng.integers(6) == 0
    shape = (inner * groups, *(2 * (n + k // 2) if pool else n + 2 * (k // 2) for n in (h, w)))
    heavy = rng.integers(3) == 0  # whole bytes on both sides
    x = operand(rng, shape, [*BYTES, "int16", "uint16"])
    if heavy:
        x = TensorType.of_dtype(shape, DType("int" if rng.integers(2) else "uint", 8))
    pad = int(rng.integers(2)) * (k // 2)
    bits = 8 if heavy else int(rng.choice([1, 2, 4, 6, 8, 8]))
    narrow = TensorType.of_dtype((outer * groups, inner, k, k), DType("int", bits))
    weights = values(rng, narrow)
    if bits > 1 and rng.integers(2):  # as symmetric quantisers leave them: -128 alone keeps two products out of 16 bits
        weights = np.maximum(weights, narrow.lo + 1)
    nodes = [Node("conv", Conv2d(padding=(pad, pad, pad, pad), groups=groups), ("x", "w"))]
    if pool:
        nodes.append(Node("pool", MaxPool2d(), ("conv",)))
    return with_map(rng, x, nodes, {"w": weights})


def depthwise_graph(rng: np.random.Generator) -> Graph:
    """Kernels mostly 3 and 5 wide, strides 1 to 3, padding of up to the kernel, pictures of 1 to 20 columns."""
    kw = int(rng.choice([3, 3, 3, 5, 5, 5, 3, 5, 3, 5, 1, 2]))
    kh = kw if rng.integers(3) else int(rng.integers(1, 6))
    channels = int(rng.choice([2, 3, 8, 15, 16, 17, 33, 64, 65, 100, 130]))
    padding = tuple(int(rng.integers(0, k)) for k in (kh, kw, kh, kw))
    h = max(int(rng.integers(1, 7)), kh - padding[0] - padding[2])
    w = max(int(rng.integers(1, 21)), kw - padding[1] - padding[3])
    stride = (int(rng.choice([1, 1, 2, 3])), int(rng.choice([1, 1, 1, 1, 2, 2, 2, 2, 3])))
    heavy = rng.integers(5) < 2
    x = operand(rng, (channels, h, w), [*BYTES, "int16"])
    if heavy:
        x = TensorType.of_dtype(x.shape, DType("int" if rng.integers(2) else "uint", 8))
    bits = 8 if heavy else int(rng.choice([1, 2, 4, 8, 8]))
    weights = values(rng, TensorType.of_dtype((channels, 1, kh, kw), DType("int", bits)))
    nodes = [Node("conv", Conv2d(stride, padding, channels), ("x", "w"))]
    sums = Graph("case", {"x": x}, tuple(nodes), ("conv",), {"w": weights}).verify().types["conv"]
    if rng.integers(8) == 0 and min(sums.shape[1:]) >= 2:
        nodes.append(Node("pool", MaxPool2d(), ("conv",)))
    if rng.integers(2):
        return with_map(rng, x, nodes, {"w": weights})
    return requantised(rng, x, nodes, {"w": weights}, max(abs(sums.lo), abs(sums.hi), 1))


def requantised(
    rng: np.random.Generator, x: TensorType, nodes: list[Node], constants: dict[str, Array], reach: int
) -> Graph:
    """With a multiply-shift as quantisers leave it: multipliers of 16 bits, 32-bit arithmetic, results of 8 bits."""
    channels = constants["w"].shape[0]
    most = min((1 << 15) - 1, (1 << 29) // reach)
    mul, add = rng.integers(-most, most, channels, endpoint=True), rng.integers(-(1 << 29), 1 << 29, channels)
    lo, hi = [(0, 15), (-8, 7), (0, 255), (0, 127), (-128, 127), (3, 200)][rng.integers(6)]
    shift = max((most * reach).bit_length() - int(rng.integers(3, 9)), 1)
    add //= int(rng.choice([1, 1 << 12, 1 << 20]))
    nodes = [*nodes, Node("map", MultiplyShift(shift, lo, hi), (nodes[-1].name, "mul", "add"))]
    return Graph("case", {"x": x}, tuple(nodes), ("map",), {**constants, "mul": mul, "add": add}).verify()


def halves_graph(rng: np.random.Generator) -> Graph:
    """Depthwise 3x3 with rising multipliers and results of up to 8 bits, sums within 16 bits for the most part."""
    channels = int(rng.choice([2, 3, 15, 16, 17, 33, 64, 100]))
    padding = tuple(int(rng.integers(0, 3)) for _ in range(4))
    h, w = (max(int(rng.integers(1, 10)), 3 - padding[i] - padding[i + 2]) for i in range(2))
    x = operand(rng, (channels, h, w), ["uint2", "uint3", "uint4", "uint4", "uint8", "int3", "int4", "int8"])
    bits = int(rng.choice([2, 3, 4, 4, 5, 8]))
    weights = rng.integers(-(1 << bits - 1) + 1, 1 << bits - 1, (channels, 1, 3, 3))
    conv = Node("conv", Conv2d((int(rng.integers(1, 3)), int(rng.integers(1, 3))), padding, channels), ("x", "w"))
    return rising(rng, x, [conv], {"w": weights})


def rising(rng: np.random.Generator, x: TensorType, nodes: list[Node], constants: dict[str, Array]) -> Graph:
    """With a multiply-shift of rising multipliers and results of up to 8 bits, most of which the sums reach."""
    sums = Graph("case", {"x": x}, tuple(nodes), (nodes[-1].name,), constants).verify().types[nodes[-1].name]
    channels = sums.shape[0]
    lo, hi = [(0, 15), (0, 3), (-8, 7), (0, 127), (-128, 127), (0, 255), (3, 200)][rng.integers(7)]
    steep = float(rng.choice([0.3, 1, 4])) * (hi - lo) / max(sums.hi - sums.lo, 1)
    mul = rng.integers(1 << int(rng.integers(1, 14)), 1 << 14, channels)
    shift = max(round(np.log2((1 << 13) / steep)), 1)
    add = np.round(rng.uniform(lo, hi, channels) * 2.0**shift - mul * (sums.lo + sums.hi) / 2).astype(np.int64)
    last = Node("map", MultiplyShift(shift, lo, hi), (nodes[-1].name, "mul", "add"))
    return Graph("case", {"x": x}, (*nodes, last), ("map",), {**constants, "mul": mul, "add": add}).verify()


def parts_graph(rng: np.random.Generator) -> Graph:
    """Depthwise 3x3 of whole bytes; weights of any size, or whose parts just fit 16 bits or just do not."""
    channels = int(rng.choice([2, 3, 15, 16, 17, 33, 64, 100, 130]))
    padding = tuple(int(rng.integers(0, 3)) for _ in range(4))
    h, w = (max(int(rng.integers(1, 9)), 3 - padding[i] - padding[i + 2]) for i in range(2))
    x = TensorType.of_dtype((channels, h, w), DType("int" if rng.integers(2) else "uint", 8))
    weights = rng.integers(
        *(int(rng.choice([28, 43, 50, 84, 100, 127])) * np.array([-1, 1])), (channels, 9), endpoint=True
    )
    if rng.integers(2):
        edge = list(AT_THE_EDGE.values())[rng.integers(len(AT_THE_EDGE))]
        over = (
            3 * np.eye(9, dtype=np.int64)[rng.integers(9, size=channels)] * (rng.integers(8, size=(channels, 1)) == 0)
        )
        weights = np.sign(weights) * (np.array(edge) + over)
    conv = Node("conv", Conv2d((int(rng.integers(1, 3)), int(rng.integers(1, 3))), padding, channels), ("x", "w"))
    constants: dict[str, Array] = {"w": np.clip(weights, -127, 127).reshape(-1, 1, 3, 3)}
    sums = Graph("case", {"x": x}, (conv,), ("conv",), constants).verify().types["conv"]
    return requantised(rng, x, [conv], constants, max(abs(sums.lo), abs(sums.hi), 1))


def few_kernels(case: Case) -> list[tuple[str, int]]:
    """What of hck_few_rvv.c a case reaches: the kind of sums with the type of elements, and the last block's pixels."""
    c = _fields(case)
    products = c["kernel_h"] * c["kernel_w"] * c["in_c"] // c["groups"]
    last = c["out_h"] * c["out_w"] % 4
    if case.operator != CONV or c["pool"] > 1 or last == 0:
        return []
    whole, flushed = c["flush"] >= products, c["run16"] >= 2
    sums = "wide" if c["x_type"] > 1 else "whole" if whole else "flushed" if flushed else "wide"
    return [(sums, c["x_type"]), ("pixels", last)]


def depthwise_kernels(case: Case) -> list[tuple[str, int, int, int]]:
    """What of hck_depthwise_rvv.c a case reaches: sums, elements, kernel and stride; blocks of 4 and 8 pixels."""
    c = _fields(case)
    if case.operator != CONV or c["x_type"] > 1 or c["kernel_w"] not in (3, 5) or c["stride_w"] > 2 or c["pool"] > 1:
        return []
    sums = "narrow" if c["flush"] >= c["kernel_h"] * c["kernel_w"] else "wide"
    return [(sums, c["x_type"], c["kernel_w"], c["stride_w"]), ("pixels", 8 if c["out_w"] % 8 > 4 else 4, 0, 0)]


def fused_depthwise_kernels(case: Case) -> list[tuple[str, int, int]]:
    """What of hck_depthwise3_rvv.c a case reaches at VLEN 128, with 8 bits at 256: parts of sums, elements, stride."""
    c = _fields(case)
    kind, y_type, _, _, lo, hi = case.parameters[:6]
    add, mul = case.blobs[1], np.frombuffer(case.blobs[0], np.int32)
    least, most = {0: (0, 255), 1: (-128, 127)}.get(y_type, (0, -1))
    narrow = kind == 1 and add and least <= lo and hi <= most
    if not depthwise_kernels(case) or (c["kernel_h"], c["kernel_w"]) != (3, 3) or not narrow:
        return []
    short = bool(np.abs(mul.astype(np.int64)).max() < 1 << 15)
    weights = np.frombuffer(case.blobs[WEIGHTS], np.int8).astype(int).reshape(9, -1).T
    if c["flush"] >= 9 and short:
        blocks = np.split(weights >> c["byte_shift"], range(32, len(weights), 32))
        names = [_byte_parts(block, c["room"]) for block in blocks] if c["room"] else ["halves"]
        names = names if case.blobs[BEFORE] else ["whole"]
        return [(name, c["x_type"], c["stride_w"]) for name in dict.fromkeys(names)]
    if not (c["run16"] >= 2 if c["x_type"] == 1 else weights.min() > -128):
        return []
    blocks = np.split(weights, range(16, len(weights), 16))
    return [(part, c["x_type"], c["stride_w"]) for part in dict.fromkeys(_parts(block, short) for block in blocks)]


def _parts(weights: Array, short: bool) -> str:
    """In which parts 16 bits hold the sums of these channels (C, 9), of elements from -128 to 127."""
    m = np.abs(weights)
    taken = np.clip(PART - m[:, 0] - m[:, 1], 0, m[:, 2])
    ends = {
        "one": [m.sum(1)] if short else [np.array([PART + 1])],
        "two": [m[:, :5].sum(1), m[:, 5:].sum(1)],
        "rows": [m[:, i : i + 3].sum(1) for i in (0, 3, 6)],
        "four": [m[:, 0] + m[:, 1] + taken, m[:, 2] - taken + m[:, 3] + m[:, 4]],
    }
    return next((name for name, sums in ends.items() if max(int(s.max()) for s in sums) <= PART), "pairs")


def _byte_parts(weights: Array, room: int) -> str:
    """In which parts 8 bits hold the sums of these channels (C, 9): "rows" with those that they hold."""
    m = np.abs(weights)
    rows = [str(i) for i in range(3) if m[:, 3 * i : 3 * i + 3].sum(1).max() <= room]
    if m.sum(1).max() <= room:
        return "bytes"
    if max(m[:, :5].sum(1).max(), m[:, 5:].sum(1).max()) <= room:
        return "two of bytes"
    return f"bytes of rows {''.join(rows)}" if rows else "halves"


def depthwise_layer(w: Array, x: DType, mul: Array, add: Array, shift: int, bounds: tuple[int, int]) -> Graph:
    """Depthwise 3x3 on 3x4 elements, padded."""
    conv = Node("conv", Conv2d((1, 1), (1, 1, 1, 1), len(w)), ("x", "w"))
    last = Node("map", MultiplyShift(shift, *bounds), ("conv", "mul", "add"))
    constants = {"w": w, "mul": mul, "add": add}
    return Graph("case", {"x": TensorType.of_dtype((len(w), 3, 4), x)}, (conv, last), ("map",), constants).verify()


def of_kind(kind: str | list[str], layer: Graph, value: int | Array) -> Case:
    """The layer on elements of one value, or of (H, W) for all channels; it must reach this kind of depthwise kernel or
    these, "" for none."""
    case = build(layer, np.random.default_rng(0), {"x": np.full(layer.inputs["x"].shape, value)})
    expected = [kind] if isinstance(kind, str) else kind
    assert [key[0] for key in fused_depthwise_kernels(case)] == [name for name in expected if name], case.label
    return case


def _fields(case: Case) -> dict[str, int]:
    """The convolution's record: its fields follow those of the map."""
    return dict(zip(FIELDS, case.parameters[MAP_PARAMETERS:], strict=False))


FIELDS = (
    *("x_type", "in_h", "in_w", "in_c", "out_h", "out_w", "out_c", "kernel_h", "kernel_w", "stride_h", "stride_w"),
    *("pad_top", "pad_left", "groups", "flush", "flush8", "run16", "pool"),
    *("fused", "room", "byte_shift", "byte_ends"),
)
MAP_PARAMETERS = 11
BEFORE, WEIGHTS = MAP_ARRAYS.index("before"), OPERANDS

GRAPHS: Mapping[str, Callable[[np.random.Generator], Graph]] = {
    "few": few_graph,
    "depthwise": depthwise_graph,
    "halves": halves_graph,
    "parts": parts_graph,
}
