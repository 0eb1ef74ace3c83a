"""Small float32 networks which together have every operator of floats."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from cpu_floats import FLOAT32

from ir.graph import Graph, Node
from ir.ops import (
    Add,
    Affine,
    Arithmetic,
    AveragePool2d,
    Clip,
    Concat,
    Conv2d,
    Curve,
    DepthToSpace,
    Interpolate,
    MaxPool2d,
    Multiply,
    Op,
    Pad,
    PRelu,
    Reduce,
    Reshape,
    Sigmoid,
    Slice,
    Softmax,
    SpaceToDepth,
    Transpose,
    Upsample,
)
from ir.types import Array, DType, TensorType

INF = float("inf")
Step = tuple[str, Op, tuple[str, ...]]


def residual(seed: int) -> Graph:
    """A picture, normalised; a block whose shortcut has fewer pixels and channels; a classifier."""
    rng = np.random.default_rng(seed)
    c, o = int(rng.integers(3, 12)), int(rng.integers(12, 40))
    constants = _constants(rng, scale=(3,), offset=(3,), w0=(c, 3, 3, 3), b0=(c,), w1=(o, c, 3, 3), b1=(o,),
                           w2=(o, o, 3, 3), b2=(o,), w3=(10, o, 1, 1), b3=(10,))  # fmt: skip
    same = (1, 1, 1, 1)
    steps: list[Step] = [
        ("picture", Affine(), ("x", "scale", "offset")),
        ("stem", Conv2d(padding=same), ("picture", "w0", "b0")),
        ("stem.relu", Clip(0.0, INF), ("stem",)),
        ("first", Conv2d((2, 2), same), ("stem.relu", "w1", "b1")),
        ("first.relu", Clip(0.0, 6.0), ("first",)),
        ("second", Conv2d(padding=same), ("first.relu", "w2", "b2")),
        ("fewer", MaxPool2d((1, 1), (2, 2)), ("stem.relu",)),
        ("wider", Pad(channels=((o - c) // 2, o - c - (o - c) // 2)), ("fewer",)),
        ("sum", Add(), ("second", "wider")),
        ("relu", Clip(0.0, INF), ("sum",)),
        ("mean", AveragePool2d((5, 6), (5, 6)), ("relu",)),
        ("scores", Conv2d(), ("mean", "w3", "b3")),
        ("shares", Softmax(), ("scores",)),
    ]
    picture = TensorType.of_dtype((3, 10, 12), DType("uint", 8))
    return _graph("residual", {"x": picture}, steps, ("shares",), constants)


def bypass(seed: int) -> Graph:
    """Depthwise and grouped convolutions, joins written in place and copied, a gate per channel, every move."""
    rng = np.random.default_rng(seed)
    c, o = 2 * int(rng.integers(1, 20)), 4 * int(rng.integers(1, 12))
    p = o + 4
    constants = _constants(rng, w0=(c, 1, 3, 3), w1=(o, c // 2, 1, 1), b1=(o,), slope=(o,), w2=(4, 4 * c, 1, 1),
                           b2=(4,), w3=(p, p, 1, 1), b3=(p,), w4=(6, 24 * p, 1, 1), w5=(c, 1, 5, 5))  # fmt: skip
    steps: list[Step] = [
        ("depth", Conv2d(padding=(1, 1, 1, 1), groups=c), ("x", "w0")),
        ("depth.relu", Clip(0.0, 6.0), ("depth",)),
        ("pooled", MaxPool2d(), ("depth.relu",)),
        ("point", Conv2d(groups=2), ("pooled", "w1", "b1")),
        ("bent", PRelu(), ("point", "slope")),
        ("fine", SpaceToDepth(2), ("depth.relu",)),
        ("few", Conv2d(), ("fine", "w2", "b2")),
        ("few.pooled", MaxPool2d((3, 3), (1, 1), (1, 1, 1, 1)), ("few",)),
        ("both", Concat(), ("bent", "few.pooled")),
        ("again", Concat(), ("both", "bent")),
        ("squeezed", AveragePool2d((4, 6), (4, 6)), ("both",)),
        ("excited", Conv2d(), ("squeezed", "w3", "b3")),
        ("gate", Sigmoid(), ("excited",)),
        ("gated", Multiply(), ("both", "gate")),
        ("flat", Reshape((24 * p, 1, 1)), ("gated",)),
        ("dense", Conv2d(), ("flat", "w4")),
        ("large", Upsample(2), ("few",)),
        ("shuffled", DepthToSpace(2, "crd"), ("few",)),
        ("smooth", AveragePool2d((3, 3), (2, 2), (1, 1, 1, 1), False), ("large",)),
        ("soft", Sigmoid(), ("few",)),
        ("wide", Conv2d((2, 1), (2, 2, 2, 2), groups=c), ("depth.relu", "w5")),
    ]
    outputs = ("dense", "again", "smooth", "shuffled", "wide", "soft")
    return _graph("bypass", {"x": TensorType((c, 8, 12), FLOAT32)}, steps, outputs, constants)


def curved(seed: int) -> Graph:
    """What reference code computes: curves, functions of two tensors, bilinear resizing, reductions, moves."""
    rng = np.random.default_rng(seed)
    c, o = int(rng.integers(2, 7)), int(rng.integers(3, 9))
    constants = _constants(rng, w0=(o, c, 3, 3), b0=(o,))
    steps: list[Step] = [
        ("conv", Conv2d(padding=(1, 1, 1, 1)), ("x", "w0", "b0")),
        ("bent", Curve("tanh"), ("conv",)),
        ("large", Interpolate(9, 11, "align_corners"), ("bent",)),
        ("total", Reduce("sum", (1, 2)), ("large",)),
        ("peak", Reduce("largest", (0,)), ("large",)),
        ("share", Arithmetic("subtract"), ("large", "total")),
        ("swish", Curve("swish", 1.5), ("share",)),
        ("over", Arithmetic("larger"), ("swish", "peak")),
        ("turned", Transpose((2, 0, 1)), ("over",)),
        ("cut", Slice((1, 0, 0), (2, 1, 1), (5, o, 9)), ("turned",)),
        ("shaped", Reshape((9, 5, o)), ("cut",)),
    ]
    return _graph("curved", {"x": TensorType((c, 6, 7), FLOAT32)}, steps, ("shaped", "share"), constants)


def _constants(rng: np.random.Generator, **shapes: tuple[int, ...]) -> dict[str, Array]:
    """Weights that keep values at their magnitude."""
    return {
        name: (rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:], initial=1))).astype(np.float32)
        for name, shape in shapes.items()
    }


def _graph(
    name: str, inputs: dict[str, TensorType], steps: list[Step], outputs: tuple[str, ...], constants: dict[str, Array]
) -> Graph:
    return Graph(name, inputs, tuple(Node(*step) for step in steps), outputs, constants).verify()


def frame_of(graph: Graph, rng: np.random.Generator) -> dict[str, Array]:
    return {
        name: rng.integers(type_.lo, type_.hi + 1, type_.shape)
        if type_.dtype.is_integer
        else rng.standard_normal(type_.shape).astype(np.float32)
        for name, type_ in graph.inputs.items()
    }


NETWORKS: Mapping[str, Callable[[int], Graph]] = {"residual": residual, "bypass": bypass, "curved": curved}
