"""Seeded convolutions for cores without vectors, as calls for driver.c: by types, for words of 32 and of 64 bits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from cpu_blocks import MAP_PARAMETERS
from cpu_cases import Case, values
from cpu_encode import OPERANDS, TILE, XNOR, build
from cpu_sketches import random_map

from cpu_backend.emit import conv_scheme
from cpu_backend.emit.convolution import conv_fields, weights_of
from cpu_backend.emit.scalar import bit_sums, pack_bits, pack_tiles, tile_of
from cpu_backend.layers import layers_of
from ir.graph import Graph, GraphError, Node
from ir.ops import Conv2d, MaxPool2d, OperatorError
from ir.types import Array, DType, TensorType

TYPES: dict[str, tuple[str, str]] = {
    "w8a8": ("int8", "uint8"),
    "w8a8s": ("int8", "int8"),
    "w4a4": ("int4", "uint4"),
    "w4a4s": ("int4", "int4"),
    "w3a2": ("int3", "uint2"),
    "w2a2": ("int2", "uint2"),
    "w2a2s": ("int2", "int2"),
    "w1a2": ("bipolar", "uint2"),
    "w1a1": ("bipolar", "bipolar"),
    "w1a1u": ("bipolar", "uint1"),
    "w8a16": ("int8", "uint16"),
    "w8a16s": ("int8", "int16"),
}
"""Types of the weights and of the activations."""


OUTPUTS = (1, 3, 4, 8, 16, 17, 34)


def graph(rng: np.random.Generator, types: str, outputs: Sequence[int] = OUTPUTS) -> Graph:
    """Conv2d [+ 2x2 max-pool] [+ map]: kernels of 1 to 5, any stride and padding, channels around the block sizes."""
    weight, activation = (DType.parse(name) for name in TYPES[types])
    kh, kw = [(1, 1), (3, 3), (3, 3), (3, 3), (5, 5), (1, 3), (2, 2)][rng.integers(7)]
    inner, outer = int(rng.choice([1, 2, 3, 16, 31, 32, 64, 70])), int(rng.choice(outputs))
    h, w = (int(v) for v in rng.integers(max(kh, kw), 9, 2)) if rng.integers(4) else (kh, kw)
    op = Conv2d((int(rng.integers(1, 3)), int(rng.integers(1, 3))), tuple(int(v) for v in rng.integers(0, 3, 4)))
    x = TensorType.of_dtype((inner, h, w), activation)
    constants: dict[str, Array] = {"w": values(rng, TensorType.of_dtype((outer, inner, kh, kw), weight))}
    if rng.integers(2) and weight.kind == "int":
        constants["w"] = np.clip(constants["w"], -weight.hi, weight.hi)  # symmetric, as quantisers make them
    nodes = [Node("conv", op, ("x", "w"))]
    sums = Graph("case", {"x": x}, tuple(nodes), ("conv",), constants).verify().types["conv"]
    if rng.integers(3) == 0 and min(sums.shape[1:]) >= 2:
        nodes.append(Node("pool", MaxPool2d(), ("conv",)))
    sums = Graph("case", {"x": x}, tuple(nodes), (nodes[-1].name,), constants).types[nodes[-1].name]
    if mapping := random_map(rng, outer, sums):
        constants |= mapping[1]
        nodes.append(Node("map", mapping[0], (nodes[-1].name, *mapping[1])))
    return Graph("case", {"x": x}, tuple(nodes), (nodes[-1].name,), constants).verify()


def cases(types: str, word: int, count: int, seed: int) -> list[Case]:
    """``count`` cases, each with the kernel that the generator takes for such a core."""
    rng = np.random.default_rng([seed, word])
    made: list[Case] = []
    while len(made) < count:
        try:
            one = graph(rng, types)
            made.append(scalar_case(one, build(one, rng), word))
        except (GraphError, OperatorError):
            continue  # wider than the kernels take
    return made


def filters_of_every_length(word: int) -> list[Case]:
    """Bits: 8 to 60 words a filter (fewer take other kernels), counted in up to three parts; all or few differ."""
    rng = np.random.default_rng(word)
    made: list[Case] = []
    for words in range(8, 61):
        channels = words * word - int(rng.integers(0, word))
        x = TensorType.of_dtype((channels, 1, 2), DType.parse("bipolar"))
        w = rng.choice([-1, 1], (3, channels, 1, 1))
        one = Graph("case", {"x": x}, (Node("y", Conv2d(), ("x", "w")),), ("y",), {"w": w}).verify()
        data = np.stack([-w[0, :, 0], np.where(rng.integers(9, size=(channels, 1)), w[1, :, 0], -w[1, :, 0])], axis=2)
        made.append(scalar_case(one, build(one, rng, {"x": data}), word))
    return made


def scalar_case(one: Graph, plain: Case, word: int) -> Case:
    """The same data and expectation for the kernel of a core with these words."""
    (layer,) = layers_of(one)
    scheme = conv_scheme(layer, word)
    assert scheme is not None
    w, blobs = weights_of(layer), plain.blobs[:OPERANDS]
    label = f"{plain.label} {scheme.note}"
    if scheme.kind == "xnor":
        shift, base, beside = bit_sums(layer)
        extra = (pack_bits(w, word).tobytes(), base.tobytes(), b"" if beside is None else beside.tobytes())
        return replace(
            plain, operator=XNOR, parameters=(*plain.parameters, word, shift), blobs=(*blobs, *extra), label=label
        )
    _, mr = tile_of(layer, scheme)
    flush_at = MAP_PARAMETERS + list(conv_fields(layer)).index("flush")
    parameters = list(plain.parameters)
    parameters[flush_at] = scheme.flush
    words = 0 if scheme.kind == "block" else word
    return replace(
        plain,
        operator=TILE,
        parameters=(*parameters, words, scheme.bits, mr),
        blobs=(*blobs, pack_tiles(w, scheme).tobytes()),
        label=label,
    )
