"""Seeded float32 layers, as cases for driver.c, with the reference in float64 and how far a kernel may be from it.

The bound is the worst case for one layer, with u = 2^-24: ``(K + 3) u (sum |w x| + |b|)`` for a sum of K products and a
bias in any order (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1), what hck_f32.h states for the
others. Maxima, bounds and moves pass it on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod

import numpy as np
from cpu_cases import Case
from cpu_encode import FILL, TYPES

from cpu_backend.emit.base import pixels_of
from cpu_backend.emit.convolution import BLOCK, is_depthwise
from cpu_backend.emit.floats import bias_of, conv_fields, pack_weights, pad_fields, pair_fields, weights_of
from cpu_backend.emit.pooling import pool_fields
from cpu_backend.layers import Layer, layers_of
from cpu_backend.requantise import kernel_type
from ir.executor import execute
from ir.graph import Graph, Node
from ir.layouts import Plain, pixels_first
from ir.ops import (
    Add,
    Affine,
    AveragePool2d,
    Clip,
    Conv2d,
    MaxPool2d,
    Multiply,
    Op,
    Pad,
    PRelu,
    Reshape,
    Sigmoid,
    Softmax,
)
from ir.types import Array, DType, TensorType

UNIT = 2.0**-24
CONV, MAP, ADD, MULTIPLY, MAX_POOL, MEAN_POOL, PAD, FLATTEN, SIGMOID, SOFTMAX = range(10)
"""As in driver_f32.c."""
FLOAT32 = DType("float", 32)
CLIPS = (Clip(0.0, float("inf")), Clip(0.0, 6.0), Clip(-1.0, 1.0), Clip(float("-inf"), 0.5))
Made = tuple[Graph, dict[str, Array]]


@dataclass(frozen=True, eq=False)
class FloatCase:
    """A case, the values (H, W, C) it has to be near, and how near."""

    case: Case
    expected: Array
    allowed: Array

    def check(self, data: bytes) -> None:
        rows = np.frombuffer(data, np.float32).reshape(-1, len(data) // 4 // (self.expected.size // self.channels))
        got = rows[:, : self.channels].reshape(self.expected.shape)
        beyond = ~(np.abs(got - self.expected) <= self.allowed)  # a NaN is beyond
        assert not beyond.any(), (
            f"{self.case.label}: {int(beyond.sum())} of {beyond.size} beyond the bound, the first at "
            f"{np.argwhere(beyond)[0]}: {got[beyond][0]} for {self.expected[beyond][0]} +- {self.allowed[beyond][0]}"
        )
        assert (np.ascontiguousarray(rows[:, self.channels :]).view(np.uint8) == FILL).all(), "wrote between pixels"

    @property
    def channels(self) -> int:
        return int(self.expected.shape[-1])


def floats(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Of very different magnitudes, zeros among them."""
    scale = np.exp2(rng.integers(-12, 5, shape)) * (rng.integers(0, 8, shape) > 0)
    return np.asarray(rng.standard_normal(shape) * scale, np.float32)


def ended(rng: np.random.Generator, nodes: list[Node], channels: int, constants: dict[str, Array], pool: bool) -> None:
    """Appends what the kernel of a layer does behind its first node: a pool and a bound or slopes, in either order."""
    ends: list[tuple[Op, tuple[str, ...]]] = []
    style = int(rng.integers(4))
    if style == 1:
        constants["slope"] = floats(rng, (channels,))
        ends = [(PRelu(), ("slope",))]
    elif style > 1:
        ends = [(CLIPS[int(rng.integers(len(CLIPS)))], ())]
    if pool:
        ends.insert(0 if style == 1 else int(rng.integers(len(ends) + 1)), (MaxPool2d(), ()))
    for number, (op, more) in enumerate(ends):
        nodes.append(Node(f"end{number}", op, (nodes[-1].name, *more)))


def conv_graph(rng: np.random.Generator) -> Made:
    kernel = [(1, 1), (3, 3), (5, 5), (3, 3), (1, 3), (2, 2)][rng.integers(6)]
    height, width = (int(v) for v in rng.integers(5, 14, 2))
    if rng.integers(5) == 0:
        kernel = (height, width) = (1, 1) if rng.integers(2) else (2, 3)  # fully connected
    groups = int(rng.choice([1, 1, 1, 2, 3, 17, 40]))
    inputs = groups if groups > 3 else groups * int(rng.choice([1, 2, 3, 8, 17, 40]))
    outputs = groups if groups > 3 and rng.integers(4) else groups * int(rng.choice([1, 3, 7, 8, 16, 17, 33, 70]))
    stride = (int(rng.integers(1, 4)), int(rng.integers(1, 4))) if rng.integers(2) else (1, 1)
    padding = tuple(int(v) for v in rng.integers(0, 3, 4))
    constants = {"w": floats(rng, (outputs, inputs // groups, *kernel))}
    operands = ["x", "w"]
    if rng.integers(3):
        constants["b"] = floats(rng, (outputs,))
        operands.append("b")
    nodes = [Node("conv", Conv2d(stride, padding, groups), tuple(operands))]  # type: ignore[arg-type]
    x = TensorType((inputs, height, width), FLOAT32)
    sums = Graph("case", {"x": x}, tuple(nodes), ("conv",), constants).types["conv"]
    ended(rng, nodes, outputs, constants, bool(rng.integers(3) == 0 and min(sums.shape[1:]) >= 2))
    return _graph(nodes, constants, {"x": x}), {"x": floats(rng, x.shape)}


def map_graph(rng: np.random.Generator) -> Made:
    shape = _shape(rng)
    constants: dict[str, Array] = {}
    x = TensorType(shape, FLOAT32)
    nodes: list[Node] = []
    if rng.integers(2):
        constants = {"scale": floats(rng, shape[:1]), "offset": floats(rng, shape[:1])}
        nodes = [Node("map", Affine(), ("x", "scale", "offset"))]
        if rng.integers(2):
            x = TensorType.of_dtype(shape, DType.parse(str(rng.choice(["uint8", "int8", "int16"]))))
        ended(rng, nodes, shape[0], constants, False)
    elif rng.integers(2):
        nodes = [Node("map", CLIPS[int(rng.integers(len(CLIPS)))], ("x",))]
    else:
        constants = {"slope": floats(rng, shape[:1])}
        nodes = [Node("map", PRelu(), ("x", "slope"))]
    integers = rng.integers(x.lo, x.hi + 1, shape) if x.dtype.is_integer else None
    return _graph(nodes, constants, {"x": x}), {"x": floats(rng, shape) if integers is None else integers}


def pair_graph(rng: np.random.Generator) -> Made:
    shape = _shape(rng)
    op: Op = Multiply() if rng.integers(2) else Add()
    other = shape
    if isinstance(op, Multiply):
        other = (shape, (shape[0], 1, 1), (1, *shape[1:]))[rng.integers(3)]
    constants: dict[str, Array] = {}
    nodes = [Node("pair", op, ("x", "y"))]
    ended(rng, nodes, shape[0], constants, False)
    types = {"x": TensorType(shape, FLOAT32), "y": TensorType(other, FLOAT32)}
    return _graph(nodes, constants, types), {"x": floats(rng, shape), "y": floats(rng, other)}


def pool_graph(rng: np.random.Generator) -> Made:
    shape = _shape(rng)
    kernel = (int(rng.integers(1, shape[1] + 1)), int(rng.integers(1, shape[2] + 1)))
    stride = (int(rng.integers(1, 4)), int(rng.integers(1, 4)))
    padding = tuple(int(rng.integers(0, min(3, k))) for k in (*kernel, *kernel))
    mean = AveragePool2d(kernel, stride, padding, bool(rng.integers(2)))  # type: ignore[arg-type]
    op = mean if rng.integers(2) else MaxPool2d(kernel, stride, padding)  # type: ignore[arg-type]
    return _one(rng, op, shape)


def pad_graph(rng: np.random.Generator) -> Made:
    extent = tuple(int(v) for v in rng.integers(0, 3, 4))
    front, behind = (int(v) for v in rng.integers(0, 20, 2))
    return _one(rng, Pad(extent, (front, behind)), _shape(rng))  # type: ignore[arg-type]


def other_graph(rng: np.random.Generator) -> Made:
    shape = _shape(rng)
    op: Op = (Reshape((prod(shape), 1, 1)), Sigmoid(), Softmax())[rng.integers(3)]
    return _one(rng, op, shape)


def _shape(rng: np.random.Generator) -> tuple[int, int, int]:
    return int(rng.choice([1, 3, 8, 17, 40, 130])), int(rng.integers(1, 9)), int(rng.integers(1, 9))


def _one(rng: np.random.Generator, op: Op, shape: tuple[int, int, int]) -> Made:
    return _graph([Node("y", op, ("x",))], {}, {"x": TensorType(shape, FLOAT32)}), {"x": floats(rng, shape)}


def _graph(nodes: list[Node], constants: dict[str, Array], inputs: Mapping[str, TensorType]) -> Graph:
    return Graph("case", inputs, tuple(nodes), (nodes[-1].name,), constants).verify()


GRAPHS: Mapping[str, Callable[[np.random.Generator], Made]] = {
    "conv": conv_graph,
    "map": map_graph,
    "pair": pair_graph,
    "pool": pool_graph,
    "pad": pad_graph,
    "other": other_graph,
}


def cases(kind: str, count: int, seed: int) -> list[FloatCase]:
    rng = np.random.default_rng([seed, *kind.encode()])
    made: list[FloatCase] = []
    while len(made) < count:
        try:
            graph, frame = GRAPHS[kind](rng)
        except ValueError:  # a kernel larger than the padded picture
            continue
        made.append(_case(rng, graph, frame))
    return made


def _case(rng: np.random.Generator, graph: Graph, frame: dict[str, Array]) -> FloatCase:
    (layer,) = layers_of(graph)
    values = execute(graph, frame)
    expected = pixels_first(values[layer.name])
    one_row = isinstance(layer.first.op, Reshape)
    stride = layer.y.shape[0] + (0 if one_row else int(rng.choice([0, 0, 5])))
    operator, numbers, blobs = ENCODE[type(layer.first.op)](layer, stride)
    data = {name: Plain().pack(value, graph.inputs[name]) for name, value in frame.items()}
    bounds, slope = b"", b""
    if clip := layer.find(Clip):
        assert isinstance(clip.op, Clip)
        bounds = np.array([clip.op.lo, clip.op.hi], np.float32).tobytes()
    if bent := layer.find(PRelu):
        slope = bent.operands[1].constant.astype(np.float32).tobytes()
    second = data.get("y", blobs[0])
    case = Case(
        operator,
        (stride, *numbers),
        (data["x"], second, blobs[1], blobs[2], bounds, slope, blobs[3]),
        bytes(4 * stride * (expected.size // expected.shape[-1])),
        f"{layer.title} {[n.op for n in graph.nodes]}: {layer.x} -> {layer.y}, stride {stride}",
    )
    return FloatCase(case, expected, pixels_first(allowed(layer, values)))


def allowed(layer: Layer, values: Mapping[str, Array]) -> Array:
    """The bound of the module's docstring, element by element."""
    first = layer.first
    operands = [values[i] if i in values else layer.first.graph.constants[i] for i in first.node.inputs]
    bound = BOUNDS.get(type(first.op), _exact)(first.op, operands, values[first.name])
    for view in layer.nodes[1:]:
        if isinstance(view.op, MaxPool2d):
            bound = view.op.evaluate([bound])
        elif isinstance(view.op, PRelu):
            slope = np.abs(view.operands[1].constant.astype(np.float64)).reshape(-1, *[1] * (bound.ndim - 1))
            bound = np.maximum(1, slope) * bound + UNIT * np.abs(values[view.name])
    return bound + np.finfo(np.float32).tiny


def _conv_bound(op: Op, x: list[Array], y: Array) -> Array:
    magnitudes = op.evaluate([np.abs(v.astype(np.float64)) for v in x])
    return np.asarray((x[1][0].size + 3) * UNIT * magnitudes)


def _mean_bound(op: Op, x: list[Array], y: Array) -> Array:
    assert isinstance(op, AveragePool2d)
    return np.asarray((op.kernel[0] * op.kernel[1] + 3) * UNIT * op.evaluate([np.abs(x[0])]))


def _map_bound(op: Op, x: list[Array], y: Array) -> Array:
    return 3 * UNIT * op.evaluate([np.abs(v.astype(np.float64)) for v in x])


def _rounded(op: Op, x: list[Array], y: Array) -> Array:
    return np.asarray(UNIT * np.abs(y))


def _sigmoid_bound(op: Op, x: list[Array], y: Array) -> Array:
    return np.asarray(8 * UNIT * y)


def _softmax_bound(op: Op, x: list[Array], y: Array) -> Array:
    """The rounding of x - max counts, too."""
    return np.asarray((8 + y.shape[0] + 2 * np.ptp(x[0], axis=0)) * UNIT * y)


def _exact(op: Op, x: list[Array], y: Array) -> Array:
    return np.zeros(y.shape)


BOUNDS: Mapping[type[Op], Callable[[Op, list[Array], Array], Array]] = {
    Add: _rounded,
    Affine: _map_bound,
    AveragePool2d: _mean_bound,
    Conv2d: _conv_bound,
    Multiply: _rounded,
    PRelu: _rounded,
    Sigmoid: _sigmoid_bound,
    Softmax: _softmax_bound,
}

Encoded = tuple[int, tuple[int, ...], tuple[bytes, bytes, bytes, bytes]]


def _encode_conv(layer: Layer, stride: int) -> Encoded:
    op, w = layer.first.op, weights_of(layer)
    assert isinstance(op, Conv2d)
    weights = pack_weights(w, op.groups, is_depthwise(layer)).tobytes()
    beside, scratch = bytes(4 * w.shape[3] * layer.x.shape[0]), bytes(8 * BLOCK * w.shape[2] * w.shape[3])
    return CONV, tuple(conv_fields(layer).values()), (weights, bias_of(layer).tobytes(), beside, scratch)


def _encode_map(layer: Layer, stride: int) -> Encoded:
    numbers = (TYPES.index(kernel_type(layer.x)), *pixels_of(layer.x))
    constants = [b"", b""]
    if isinstance(layer.first.op, Affine):
        constants = [operand.constant.tobytes() for operand in layer.first.operands[1:]]
    return MAP, numbers, (constants[0], constants[1], b"", b"")


def _encode_pair(layer: Layer, stride: int) -> Encoded:
    operator = ADD if isinstance(layer.first.op, Add) else MULTIPLY
    return operator, tuple(pair_fields(layer, stride).values()), (b"", b"", b"", b"")


def _encode_pool(layer: Layer, stride: int) -> Encoded:
    operator = MAX_POOL if isinstance(layer.first.op, MaxPool2d) else MEAN_POOL
    return operator, tuple(n for n in pool_fields(layer).values() if isinstance(n, int)), (b"", b"", b"", b"")


def _encode_pad(layer: Layer, stride: int) -> Encoded:
    return PAD, tuple(pad_fields(layer).values()), (b"", b"", b"", b"")


def _encode_other(layer: Layer, stride: int) -> Encoded:
    operator = {Reshape: FLATTEN, Sigmoid: SIGMOID, Softmax: SOFTMAX}[type(layer.first.op)]
    return operator, pixels_of(layer.x), (b"", b"", b"", b"")


ENCODE: Mapping[type[Op], Callable[[Layer, int], Encoded]] = {
    Add: _encode_pair,
    Affine: _encode_map,
    AveragePool2d: _encode_pool,
    Clip: _encode_map,
    Conv2d: _encode_conv,
    Reshape: _encode_other,
    MaxPool2d: _encode_pool,
    Multiply: _encode_pair,
    PRelu: _encode_map,
    Pad: _encode_pad,
    Sigmoid: _encode_other,
    Softmax: _encode_other,
}
