"""Layers of every generator but convolution and pooling, drawn at random, on inputs of random lanes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from design_runs import DSP, assert_equal, random_inputs, reference, simulated
from layer_graphs import Rng, Sketch, multiply_shift, thresholds, weights

from hls.artifact import accelerator_files
from hls.design import build_design
from hls.heterocl.lower import lower
from hls.nodes import RULES, lane_counts
from hls.program import Design, schedule
from ir.engine import Artifact, Configuration
from ir.engine import Port as EdgePort
from ir.graph import Graph
from ir.layouts import Words
from ir.ops import (
    Add,
    Clip,
    Concat,
    DepthToSpace,
    Multiply,
    Op,
    Pad,
    PRelu,
    RPRelu,
    SpaceToDepth,
    Upsample,
)
from ir.types import Array, DType, TensorType

GARBAGE = 0x5A5A_5A5A_5A5A_5A5A
"""What memories hold at power-up in the simulator: a design may not depend on it."""

CHANNELS = (1, 2, 3, 4, 5, 6, 8, 9, 10, 12, 16, 20, 24)


@dataclass
class Draw:
    """Adds layers with their inputs to a sketch; names carry the layer's number."""

    sketch: Sketch
    rng: Rng
    number: int = 0

    @staticmethod
    def empty(seed: int) -> Draw:
        rng = np.random.default_rng(seed)
        return Draw(Sketch({}, rng), rng)

    def input(self, shape: tuple[int, ...], widest: int = 32) -> str:
        """A tensor of 1 to 8 bits, sometimes of a sum's width; sometimes of a range that does not fill its type."""
        bits = int(self.rng.integers(9, widest + 1) if widest > 8 and self.rng.random() < 0.25 else self.below(1, 8))
        dtype = DType("int" if self.rng.random() < 0.5 else "uint", bits)
        type_ = TensorType.of_dtype(shape, dtype)
        if self.rng.random() < 0.3:
            low, high = sorted(self.rng.integers(dtype.lo, dtype.hi, 2, endpoint=True).tolist())
            type_ = TensorType(shape, dtype, low, high)
        name = f"x{len(self.sketch.inputs)}"
        self.sketch.inputs[name] = type_
        return name

    def below(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high, endpoint=True))

    def shape(self, channels: int = 0, rows: int = 5, columns: int = 6) -> tuple[int, int, int]:
        return (channels or int(self.rng.choice(CHANNELS)), self.below(1, rows), self.below(1, columns))

    def layer(self, op: Op, *sources: str, **constants: Array) -> None:
        self.sketch.add(f"layer{self.number}", op, *sources, **constants)
        self.number += 1

    def type_of(self, tensor: str) -> TensorType:
        return self.sketch.inputs[tensor]

    def per_channel(self, tensor: str, bits: int) -> Array:
        """Constants of the width's whole range for the channels of a tensor, its ends surely among two or more."""
        return weights(self.rng, self.type_of(tensor).shape[:1], bits)


def add(d: Draw) -> None:
    shape = d.shape()
    d.layer(Add(), d.input(shape), d.input(shape))


def add_constant(d: Draw) -> None:
    x = d.input(d.shape())
    d.layer(Add(), x, y=d.per_channel(x, d.below(1, 16)))


def multiply(d: Draw) -> None:
    shape = d.shape()
    other = [shape, (shape[0], 1, 1), (1, *shape[1:])][d.below(0, 2)]
    d.layer(Multiply(), d.input(shape, 24), d.input(other, 24))


def clip(d: Draw) -> None:
    x = d.input(d.shape())
    t = d.type_of(x)
    low, high = sorted(d.rng.integers(t.lo - 2, t.hi + 2, 2, endpoint=True).tolist())
    d.layer(Clip(0, max(t.hi, 1)) if d.rng.random() < 0.3 else Clip(low, high + (low == high)), x)


def prelu(d: Draw) -> None:
    x = d.input(d.shape())
    d.layer(PRelu(d.below(0, 12)), x, slope=d.per_channel(x, d.below(1, 12)))


def rprelu(d: Draw) -> None:
    x = d.input(d.shape(), 24)
    before, slope, after = (d.per_channel(x, d.below(1, bits)) for bits in (8, 10, 16))
    d.layer(RPRelu(d.below(0, 10)), x, before=before, slope=slope, after=after)


def scale(d: Draw) -> None:
    x = d.input(d.shape())
    op, mul, summand = multiply_shift(d.rng, d.type_of(x), d.below(1, 8), d.rng.random() < 0.5)
    d.layer(op, x, mul=mul, add=summand)


def compare(d: Draw) -> None:
    x = d.input(d.shape())
    op, table, rising = thresholds(d.rng, d.type_of(x), d.below(1, 20))
    d.layer(op, x, table=table, rising=rising)


def space_to_depth(d: Draw) -> None:
    block = d.below(1, 3)
    channels, rows, columns = d.shape(rows=3, columns=4)
    d.layer(SpaceToDepth(block), d.input((min(channels, 8), rows * block, columns * block)))


def depth_to_space(d: Draw) -> None:
    block = d.below(1, 3)
    channels, rows, columns = d.shape(d.below(1, 6), rows=3, columns=5)
    order = "dcr" if d.rng.random() < 0.5 else "crd"
    d.layer(DepthToSpace(block, order), d.input((channels * block**2, rows, columns), 16))


def upsample(d: Draw) -> None:
    d.layer(Upsample(d.below(1, 3)), d.input(d.shape(rows=4, columns=4)))


def concat(d: Draw) -> None:
    _, rows, columns = d.shape(rows=3, columns=4)
    d.layer(Concat(), *(d.input((*d.shape()[:1], rows, columns)) for _ in range(d.below(2, 4))))


def pad(d: Draw) -> None:
    """Channels of zeros on either side, or on none."""
    front, behind = int(d.rng.integers(5)), int(d.rng.integers(5))
    d.layer(Pad(channels=(front, behind)), d.input(d.shape(rows=3, columns=4)))


def fork(d: Draw) -> None:
    """A tensor with two to four readers, one of them twice."""
    x = d.input(d.shape())
    t = d.type_of(x)
    d.layer(Add(), x, x)
    for _ in range(d.below(0, 2)):
        d.layer(Clip(t.lo, max(t.hi, t.lo + 1)), x)


LAYERS: Mapping[str, Callable[[Draw], None]] = {
    function.__name__: function
    for function in (
        add,
        add_constant,
        multiply,
        clip,
        prelu,
        rprelu,
        scale,
        compare,
        space_to_depth,
        depth_to_space,
        upsample,
        concat,
        pad,
        fork,
    )
}


def drawn(seed: int, *kinds: str) -> Graph:
    """A region of independent layers, all of them outputs."""
    draw = Draw.empty(seed)
    for kind in kinds:
        LAYERS[kind](draw)
    return draw.sketch.graph("region", *(node.name for node in draw.sketch.nodes)).verify()


def any_lanes(graph: Graph, rng: Rng) -> Design:
    """The design of a graph with inputs of random lanes and a random configuration of each node."""
    choices: dict[str, Configuration] = {}
    for name, type_ in graph.inputs.items():
        choices[name] = {"lanes": int(rng.choice(lane_counts(type_.shape[0], type_.dtype.bits)))}
    for node in graph.nodes:
        options = list(RULES[type(node.op)].configurations(graph.view(node.name), DSP))
        choices[node.name] = options[rng.integers(len(options))]
    return build_design(graph, choices, DSP)


def artifact_of(graph: Graph, design: Design) -> Artifact:
    """The files of a design as the engine would hand them on."""
    names = (*graph.inputs, *graph.outputs)
    ports = [
        EdgePort(name, Words(port.wire.lanes, port.wire.bits, port.bits // 8))
        for name, port in zip(names, design.ports, strict=True)
    ]
    inputs = len(graph.inputs)
    return Artifact(
        accelerator_files(design, lower(schedule(design)), "r", DSP),
        (),
        tuple(ports[:inputs]),
        tuple(ports[inputs:]),
        (),
    )


def frames(graph: Graph, rng: Rng) -> Sequence[dict[str, Array]]:
    """A random frame, and one with every input wholly at one of its ends."""
    ends = {n: np.full(t.shape, (t.lo, t.hi)[rng.integers(2)]) for n, t in graph.inputs.items()}
    return [random_inputs(graph, rng), ends]


def check(kind: str, seed: int) -> None:
    """One layer in the stage simulator, two frames."""
    graph, rng = drawn(seed, kind), np.random.default_rng(seed + 1_000_000)
    run = simulated(graph, any_lanes(graph, rng), GARBAGE)
    for inputs in frames(graph, rng):
        assert_equal(run(inputs), reference(graph, inputs), graph.types)
