"""Small networks of the operators beside the plain convolution chain, seeded: shapes, weights and ranges vary."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from ir.graph import Graph, Node
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
from ir.types import Array, DType, TensorType

SAME = (1, 1, 1, 1)


class Sketch:
    """Collects nodes and their constants; every method returns the name of what it added."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[Node] = []
        self.constants: dict[str, Array] = {}

    def node(self, name: str, op: Op, *inputs: str, **constants: Array) -> str:
        self.constants |= {f"{name}.{key}": value for key, value in constants.items()}
        self.nodes.append(Node(name, op, (*inputs, *(f"{name}.{key}" for key in constants))))
        return name

    def integers(self, lo: int, hi: int, *shape: int) -> Array:
        return self.rng.integers(lo, hi, shape, endpoint=True)

    def signs(self, *shape: int) -> Array:
        return self.rng.choice([-1, 1], shape)

    def conv(self, name: str, x: str, o: int, i: int, k: int = 3) -> str:
        padding = SAME if k == 3 else (0, 0, 0, 0)
        return self.node(name, Conv2d(padding=padding), x, w=self.integers(-7, 7, o, i, k, k))

    def scale(self, name: str, x: str, c: int, lo: int = 0, hi: int = 15) -> str:
        mul, add = self.integers(1, 300, c), self.integers(-4000, 4000, c)
        return self.node(name, MultiplyShift(9, lo, hi), x, mul=mul, add=add)

    def graph(self, name: str, inputs: Mapping[str, TensorType], *outputs: str) -> Graph:
        return Graph(name, dict(inputs), tuple(self.nodes), outputs, self.constants).verify()


def residual(seed: int) -> Graph:
    """Two blocks with their sums, one of which is an output; a gate of its channels; a global pool; a constant map."""
    s = Sketch(seed)
    c, h, w = int(s.rng.integers(2, 40)), 7, 5
    x = TensorType.of_dtype((c, h, w), DType("uint", 4))
    one = s.scale("one", s.conv("conv1", "x", c, c), c)
    two = s.scale("two", s.conv("conv2", one, c, c), c, -8, 7)
    total = s.node("sum", Add(), two, "x")
    relu = s.node("relu", Clip(0, 1 << 40), total)
    three = s.scale("three", s.conv("conv3", relu, c, c, 1), c, -128, 127)
    last = s.node("last", Add(), relu, three)
    doubled = s.node("doubled", Add(), last, last)
    position = s.node("position", Add(), doubled, y=s.integers(-300, 300, c, h, w))
    shifted = s.node("shifted", Add(), position, y=s.integers(-9, 9, c))
    summed = s.node("summed", SumPool2d((h, w), (1, 1)), shifted)
    gate = s.node("gate", Thresholds(-1), summed, t=np.sort(s.integers(-4000, 4000, c, 3)), r=s.integers(0, 1, c))
    gated = s.node("gated", Multiply(), shifted, gate)
    pixel = s.conv("pixel", gated, 1, c, 1)
    masked = s.node("masked", Multiply(), "x", s.node("mask", Clip(-2, 3), pixel))
    return s.graph("residual", {"x": x}, last, masked)


def prelu(seed: int) -> Graph:
    """PReLU and RPReLU behind convolutions, behind their pools, and on their own; signed activations; padded pools."""
    s = Sketch(seed)
    c, o = int(s.rng.integers(1, 20)), int(s.rng.integers(2, 70))
    x = TensorType.of_dtype((c, 9, 11), DType("int", 8))
    bent = s.node("bent", PRelu(6), s.conv("conv1", "x", o, c), slope=s.integers(-20, 64, o))
    act = s.scale("act", bent, o, -8, 7)
    pooled = s.node("pooled", MaxPool2d((3, 3), (2, 2), SAME), act)
    sums = s.node("sums", SumPool2d((3, 2), (1, 2), (1, 0, 1, 1)), act)
    deep = s.node("halved", MaxPool2d(), s.conv("conv2", pooled, o, o))
    again = s.node(
        "again",
        RPRelu(4),
        deep,
        before=s.integers(-99, 99, o),
        slope=s.integers(-3, 30, o),
        after=s.integers(-500, 500, o),
    )
    alone = s.node("alone", PRelu(), sums, slope=s.integers(-5, 5, o))
    return s.graph(
        "prelu",
        {"x": x},
        again,
        alone,
        s.node("bits", Sign(), alone, t=s.integers(-9, 9, o), r=1 - s.integers(0, 0, o)),
    )


def gated(seed: int) -> Graph:
    """A binary network: bipolar tensors at both edges and between, gated convolutions with pools and maps fused."""
    s = Sketch(seed)
    c, o = int(s.rng.integers(1, 40)), int(s.rng.integers(1, 40))
    inputs = {
        "levels": TensorType.of_dtype((c, 8, 6), DType("uint", 2)),
        "bits": TensorType.of_dtype((o, 8, 6), DType("bipolar", 1)),
    }
    first = s.node("gate.1", GatedConv2d(padding=SAME), "levels", w=s.signs(o, c, 3, 3), t=s.integers(-9 * c, 9 * c, o))
    curved = s.node(
        "curved",
        RPRelu(5),
        first,
        before=s.integers(-9, 9, o),
        slope=s.integers(0, 32, o),
        after=s.integers(-99, 99, o),
    )
    sign = s.node("sign", Sign(), curved, t=s.integers(-300, 300, o), r=s.integers(0, 1, o))
    joined = s.node("joined", Concat(), sign, "bits")
    binary = s.node("binary", Conv2d((2, 2), SAME), joined, w=s.signs(o, 2 * o, 3, 3))
    again = s.node("sign2", Sign(), binary, t=s.integers(-5, 5, o), r=np.ones(o, np.int64))
    level = s.node("level", Thresholds(), binary, t=np.sort(s.integers(-20, 20, o, 3)), r=np.ones(o, np.int64))
    second = s.node("gate.2", GatedConv2d((1, 1), SAME, o), level, w=s.signs(o, 1, 3, 3), t=s.integers(-20, 20, o))
    top = s.node("top", MaxPool2d(), second)
    return s.graph("gated", inputs, s.node("add", Add(), again, level), top, sign)


def decoder(seed: int) -> Graph:
    """A picture resized in the network, a pyramid brought back up in three ways, joined in place and by copies."""
    s = Sketch(seed)
    c, big, small = int(s.rng.integers(1, 24)), (8, 12), (4, 6)
    x = TensorType.of_dtype((3, 13, 17), DType("uint", 8))
    side = TensorType.of_dtype((c * 4, *small), DType("int", 8))
    picture = s.node("picture", Resize(*big), "x")
    low = s.scale("low", s.conv("conv", picture, c, 3), c)
    down = s.node("down", SpaceToDepth(), low)
    mixed = s.node("mixed", Add(), down, "side")
    dcr = s.node("dcr", DepthToSpace(2, "dcr"), mixed)
    crd = s.node("crd", DepthToSpace(2, "crd"), "side")
    up = s.node("up", Upsample(2), s.node("small", MaxPool2d(), dcr))
    sharp = s.node("sharp", Resize(*big), s.node("half", Resize(*small), picture))
    joined = s.node("joined", Concat(), sharp, up, dcr, crd, low)
    return s.graph("decoder", {"x": x, "side": side}, s.conv("head", joined, 5, 3 + 4 * c, 1), up)


def volumes(seed: int) -> Graph:
    """Transposed, cut (backwards too), padded, reshaped tensors of one, two and four bytes, written beside others."""
    s = Sketch(seed)
    c, h, w = (int(n) for n in s.rng.integers(3, 20, 3))
    x = TensorType.of_dtype((c, h, w), DType("int", 8 if seed % 2 else 14))
    turned = s.node("turned", Transpose((2, 0, 1)), "x")
    again = s.node("again", Transpose((1, 2, 0)), turned)
    backwards = s.node("backwards", Slice((c - 1, 0, 1), (-2, 1, 1), ((c + 1) // 2, h, w - 2)), again)
    padded = s.node("padded", Pad((0, 2, 1, 0), (1, 0), -1), backwards)
    wide = s.node("wide", Pad(channels=(0, 2), value=40_000), backwards)
    rows = s.node("rows", Reshape((h, c, w)), "x")
    flat = s.node("flat", Reshape((c * h * w, 1, 1)), rows)
    table = s.node("table", Lookup(x.lo), turned, table=s.integers(-(1 << 20), 1 << 20, x.hi - x.lo + 1))
    nibbles = s.node("nibbles", Lookup(x.lo), turned, table=s.integers(-8, 7, x.hi - x.lo + 1))
    both = s.node("both", Concat(), nibbles, turned)
    reshaped = s.node("reshaped", Reshape((w, h, c)), nibbles)
    return s.graph("volumes", {"x": x}, again, padded, wide, flat, table, both, reshaped)


def attention(seed: int) -> Graph:
    """Products of computed matrices, softmax and normalisation of rows, written beside others."""
    s = Sketch(seed)
    k, m, b, n = (int(v) for v in s.rng.integers(2, 40, 4))
    q = TensorType.of_dtype((k, m, b), DType("int", 8))
    v = TensorType.of_dtype((n, k, b), DType("int", 8))
    weight = s.integers(-(1 << 22), 1 << 22, k)
    rows = s.node("rows", IntegerRmsNorm(16, -128, 127), "q", weight=weight)
    soft = s.node("soft", IntegerSoftmax(345, 62395, 255, 256), "q")
    coarse = s.node("coarse", IntegerSoftmax(40, 700, 11, 16), "q")
    product = s.node("product", MatMul(), soft, "v")
    other = s.node("other", MatMul(), rows, "v")
    both = s.node("both", Concat(), rows, coarse)
    return s.graph("attention", {"q": q, "v": v}, product, other, both)


NETWORKS: Mapping[str, Callable[[int], Graph]] = {
    "residual": residual,
    "prelu": prelu,
    "gated": gated,
    "decoder": decoder,
    "volumes": volumes,
    "attention": attention,
}
