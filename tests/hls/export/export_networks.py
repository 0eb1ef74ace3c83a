"""Chains of convolutions written by hand or drawn at random."""

from __future__ import annotations

import numpy as np

from ir.graph import Graph, Node
from ir.ops import Conv2d, MaxPool2d, MultiplyShift, Op
from ir.types import Array, DType, TensorType

Rng = np.random.Generator
Foldings = dict[str, tuple[int, int]]


def uint(bits: int, *shape: int) -> TensorType:
    return TensorType.of_dtype(shape, DType("uint", bits))


class Chain:
    """A graph in the making, each node reading the one before it."""

    def __init__(self, source: TensorType) -> None:
        self.inputs, self.nodes, self.constants = {"x": source}, [], {}
        self.last, self.foldings = "x", dict[str, tuple[int, int]]()

    def add(self, name: str, op: Op, **constants: Array) -> Chain:
        named = {f"{name}.{key}": np.asarray(value) for key, value in constants.items()}
        self.constants |= named
        self.nodes.append(Node(name, op, (self.last, *named)))
        self.last = name
        return self

    def conv(self, name: str, weights: Array, simd: int, pe: int, **attributes: object) -> Chain:
        self.foldings[name] = (simd, pe)
        return self.add(name, Conv2d(**attributes), w=weights)  # type: ignore[arg-type]

    def graph(self) -> Graph:
        return Graph("net", self.inputs, tuple(self.nodes), (self.last,), self.constants)


def divisor(rng: Rng, number: int) -> int:
    return int(rng.choice([n for n in range(1, number + 1) if number % n == 0]))


def random_network(seed: int) -> tuple[Graph, Foldings]:
    """Two to four convolutions of random sizes and widths; extreme weights, multipliers of both signs."""
    rng = np.random.default_rng(seed)
    channels, bits, rows, columns = int(rng.integers(1, 5)), int(rng.integers(1, 9)), 9, 11
    chain = Chain(uint(bits, channels, rows, columns))
    count = int(rng.integers(2, 5))
    for n in range(count):
        kernel, out, weight_bits = int(rng.choice([1, 2, 3])), int(rng.integers(1, 9)), int(rng.integers(1, 9))
        padding = int(rng.integers(0, kernel))
        low, high = -(1 << (weight_bits - 1)), (1 << (weight_bits - 1)) - 1
        weights = rng.integers(low, high, (out, channels, kernel, kernel), endpoint=True)
        weights.flat[0] = low
        chain.conv(f"conv{n}", weights, divisor(rng, channels), divisor(rng, out), padding=(padding,) * 4)
        rows, columns = rows + 2 * padding - kernel + 1, columns + 2 * padding - kernel + 1
        if n == count - 1:
            break
        shift = weight_bits - 1 + bits + int(rng.integers(1, 9))
        bits = int(rng.integers(1, 9))
        mul = rng.integers(-(1 << (bits + 3)), 1 << (bits + 3), out)
        add = rng.integers(-(1 << (shift + bits)), 1 << (shift + bits), out)
        chain.add(f"act{n}", MultiplyShift(shift, 0, (1 << bits) - 1), mul=mul, add=add)
        if rng.random() < 0.5:
            chain.add(f"pool{n}", MaxPool2d((2, 2), (2, 2)))
            rows, columns = rows // 2, columns // 2
        channels = out
    return chain.graph().verify(), chain.foldings
