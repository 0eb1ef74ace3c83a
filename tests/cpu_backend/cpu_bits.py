"""Seeded convolutions of bits, as calls for driver.c."""

from __future__ import annotations

from dataclasses import replace

import cpu_scalar
import numpy as np
from cpu_blocks import MAP_PARAMETERS
from cpu_cases import Case
from cpu_encode import BITS, GATED_BITS, OPERANDS, build
from cpu_encode import TYPES as TYPES_OF_KERNELS
from cpu_sketches import gated_graph

from cpu_backend.emit.bits import bit_arrays, bit_planes, pack_weight_bits
from cpu_backend.emit.convolution import gate_thresholds, weights_of
from cpu_backend.layers import layers_of
from cpu_backend.requantise import kernel_type
from ir.graph import Graph, GraphError, Node
from ir.ops import Conv2d, GatedConv2d, MaxPool2d, OperatorError, Sign, Thresholds
from ir.types import Array, DType, TensorType

TYPES = ("w1a1", "w1a1u", "w1a2", "gated")
"""Of cpu_scalar.TYPES, and gated convolutions."""
OUTPUTS = (1, 3, 8, 9, 16, 17, 33, 64, 65, 130)
"""Around the vectors of 16-bit elements, one register to four, at VLEN 128 to 512."""


def cases(types: str, count: int, seed: int) -> list[Case]:
    rng = np.random.default_rng(seed)
    made: list[Case] = []
    while len(made) < count:
        try:
            one = gated_graph(rng) if types == "gated" else cpu_scalar.graph(rng, types, OUTPUTS)
            if types == "gated" and not bit_planes(layers_of(one)[0]):
                continue  # groups, levels of 16 bits
            made.append(bits_case(one, build(one, rng)))
        except (GraphError, OperatorError):
            continue  # wider than the kernels take
    return made


def bits_case(one: Graph, plain: Case) -> Case:
    """The same data and expectation for the kernel of bits."""
    (layer,) = layers_of(one)
    planes = bit_planes(layer)
    assert planes
    shift, base, beside = bit_arrays(layer)
    blobs: tuple[bytes, ...] = (
        pack_weight_bits(weights_of(layer)).tobytes(),
        base.tobytes(),
        b"" if beside is None else beside.tobytes(),
    )
    parameters = [*plain.parameters, planes, shift]
    if not isinstance(layer.first.op, GatedConv2d):
        return replace(plain, operator=BITS, parameters=tuple(parameters), blobs=(*plain.blobs[:OPERANDS], *blobs))
    parameters[MAP_PARAMETERS] = TYPES_OF_KERNELS.index(kernel_type(layer.x))
    blobs = (*blobs, gate_thresholds(layer).tobytes())
    return replace(plain, operator=GATED_BITS, parameters=tuple(parameters), blobs=(*plain.blobs[:OPERANDS], *blobs))


def network(seed: int) -> Graph:
    """Bipolar -> sign -> two bits -> sums and gated sums: padding, a stride, a 2x2 max-pool, vectors not filled."""
    rng = np.random.default_rng(seed)
    x = TensorType.of_dtype((31, 12, 14), DType("bipolar", 1))
    constants: dict[str, Array] = {
        "w1": rng.choice([-1, 1], (70, 31, 3, 3)),
        "t1": rng.integers(-9, 9, 70),
        "r1": rng.integers(0, 2, 70),
        "w2": rng.choice([-1, 1], (33, 70, 3, 3)),
        "t2": np.sort(rng.integers(-20, 20, (33, 3)), axis=1),
        "r2": np.ones(33, np.int64),
        "w3": rng.choice([-1, 1], (40, 33, 1, 1)),
        "w4": rng.choice([-1, 1], (20, 33, 3, 3)),
        "t4": rng.integers(-40, 40, 20),
    }
    nodes = (
        Node("one", Conv2d(padding=(1, 1, 1, 1)), ("x", "w1")),
        Node("pool", MaxPool2d(), ("one",)),
        Node("sign", Sign(), ("pool", "t1", "r1")),
        Node("two", Conv2d((2, 1), (1, 0, 1, 2)), ("sign", "w2")),
        Node("levels", Thresholds(), ("two", "t2", "r2")),
        Node("three", Conv2d(), ("levels", "w3")),
        Node("four", GatedConv2d(padding=(1, 1, 1, 1)), ("levels", "w4", "t4")),
    )
    return Graph("bits", {"x": x}, nodes, ("three", "four", "sign"), constants).verify()


def fullest_sums() -> list[Case]:
    """As many products as 16 bits hold, all of one sign: one pixel, and nine windows over a padded picture."""
    rng = np.random.default_rng(0)
    made: list[Case] = []
    for element, most in (("bipolar", 32767), ("uint1", 32767), ("uint2", 10922)):
        for weight in (-1, 1):
            for channels, kernel, pad in ((most, 1, 0), (most // 9, 3, 1)):
                x = TensorType.of_dtype((channels, kernel, kernel), DType.parse(element))
                w = np.full((9, channels, kernel, kernel), weight)
                node = Node("y", Conv2d(padding=(pad,) * 4), ("x", "w"))
                graph = Graph("case", {"x": x}, (node,), ("y",), {"w": w}).verify()
                made += [bits_case(graph, build(graph, rng, {"x": np.full(x.shape, v)})) for v in (x.lo, x.hi)]
    return made
