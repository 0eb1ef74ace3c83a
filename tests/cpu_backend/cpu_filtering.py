"""Seeded convolutions 3x3 by minimal filtering, as calls for driver.c."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from cpu_cases import Case, operand, values
from cpu_encode import CONV, FILTERED, OPERANDS, TYPES, build
from cpu_sketches import with_map

from cpu_backend.emit import filtered, takes_winograd
from cpu_backend.emit.winograd import by_lanes
from cpu_backend.layers import layers_of
from ir.graph import Graph, GraphError, Node
from ir.ops import Conv2d, MaxPool2d, MultiplyShift, OperatorError
from ir.types import Array, DType, TensorType

STRIPS = (4, 7, 14, 28)
INPUTS = (1, 2, 3, 8, 9, 16, 17, 31, 33, 64, 65, 130)
OUTPUTS = (1, 7, 8, 9, 16, 17, 32, 33, 63, 64, 65, 130)
"""Around a quarter to four vectors of each length, and the 64 lanes of a block."""
TYPES_OF_ELEMENTS = ["uint1", "uint2", "uint3", "uint4", "uint5", "uint8", "int4", "int8", "int8", "bipolar"]


def graph(rng: np.random.Generator) -> Graph:
    """Pictures of one to twelve pixels each way, padded by up to two, some pooled, any map."""
    inner, outer = int(rng.choice(INPUTS)), int(rng.choice(OUTPUTS))
    padding = tuple(int(n) for n in rng.integers(0, 3, 4))
    h = max(int(rng.integers(1, 13)), 3 - padding[0] - padding[2])
    w = max(int(rng.integers(1, 13)), 3 - padding[1] - padding[3])
    x = operand(rng, (inner, h, w), TYPES_OF_ELEMENTS)
    weights = values(rng, TensorType.of_dtype((outer, inner, 3, 3), DType("int", int(rng.choice([1, 2, 3, 4, 5, 8])))))
    nodes = [Node("conv", Conv2d(padding=padding), ("x", "w"))]
    sums = Graph("case", {"x": x}, tuple(nodes), ("conv",), {"w": weights}).verify().types["conv"]
    if rng.integers(3) == 0 and min(sums.shape[1:]) >= 2:
        nodes.append(Node("pool", MaxPool2d(), ("conv",)))
    return with_map(rng, x, nodes, {"w": weights})


def cases(count: int, seed: int) -> list[Case]:
    rng = np.random.default_rng(seed)
    made: list[Case] = []
    while len(made) < count:
        try:
            made.append(filtered_case(one := graph(rng), build(one, rng), int(rng.choice(STRIPS))))
        except (GraphError, OperatorError):
            continue  # wider than the kernels take
    return made


def filtered_case(one: Graph, plain: Case, strip: int) -> Case:
    """The same data and expectation for the kernel of minimal filtering."""
    (layer,) = layers_of(one)
    assert plain.operator == CONV and takes_winograd(layer)
    found = filtered(layer)
    if found is None:
        raise OperatorError("sums leave 32 bits")
    kinds = [TYPES.index(kind) for kind in (found.operands, found.sums, found.results)]
    parameters = (*plain.parameters, *kinds, strip, *found.flush)
    blobs = (*plain.blobs[:OPERANDS], by_lanes(found.weights).tobytes())
    return replace(plain, operator=FILTERED, parameters=parameters, blobs=blobs, label=f"{found.note}; {plain.label}")


def extremes() -> list[Case]:
    """Weights and elements at the ends of their ranges, alike and drawn at random: sums of every width are full, and
    what is flushed every few products is so to the last one."""
    rng = np.random.default_rng(0)
    made: list[Case] = []
    for element in ("uint1", "uint2", "uint4", "int4", "uint5", "uint8", "int8", "bipolar"):
        x = TensorType.of_dtype((70, 6, 5), DType.parse(element))
        for top in (1, 3, 7, 14, 127):
            alike = np.full((20, 70, 3, 3), top)
            for weights in (alike, -alike, rng.choice([-top, top], alike.shape)):
                node = Node("y", Conv2d(padding=(1, 1, 1, 1)), ("x", "w"))
                one = Graph("case", {"x": x}, (node,), ("y",), {"w": weights}).verify()
                drawn = rng.choice([x.lo, x.hi], x.shape)
                frames: list[Array] = [np.full(x.shape, x.lo), np.full(x.shape, x.hi), drawn]
                made += [filtered_case(one, build(one, rng, {"x": frame}), 7) for frame in frames]
    return made


def network(seed: int) -> Graph:
    """4 bits, then 8: two filtered layers in a row, padded, the second pooled."""
    rng = np.random.default_rng(seed)
    x = TensorType.of_dtype((16, 13, 15), DType("uint", 4))
    constants: dict[str, Array] = {
        "w1": rng.integers(-7, 8, (48, 16, 3, 3)),
        "mul": np.full(48, 77),
        "add": np.full(48, 1 << 11),
        "w2": rng.integers(-127, 128, (40, 48, 3, 3)),
    }
    nodes = (
        Node("one", Conv2d(padding=(1, 1, 1, 1)), ("x", "w1")),
        Node("act", MultiplyShift(12, 0, 255), ("one", "mul", "add")),
        Node("two", Conv2d(padding=(0, 1, 2, 1)), ("act", "w2")),
        Node("pool", MaxPool2d(), ("two",)),
    )
    return Graph("filtered", {"x": x}, nodes, ("pool",), constants).verify()
