"""A network of ResNet-50's shapes, 53 convolutions with random weights: for the size of the placement problem."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ir.graph import Graph, Node
from ir.ops import Add, Conv2d, MaxPool2d, MultiplyShift, Op, SumPool2d
from ir.types import Array, DType, TensorType

BLOCKS = ((64, 3), (128, 4), (256, 6), (512, 3))
"""Channels inside a bottleneck, and how many of them follow each other; outside there are four times as many."""


@dataclass
class _Net:
    """The network under construction; activations are unsigned, of ``bits`` bits."""

    rng: np.random.Generator
    bits: int
    inputs: dict[str, TensorType]
    nodes: list[Node] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)

    def add(self, name: str, op: Op, *inputs: str) -> str:
        self.nodes.append(Node(name, op, inputs))
        return name

    def type(self, tensor: str) -> TensorType:
        used = {i for node in self.nodes for i in node.inputs}
        constants = {n: v for n, v in self.constants.items() if n in used}
        return Graph("part", self.inputs, tuple(self.nodes), (tensor,), constants).types[tensor]

    def quantised(self, name: str, x: str, type_: TensorType) -> str:
        """``type_`` is x's; the result spans the range that most values of it take."""
        high, channels = (1 << self.bits) - 1, type_.shape[0]
        spread = max((type_.hi - type_.lo) // 8, 1)
        self.constants[f"{name}_mul"] = np.full(channels, max(high * (1 << 16) // spread, 1), np.int64)
        self.constants[f"{name}_add"] = np.zeros(channels, np.int64)
        return self.add(name, MultiplyShift(16, 0, high), x, f"{name}_mul", f"{name}_add")

    def conv(self, name: str, x: str, x_type: TensorType, channels: int, kernel: int, stride: int) -> TensorType:
        """A convolution and its requantisation, named ``name``; the result's type."""
        inputs, side = x_type.shape[0], kernel // 2
        top = (1 << (self.bits - 1)) - 1
        drawn = np.clip(np.rint(self.rng.normal(0, top / 3, (channels, inputs, kernel, kernel))), -top, top)
        self.constants[f"{name}_w"] = drawn.astype(np.int64)
        op = Conv2d((stride, stride), (side,) * 4)
        graph = Graph("c", {x: x_type}, (Node("c", op, (x, "w")),), ("c",), {"w": self.constants[f"{name}_w"]})
        self.quantised(name, self.add(f"{name}_sums", op, x, f"{name}_w"), graph.types["c"])
        return TensorType.of_dtype(graph.types["c"].shape, DType("uint", self.bits))


def resnet50(bits: int = 4, side: int = 224, seed: int = 0) -> Graph:
    """ResNet-50's layers on pictures of ``side`` pixels; the sums of a bottleneck's branches are requantised."""
    picture = TensorType.of_dtype((3, side, side), DType("uint", 8))
    net = _Net(np.random.default_rng(seed), bits, {"picture": picture})
    type_ = net.conv("stem", "picture", picture, 64, 7, 2)
    x = net.add("pool", MaxPool2d((3, 3), (2, 2), (1, 1, 1, 1)), "stem")
    type_ = TensorType.of_dtype((64, *(-(-n // 2) for n in type_.shape[1:])), type_.dtype)
    for stage, (channels, count) in enumerate(BLOCKS):
        for block in range(count):
            name, stride = f"s{stage}b{block}", 2 if stage and not block else 1
            inner = net.conv(f"{name}_a", x, type_, channels, 1, 1)
            inner = net.conv(f"{name}_b", f"{name}_a", inner, channels, 3, stride)
            inner = net.conv(f"{name}_c", f"{name}_b", inner, 4 * channels, 1, 1)
            other = x
            if not block:
                net.conv(f"{name}_d", x, type_, 4 * channels, 1, stride)
                other = f"{name}_d"
            joined = net.add(f"{name}_sum", Add(), f"{name}_c", other)
            x = net.quantised(name, joined, TensorType.of_range(inner.shape, 0, 2 * inner.hi))
            type_ = inner
    averaged = net.add("average", SumPool2d(type_.shape[1:]), x)  # type: ignore[arg-type]
    summed = TensorType.of_range((type_.shape[0], 1, 1), 0, type_.hi * type_.shape[1] * type_.shape[2])
    top = net.quantised("features", averaged, summed)
    weights = net.rng.integers(-7, 8, (1000, type_.shape[0], 1, 1))
    net.constants["head_w"] = weights
    net.add("head", Conv2d(), top, "head_w")
    return Graph("resnet50", net.inputs, tuple(net.nodes), ("head",), net.constants).verify()
