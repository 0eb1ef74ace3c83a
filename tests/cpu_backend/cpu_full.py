"""Seeded fully connected layers as calls of hck_full_layer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from cpu_cases import Case, operand, values
from cpu_encode import FULL, OPERANDS, build
from cpu_sketches import with_map

from cpu_backend.emit.convolution import weights_of
from cpu_backend.emit.full import full_fields, full_scheme, pack_rows
from cpu_backend.layers import layers_of
from ir.graph import Graph, GraphError, Node
from ir.ops import Conv2d, OperatorError
from ir.types import Array, DType, TensorType

SHAPES = ((64, 1, 1), (300, 1, 1), (7, 3, 4), (1, 8, 8), (530, 1, 1), (130, 1, 2), (1100, 1, 1))


def graph(rng: np.random.Generator) -> Graph:
    """Products beside a vector's or a byte's range of rows; few levels or whole bytes; one to many vectors."""
    shape = SHAPES[rng.integers(len(SHAPES))]
    outer = int(rng.choice([64, 65, 100, 128, 130, 250, 257, 300, 520]))
    x = operand(rng, shape, ["uint2", "uint4", "int4", "int4", "uint4", "bipolar", "uint8", "int8", "int8", "uint7"])
    bits = int(rng.choice([1, 2, 3, 4, 5, 8, 8]))
    narrow = TensorType.of_dtype((outer, *shape), DType("int", bits))
    weights = values(rng, narrow)
    if bits > 1 and rng.integers(2):
        weights = np.maximum(weights, narrow.lo + 1)
    if rng.integers(4) == 0:  # channels of the largest weights, of one sign
        largest = np.where(rng.integers(0, 2, (outer, 1, 1, 1)), weights.max(), weights.min())
        weights = np.where(rng.integers(0, 2, (outer, 1, 1, 1)), largest, weights)
    return with_map(rng, x, [Node("conv", Conv2d(), ("x", "w"))], {"w": weights})


def frame(rng: np.random.Generator, x: TensorType) -> Array | None:
    """Elements of which most are zeros, or all one of few values, or a power of two times those; None: any."""
    if x.dtype.kind == "bipolar":
        return None
    drawn = rng.integers(x.lo, x.hi, x.shape, endpoint=True)
    few = rng.integers(x.lo, x.hi, rng.integers(1, 4), endpoint=True)
    match rng.integers(6):
        case 0 | 1:
            return np.where(rng.integers(0, 3, x.shape) == 0, drawn, 0) if x.lo <= 0 <= x.hi else drawn
        case 2:
            return rng.choice([*few, x.lo, x.hi], x.shape)
        case 3:
            return rng.choice([rng.choice([x.lo, x.hi])], x.shape)
        case 4:
            return rng.choice(few, x.shape) >> rng.integers(0, 4, x.shape)
    return None


def cases(count: int, seed: int) -> list[Case]:
    """``count`` layers that the code generator takes for this kernel, a third of them with streamed weights."""
    rng = np.random.default_rng(seed)
    made: list[Case] = []
    while len(made) < count:
        try:
            one = graph(rng)
            (layer,) = layers_of(one)
            layer = replace(layer, form="streamed" if rng.integers(3) == 0 else "usual")
            chosen = full_scheme(layer)
            if chosen is None:
                continue
            elements = frame(rng, one.inputs["x"])
            plain = build(one, rng, None if elements is None else {"x": elements})
        except (GraphError, OperatorError):
            continue
        numbers = [int(str(value).rstrip("u")) for value in full_fields(layer, chosen).values()]
        blobs = list(plain.blobs)
        blobs[OPERANDS] = pack_rows(weights_of(layer), chosen).tobytes()
        label = f"{plain.label} {chosen.note}, stride {chosen.stride} for {layer.y.shape[0]}"
        made.append(Case(FULL, (*plain.parameters, *numbers), tuple(blobs), plain.expected, label))
    return made
