"""Seeded one-layer graphs with extreme values, one family per operator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from cpu_cases import Case, operand, values
from cpu_encode import COPY, TYPES, build, strided

from cpu_backend.ranges import Products, accumulator
from cpu_backend.requantise import kernel_type
from ir.graph import Graph, GraphError, Node
from ir.layouts import Plain
from ir.ops import (
    Add,
    Clip,
    Concat,
    Conv2d,
    DepthToSpace,
    GatedConv2d,
    MaxPool2d,
    Multiply,
    MultiplyShift,
    Op,
    OperatorError,
    PRelu,
    Resize,
    RPRelu,
    Sign,
    SpaceToDepth,
    SumPool2d,
    Thresholds,
    Upsample,
)
from ir.types import Array, DType, TensorType


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


def random_activation(rng: np.random.Generator, x: TensorType) -> tuple[Op, dict[str, Array]]:
    """Sign, clip, PReLU, RPReLU or one addend per channel, as wide as 32 bits allow."""
    return ACTIVATIONS[rng.integers(len(ACTIVATIONS))](rng, x)


def _sign(rng: np.random.Generator, x: TensorType) -> tuple[Op, dict[str, Array]]:
    channels = x.shape[0]
    rising = rng.integers(0, 1, channels, endpoint=True) if rng.integers(2) else np.ones(channels, np.int64)
    reach = (x.lo - 2, x.hi + 2) if rng.integers(4) else (-(1 << 40), 1 << 40)
    return Sign(), {"threshold": rng.integers(*reach, channels, endpoint=True), "rising": rising}


def _clip(rng: np.random.Generator, x: TensorType) -> tuple[Op, dict[str, Array]]:
    lo, hi = sorted(int(v) for v in rng.integers(x.lo - 2, x.hi + 3, 2, endpoint=True))
    if rng.integers(4) == 0:
        lo, hi = (0, 1 << 40) if rng.integers(2) else (-(1 << 40), 0)
    return Clip(lo, max(hi, lo + 1)), {}


def _add(rng: np.random.Generator, x: TensorType) -> tuple[Op, dict[str, Array]]:
    lo, hi = max(-(1 << 31) - x.lo, -(1 << 31)), min((1 << 31) - 1 - x.hi, (1 << 31) - 1)
    if rng.integers(3):
        lo, hi = max(lo, -1000), min(hi, 1000)
    return Add(), {"addend": rng.integers(min(lo, 0), max(hi, 0), x.shape[0], endpoint=True)}


def _slopes(rng: np.random.Generator, lo: int, hi: int, channels: int, limit: int) -> tuple[Array, int]:
    """Slopes and a shift that keep lo..hi within +-limit."""
    shift = int(rng.integers(0, max((limit // max(hi, 1)).bit_length(), 1)))
    steepest = limit // max(-lo, 1)
    if rng.integers(3):
        steepest = min(steepest, 1 << shift)
    return rng.integers(-steepest, steepest, channels, endpoint=True), min(shift, 40)


def _prelu(rng: np.random.Generator, x: TensorType) -> tuple[Op, dict[str, Array]]:
    slopes, shift = _slopes(rng, x.lo, x.hi, x.shape[0], (1 << 31) - 1)
    return PRelu(shift), {"slope": slopes}


def _rprelu(rng: np.random.Generator, x: TensorType) -> tuple[Op, dict[str, Array]]:
    reach = int(rng.choice([3, 200, max(abs(x.lo), abs(x.hi), 1)]))
    before, after = (rng.integers(-reach, reach, x.shape[0], endpoint=True) for _ in range(2))
    slopes, shift = _slopes(rng, x.lo - reach, x.hi + reach, x.shape[0], max((1 << 31) - 1 - reach, 0))
    return RPRelu(shift), {"before": before, "slope": slopes, "after": after}


ACTIVATIONS = (_sign, _clip, _add, _prelu, _rprelu)


def conv_graph(rng: np.random.Generator) -> Graph:
    """Elements and weights of every width: 16-bit, 32-bit and 64-bit sums."""
    names = ["uint1", "uint4", "uint4", "uint8", "int4", "int8", "int16", "uint16", "bipolar"]
    return convolution(rng, names, ["int1", "int2", "int4", "int4", "int8", "int8", "int12"], [1, 2, 3, 8, 17, 40])


def low_bit_graph(rng: np.random.Generator) -> Graph:
    """Binary and ternary weights and a few bits, of which 8 bits hold several products; some sums need 32 bits."""
    if rng.integers(5) == 0:
        return convolution(rng, ["uint4"], ["int2"], [300])
    names = ["uint1", "uint2", "uint3", "int2", "int3", "bipolar", "uint4"]
    return convolution(rng, names, ["bipolar", "int2", "int2", "int3"], [1, 2, 3, 5, 8, 17, 40, 130])


def convolution(
    rng: np.random.Generator, elements: Sequence[str], weight_types: Sequence[str], channels: Sequence[int]
) -> Graph:
    """Conv2d [+ 2x2 max-pool] [+ map]: every stride, padding and grouping; channels around the vector lengths."""
    kh, kw = [(1, 1), (3, 3), (3, 3), (5, 5), (1, 3), (2, 2)][rng.integers(6)]
    style = rng.integers(5)
    groups, inner, outer = (
        1,
        int(rng.choice(channels)),
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
    x = operand(rng, (inner * groups, h, w), elements)
    dtype = DType.parse(str(rng.choice(weight_types)))
    weights = values(rng, TensorType.of_dtype((outer * groups, inner, kh, kw), dtype))
    constants: dict[str, Array] = {"w": weights}
    nodes = [Node("conv", op, ("x", "w"))]
    graph = Graph("case", {"x": x}, tuple(nodes), ("conv",), constants).verify()
    sums = graph.types["conv"]
    if rng.integers(3) == 0 and min(sums.shape[1:]) >= 2:
        nodes.append(Node("pool", MaxPool2d(), ("conv",)))
    return with_map(rng, x, nodes, constants)


def with_map(rng: np.random.Generator, x: TensorType, nodes: list[Node], constants: dict[str, Array]) -> Graph:
    """The nodes with a map, or nothing, behind the last."""
    sums = Graph("case", {"x": x}, tuple(nodes), (nodes[-1].name,), constants).types[nodes[-1].name]
    mapping = random_map(rng, sums.shape[0], sums) if rng.integers(3) else random_activation(rng, sums)
    if mapping:
        constants |= mapping[1]
        nodes.append(Node("map", mapping[0], (nodes[-1].name, *mapping[1])))
    return Graph("case", {"x": x}, tuple(nodes), (nodes[-1].name,), constants).verify()


ELEMENTS = ["uint1", "uint4", "uint8", "int8", "uint12", "int16", "uint16", "int24", "bipolar"]


def fullest_sums() -> list[Case]:
    """Low-bit convolutions whose every product is the same extreme, in all taps or in the centre alone, where they
    follow one another in the kernels' order: sums end where their widths do."""
    rng = np.random.default_rng(0)
    made: list[Case] = []
    for outputs in (16, 33, 64, 130):
        for weight, element, bits in ((-2, 15, 4), (-4, 7, 3), (1, 15, 4), (-2, 3, 2), (1, 3, 2), (-1, 1, 1)):
            shape = (300 if weight * element == -30 else 70, 4, 3)  # so many that 16 bits are flushed twice
            x = TensorType.of_dtype(shape, DType("uint", bits))
            everywhere = np.full((outputs, shape[0], 3, 3), weight)
            centre = np.zeros_like(everywhere)
            centre[..., 1, 1] = weight
            for w in (everywhere, centre):
                graph = Graph("case", {"x": x}, (Node("y", Conv2d(), ("x", "w")),), ("y",), {"w": w}).verify()
                made.append(build(graph, rng, {"x": np.full(shape, element)}))
    return made


def fullest_stretches() -> list[Case]:
    """Random weights under elements that take one channel's sum to an end of what was proven: a stretch between two
    flushes, counted in any other order than the proof's, would leave its width."""
    rng = np.random.default_rng(1)
    made: list[Case] = []
    for outputs in (16, 33, 64, 130):
        for weight_bits, element in ((2, "uint2"), (2, "uint4"), (3, "uint3"), (2, "int3"), (8, "uint4"), (5, "int6")):
            x = TensorType.of_dtype((90, 3, 3), DType.parse(element))
            w = rng.integers(-(1 << weight_bits - 1), 1 << weight_bits - 1, (outputs, 90, 3, 3))
            graph = Graph("case", {"x": x}, (Node("y", Conv2d(), ("x", "w")),), ("y",), {"w": w}).verify()
            proof = accumulator(w, x.lo, x.hi)
            products = Products.of(w, x.lo, x.hi)
            starts = np.arange(0, products.count, proof.flush8 or min(proof.flush, products.count))
            low, high = (np.add.reduceat(each, starts, axis=1) for each in (products.least, products.most))
            least, most = int(low.min(1).argmin()), int(high.max(1).argmax())
            made.append(build(graph, rng, {"x": np.where(w[most] > 0, x.hi, x.lo)}))
            made.append(build(graph, rng, {"x": np.where(w[least] > 0, x.lo, x.hi)}))
    return made


def gated_graph(rng: np.random.Generator) -> Graph:
    """GatedConv2d [+ 2x2 max-pool] [+ map]: thresholds that open always, sometimes and never."""
    k = int(rng.choice([1, 3, 3, 2]))
    groups, inner, outer = int(rng.choice([1, 1, 2, 17])), int(rng.choice([1, 3, 16, 40])), int(rng.choice([1, 3, 33]))
    if groups == 17:
        inner = outer = 1
    h, w = (int(v) for v in rng.integers(k, 9, 2))
    op = GatedConv2d(
        (int(rng.integers(1, 3)), int(rng.integers(1, 3))), tuple(int(v) for v in rng.integers(0, 3, 4)), groups
    )
    dtype = DType.parse(str(rng.choice(["uint2", "uint2", "uint8", "int3", "int16"])))
    x = TensorType((inner * groups, h, w), dtype, 0, 3)
    taps = inner * k * k
    constants: dict[str, Array] = {
        "w": values(rng, TensorType.of_dtype((outer * groups, inner, k, k), DType("bipolar", 1))),
        "t": rng.integers(-2 * taps - 2, 2 * taps + 2, outer * groups, endpoint=True),
    }
    if rng.integers(8) == 0:
        constants["t"][0] = int(rng.choice([-(1 << 40), 1 << 40]))
    nodes = [Node("conv", op, ("x", "w", "t"))]
    sums = Graph("case", {"x": x}, tuple(nodes), ("conv",), constants).verify().types["conv"]
    if rng.integers(3) == 0 and min(sums.shape[1:]) >= 2:
        nodes.append(Node("pool", MaxPool2d(), ("conv",)))
    return with_map(rng, x, nodes, constants)


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
    return unary(op, x)


CHANNELS = [1, 3, 16, 17, 33, 70, 130]


def unary(op: Op, x: TensorType, constants: dict[str, Array] | None = None) -> Graph:
    """One node on one input."""
    return Graph("case", {"x": x}, (Node("y", op, ("x", *(constants or {}))),), ("y",), constants or {}).verify()


def shape_of(rng: np.random.Generator, most: int = 6) -> tuple[int, int, int]:
    """Odd and even extents, single pixels and channels, channels around the vector lengths."""
    return int(rng.choice(CHANNELS)), *(int(v) for v in rng.integers(1, most, 2, endpoint=True))  # type: ignore[return-value]


def activation_graph(
    make: Callable[[np.random.Generator, TensorType], tuple[Op, dict[str, Array]]],
) -> Callable[[np.random.Generator], Graph]:
    def graph(rng: np.random.Generator) -> Graph:
        shape = shape_of(rng, 4) if rng.integers(4) else (int(rng.choice(CHANNELS)),)
        x = operand(rng, shape, ["uint1", "uint4", "uint8", "int8", "uint16", "int16", "int24", "int32", "bipolar"])
        return unary(*_node(make(rng, x), x))

    return graph


def _node(made: tuple[Op, dict[str, Array]], x: TensorType) -> tuple[Op, TensorType, dict[str, Array]]:
    return made[0], x, made[1]


def pair_graph(op: Op, types: Sequence[str]) -> Callable[[np.random.Generator], Graph]:
    """Two tensors, or one and a constant on either side, or one with itself; gates where the operator takes them."""

    def graph(rng: np.random.Generator) -> Graph:
        shape = shape_of(rng, 5)
        shapes = [shape, (shape[0], 1, 1), (1, *shape[1:])] if isinstance(op, Multiply) else [shape]
        a, b = operand(rng, shape, types), operand(rng, shapes[rng.integers(len(shapes))], types)
        style = rng.integers(5)
        if style == 0:
            return Graph("case", {"a": a}, (Node("y", op, ("a", "a")),), ("y",)).verify()
        node = Node("y", op, ("a", "b"))
        if style == 1:
            return Graph("case", {"a": a}, (node,), ("y",), {"b": values(rng, b)}).verify()
        if style == 2:
            return Graph("case", {"b": b}, (node,), ("y",), {"a": values(rng, a)}).verify()
        return Graph("case", {"a": a, "b": b}, (node,), ("y",)).verify()

    return graph


def pool_graph(kind: type[MaxPool2d] | type[SumPool2d]) -> Callable[[np.random.Generator], Graph]:
    """Any window, stride and padding that the operator takes; one in four pools the whole picture."""

    def graph(rng: np.random.Generator) -> Graph:
        c, h, w = shape_of(rng, 9)
        x = operand(rng, (c, h, w), [*ELEMENTS, "int28"])
        if rng.integers(4) == 0:
            return unary(kind((h, w), (1, 1)), x)
        kernel, stride = (tuple(int(v) for v in rng.integers(1, 5, 2, endpoint=True)) for _ in range(2))
        padding = tuple(int(rng.integers(0, k)) if rng.integers(3) else 0 for k in (*kernel, *kernel))
        return unary(kind(kernel, stride, padding), x)  # type: ignore[arg-type]

    return graph


def depth_to_space_graph(rng: np.random.Generator) -> Graph:
    block = int(rng.integers(1, 4))
    c, h, w = shape_of(rng, 4)
    x = operand(rng, (c * block * block, h, w), ELEMENTS)
    return unary(DepthToSpace(block, "crd" if rng.integers(2) else "dcr"), x)


def upsample_graph(rng: np.random.Generator) -> Graph:
    return unary(Upsample(int(rng.integers(1, 5))), operand(rng, shape_of(rng), ELEMENTS))


def resize_graph(rng: np.random.Generator) -> Graph:
    """Smaller, larger, to one pixel, from one pixel."""
    x = operand(rng, shape_of(rng, 12), ["uint1", "uint4", "uint8", "uint8"])
    height, width = (int(rng.choice([1, x.shape[k], rng.integers(1, 20)])) for k in (1, 2))
    return unary(Resize(height, width), x)


GRAPHS: Mapping[str, Callable[[np.random.Generator], Graph]] = {
    "conv": conv_graph,
    "low_bits": low_bit_graph,
    "map": map_graph,
    "spatial": spatial_graph,
    "gated": gated_graph,
    "add": pair_graph(Add(), ["uint4", "int8", "uint8", "uint12", "int16", "uint16", "int24", "int31", "bipolar"]),
    "multiply": pair_graph(Multiply(), ["uint1", "int8", "uint8", "uint12", "int16", "uint16", "int24", "bipolar"]),
    "add_constant": activation_graph(_add),
    "clip": activation_graph(_clip),
    "prelu": activation_graph(_prelu),
    "rprelu": activation_graph(_rprelu),
    "sign": activation_graph(_sign),
    "max_pool": pool_graph(MaxPool2d),
    "sum_pool": pool_graph(SumPool2d),
    "depth_to_space": depth_to_space_graph,
    "upsample": upsample_graph,
    "resize": resize_graph,
}


def copy_case(rng: np.random.Generator) -> Case:
    """One operand of a Concat, copied into the joined tensor."""
    x = operand(rng, (int(rng.choice([1, 5, 16])), 3, 2), ELEMENTS)
    other = operand(rng, (int(rng.integers(1, 9)), 3, 2), ELEMENTS)
    y = Graph("case", {"x": x, "o": other}, (Node("y", Concat(), ("x", "o")),), ("y",)).types["y"]
    data = values(rng, x)
    y_type = TensorType((x.shape[0], 3, 2), y.dtype, y.lo, y.hi)
    parameters = (TYPES.index(kernel_type(x)), TYPES.index(kernel_type(y)), y.shape[0], 6, x.shape[0])
    return Case(COPY, parameters, (Plain().pack(data, x),), strided(data, y_type, y.shape[0]), f"{x} into {y}")


def cases(
    kind: str, count: int, seed: int, graphs: Mapping[str, Callable[[np.random.Generator], Graph]] = GRAPHS
) -> list[Case]:
    """``count`` cases that the kernels take."""
    rng = np.random.default_rng(seed)
    if kind == "copy":
        return [copy_case(rng) for _ in range(count)]
    made: list[Case] = []
    while len(made) < count:
        try:
            made.append(build(graphs[kind](rng), rng))
        except (GraphError, OperatorError):
            continue  # sums or products beyond 32 and 64 bits: the verifier or the engine refuses them
    return made
