"""Small graphs for the generators: single layers drawn at random, and shapes of data flow written by hand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ir.graph import Graph, Node
from ir.ops import Concat, Conv2d, MaxPool2d, MultiplyShift, Op, SpaceToDepth, Thresholds
from ir.types import Array, DType, TensorType

Rng = np.random.Generator


def activations(shape: tuple[int, int, int], bits: int, signed: bool = False) -> TensorType:
    return TensorType.of_dtype(shape, DType("int" if signed else "uint", bits))


def weights(rng: Rng, shape: tuple[int, ...], bits: int) -> Array:
    """Signed weights of the width's whole range, the most negative one and the largest surely among them."""
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    values = rng.integers(low, high, shape, endpoint=True)
    values.flat[0], values.flat[-1] = low, high
    return values


def multiply_shift(rng: Rng, sums: TensorType, bits: int, signed: bool = False) -> tuple[MultiplyShift, Array, Array]:
    """A map that spreads the sums over the output's levels and clips some; multipliers of both signs and zero."""
    out = DType("int" if signed else "uint", bits)
    channels, shift = sums.shape[0], int(rng.integers(4, 17))
    step = (out.hi - out.lo) * 2.0**shift / max(sums.hi - sums.lo, 1)
    mul = np.rint(step * rng.uniform(0.5, 4, channels)).astype(np.int64) + 1
    mul[rng.random(channels) < 0.3] *= -1
    mul[rng.random(channels) < 0.1] = 0
    add = rng.integers(-(1 << (shift + bits)), 1 << (shift + bits), channels)
    return MultiplyShift(shift, out.lo, out.hi), mul, add


def thresholds(rng: Rng, sums: TensorType, levels: int) -> tuple[Thresholds, Array, Array]:
    """Ascending tables within and just beside the range of the sums, some channels falling."""
    table = np.sort(rng.integers(sums.lo - 1, sums.hi + 2, (sums.shape[0], levels)), axis=1)
    return Thresholds(int(rng.integers(-3, 1))), table, rng.integers(0, 2, sums.shape[0])


@dataclass
class Sketch:
    """A graph in the making; each method appends a node and gives its name."""

    inputs: dict[str, TensorType]
    rng: Rng

    def __post_init__(self) -> None:
        self.nodes: list[Node] = []
        self.constants: dict[str, Array] = {}

    def add(self, name: str, op: Op, *sources: str, **constants: Array) -> str:
        named = {f"{name}.{key}": value for key, value in constants.items()}
        self.constants |= named
        self.nodes.append(Node(name, op, (*sources, *named)))
        return name

    def type_of(self, tensor: str) -> TensorType:
        return self.graph("sketch", tensor).types[tensor]

    def conv(
        self,
        name: str,
        source: str,
        outputs: int,
        kernel: int = 3,
        bits: int = 4,
        padding: tuple[int, int, int, int] | None = None,
        values: Array | None = None,
    ) -> str:
        half = (kernel - 1) // 2
        shape = (outputs, self.type_of(source).shape[0], kernel, kernel)
        w = weights(self.rng, shape, bits) if values is None else values
        return self.add(name, Conv2d(padding=(half,) * 4 if padding is None else padding), source, w=w)

    def scale(self, name: str, source: str, bits: int = 4, signed: bool = False) -> str:
        op, mul, add = multiply_shift(self.rng, self.type_of(source), bits, signed)
        return self.add(name, op, source, mul=mul, add=add)

    def compare(self, name: str, source: str, levels: int = 15) -> str:
        op, table, rising = thresholds(self.rng, self.type_of(source), levels)
        return self.add(name, op, source, table=table, rising=rising)

    def pool(self, name: str, source: str, size: int = 2) -> str:
        return self.add(name, MaxPool2d((size, size), (size, size)), source)

    def block(self, name: str, source: str, size: int = 2) -> str:
        return self.add(name, SpaceToDepth(size), source)

    def concat(self, name: str, *sources: str) -> str:
        return self.add(name, Concat(), *sources)

    def graph(self, name: str, *outputs: str) -> Graph:
        return Graph(name, self.inputs, tuple(self.nodes), outputs, self.constants)


def random_layer(seed: int, depthwise: bool = False) -> Graph:
    """One convolution of random widths, signs, kernel, stride, groups, padding and extents, then a random
    requantisation or none."""
    rng = np.random.default_rng(seed)
    height, width = (int(k) for k in rng.choice([1, 2, 3, 3, 3, 4, 5, 7], 2))
    if rng.random() < 0.75:
        height = width
    elif rng.random() < 0.3:
        height, width = 10, 4
    stride = (1, 1) if rng.random() < 0.6 else tuple(int(s) for s in rng.integers(1, 3, 2))
    groups = int(rng.integers(1, 7)) if depthwise else int(rng.choice([1, 1, 1, 1, 2, 3]))
    channels, outputs = (1, int(rng.choice([1, 1, 2]))) if depthwise else (int(c) for c in rng.integers(1, 7, 2))
    sides = (height, width, height, width)
    padding = tuple(int(rng.integers(0, k)) for k in sides) if rng.random() < 0.7 else (0, 0, 0, 0)
    rows = int(rng.integers(max(1, height - padding[0] - padding[2]), height + 5))
    columns = int(rng.integers(max(1, width - padding[1] - padding[3]), width + 6))
    x = activations((channels * groups, rows, columns), int(rng.integers(1, 9)), bool(rng.integers(2)))
    if rng.random() < 0.3:  # a range that does not fill its type, and may leave zero out
        low, high = sorted(rng.integers(x.lo, x.hi, 2, endpoint=True).tolist())
        x = TensorType(x.shape, x.dtype, low, high)
    sketch = Sketch({"x": x}, rng)
    w = weights(rng, (outputs * groups, channels, height, width), int(rng.integers(1, 9)))
    sketch.add("conv", Conv2d((stride[0], stride[1]), padding, groups), "x", w=w)
    form = rng.integers(3)
    if form == 0:
        last = "conv"
    elif form == 1:
        last = sketch.scale("act", "conv", int(rng.integers(1, 9)), bool(rng.integers(2)))
    else:
        last = sketch.compare("act", "conv", int(rng.integers(1, 20)))
    return sketch.graph(f"layer{seed}", last).verify()
