"""Small convolution layers and a measurer that counts."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from cpu_backend.layers import Layer, layers_of
from cpu_backend.meter.machine import Machine, load_machine
from cpu_backend.tuning.measure import Measurement
from cpu_backend.tuning.signature import Signature, signature_of
from cpu_backend.variants import Variant
from ir.graph import Graph, Node
from ir.ops import Conv2d, GatedConv2d, MaxPool2d, MultiplyShift
from ir.target import Cpu, SharedMemory, Target
from ir.types import DType, TensorType

CPU = Cpu("rv64gcv", 256, 1, 1600.0, "host", "generic")
TARGET = Target("test", CPU, SharedMemory(1 << 26, 4.0, 64, True))
SAME = (1, 1, 1, 1)


def generic() -> Machine:
    return load_machine("generic")


def graph(
    seed: int = 1,
    channels: int = 8,
    filters: int = 64,
    size: int = 8,
    bits: int = 4,
    pool: bool = False,
    scale: int = 60,
) -> Graph:
    """conv 3x3 [+ 2x2 max-pool] + requantisation of W4A4 by default, whole sums in 16 bits."""
    rng = np.random.default_rng(seed)
    top = (1 << (bits - 1)) - 1
    weights = rng.integers(-top, top + 1, (filters, channels, 3, 3))
    weights.flat[0] = top  # whatever the seed
    constants = {"w": weights, "m": np.full(filters, scale), "a": rng.integers(-50, 50, filters)}
    nodes = [Node("conv", Conv2d(padding=SAME), ("x", "w"))]
    if pool:
        nodes.append(Node("pool", MaxPool2d(), ("conv",)))
    nodes.append(Node("act", MultiplyShift(8, 0, 15), (nodes[-1].name, "m", "a")))
    x = TensorType.of_dtype((channels, size, size), DType("uint", bits))
    return Graph("small", {"x": x}, tuple(nodes), ("act",), constants).verify()


def alike(count: int, **how: int) -> Graph:
    """That many of the same layers beside each other."""
    one = graph(**how)
    nodes: list[Node] = []
    for number in range(count):
        names = {node.name: f"{node.name}{number}" for node in one.nodes}
        nodes += [Node(names[n.name], n.op, tuple(names.get(i, i) for i in n.inputs)) for n in one.nodes]
    outputs = tuple(node.name for node in nodes if node.name.startswith("act"))
    return Graph(one.name, one.inputs, tuple(nodes), outputs, one.constants).verify()


def layer(**how: int) -> Layer:
    (found,) = layers_of(graph(**how))
    return found


def gated_layer() -> Layer:
    rng = np.random.default_rng(1)
    constants = {"w": rng.choice([-1, 1], (16, 8, 3, 3)), "t": np.full(16, 3)}
    nodes = (Node("conv", GatedConv2d(padding=SAME), ("x", "w", "t")),)
    x = TensorType.of_dtype((8, 6, 6), DType("uint", 2))
    (found,) = layers_of(Graph("gated", {"x": x}, nodes, ("conv",), constants).verify())
    return found


def signature(**how: int) -> Signature:
    found = signature_of(layer(**how))
    assert found
    return found


@dataclass
class Counting:
    """Takes fewer cycles the more pixels a block has; fails at a given measurement, as if interrupted."""

    place: str = "meter"
    fail_at: int = 1 << 30
    asked: list[Variant] = field(default_factory=list)

    def measure(self, signature: Signature, variant: Variant) -> Measurement:
        if len(self.asked) >= self.fail_at:
            raise KeyboardInterrupt
        self.asked.append(variant)
        return Measurement(1000 - variant.pixels, "meter")
