"""Float graph to float graph passes: what a convolution takes in from its neighbours, and float32 constants."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from ir.graph import Graph, Node
from ir.ops import (
    Affine,
    AveragePool2d,
    BatchNorm,
    Clip,
    Conv2d,
    Curve,
    Op,
    PRelu,
    Reshape,
    Scaled,
    Sigmoid,
    SumPool2d,
)
from ir.types import Array, DType


@dataclass(frozen=True)
class ToAffine:
    """Batch norms and scaled pictures become `Affine`: ``<name>.scale`` and ``<name>.offset`` in float64."""

    def __call__(self, graph: Graph) -> Graph:
        constants, nodes = dict(graph.constants), []
        for node in graph.nodes:
            if isinstance(node.op, Scaled | BatchNorm):
                scale, offset = _affine(graph, node)
                names = (f"{node.name}.scale", f"{node.name}.offset")
                constants.update(zip(names, (scale, offset), strict=True))
                node = Node(node.name, Affine(), (node.inputs[0], *names))
            nodes.append(node)
        return graph.with_nodes(nodes, constants)


def _affine(graph: Graph, node: Node) -> tuple[Array, Array]:
    if isinstance(node.op, Scaled):
        channels = graph.types[node.inputs[0]].shape[0]
        return np.full(channels, 1 / node.op.steps), np.zeros(channels)
    assert isinstance(node.op, BatchNorm)
    return node.op.affine(*(graph.constants[i] for i in node.inputs[1:]))


@dataclass(frozen=True)
class FoldAffine:
    """An `Affine` behind a convolution becomes part of its weights and bias, one behind another part of that.

    In float64. Applies where nothing else reads what lies between. The result keeps the last node's name; new constants
    are called ``<name>.weights``, ``<name>.bias``, ``<name>.scale`` and ``<name>.offset``.
    """

    def __call__(self, graph: Graph) -> Graph:
        constants: dict[str, Array] = dict(graph.constants)
        nodes: dict[str, Node] = {}
        for node in graph.nodes:
            before = nodes.get(node.inputs[0])
            if isinstance(node.op, Affine) and before and _private(graph, before.name, constants, before):
                del nodes[before.name]
                fold = _into_convolution if isinstance(before.op, Conv2d) else _into_affine
                node = fold(before, node, constants)
            nodes[node.name] = node
        return graph.with_nodes(nodes.values(), constants)


def _private(graph: Graph, name: str, constants: Mapping[str, Array], node: Node) -> bool:
    foldable = isinstance(node.op, Affine) or (isinstance(node.op, Conv2d) and node.inputs[1] in constants)
    return foldable and len(graph.consumers.get(name, ())) == 1 and name not in graph.outputs


def _into_convolution(conv: Node, affine: Node, constants: dict[str, Array]) -> Node:
    scale, offset = (constants[i].astype(np.float64) for i in affine.inputs[1:])
    bias = constants[conv.inputs[2]].astype(np.float64) if len(conv.inputs) == 3 else np.zeros(scale.size)
    names = (f"{affine.name}.weights", f"{affine.name}.bias")
    weights = constants[conv.inputs[1]].astype(np.float64) * scale.reshape(-1, 1, 1, 1)
    constants.update(zip(names, (weights, bias * scale + offset), strict=True))
    return Node(affine.name, conv.op, (conv.inputs[0], *names))


def _into_affine(first: Node, second: Node, constants: dict[str, Array]) -> Node:
    (a, b), (c, d) = ([constants[i].astype(np.float64) for i in node.inputs[1:]] for node in (first, second))
    names = (f"{second.name}.scale", f"{second.name}.offset")
    constants.update(zip(names, (a * c, b * c + d), strict=True))
    return Node(second.name, Affine(), (first.inputs[0], *names))


@dataclass(frozen=True)
class PlainCurves:
    """Activations that ONNX files bring as a `Curve` become the operators that have float kernels, sums of windows
    become means and a factor (an `Affine`, which folds). Slopes are called ``<name>.slope``."""

    def __call__(self, graph: Graph) -> Graph:
        constants, nodes = dict(graph.constants), list[Node]()
        for node in graph.nodes:
            channels = graph.types[node.name].shape[0]
            if isinstance(node.op, SumPool2d) and not graph.types[node.name].dtype.is_integer:
                op, names = node.op, (f"{node.name}.factor", f"{node.name}.zero")
                nodes.append(Node(f"{node.name}.mean", AveragePool2d(op.kernel, op.stride, op.padding), node.inputs))
                factor = np.full(channels, float(op.kernel[0] * op.kernel[1]))
                constants.update(zip(names, (factor, np.zeros(channels)), strict=True))
                node = Node(node.name, Affine(), (f"{node.name}.mean", *names))
            elif isinstance(node.op, Curve) and node.op.name == "leaky":
                constants[f"{node.name}.slope"] = np.full(channels, node.op.a)
                node = Node(node.name, PRelu(), (*node.inputs, f"{node.name}.slope"))
            elif isinstance(node.op, Curve) and node.op.name in CLIPS:
                node = Node(node.name, CLIPS[node.op.name](node.op), node.inputs)
            nodes.append(node)
        return graph.with_nodes(nodes, constants)


CLIPS: Mapping[str, Callable[[Curve], Op]] = {
    "relu": lambda op: Clip(0.0, float("inf")),
    "clip": lambda op: Clip(op.a, op.b),
    "sigmoid": lambda op: Sigmoid(),
}


@dataclass(frozen=True)
class FoldFlatten:
    """A 1x1 convolution of a flattened (C, H, W) becomes one with an H x W kernel of what was flattened: exact, and
    nothing has to be moved. New weights are called ``<conv>.kernel``; a `Reshape` that others read stays for them."""

    def __call__(self, graph: Graph) -> Graph:
        constants, nodes = dict(graph.constants), []
        for node in graph.nodes:
            flat = graph.by_name.get(node.inputs[0])
            if node.op == Conv2d() and flat and _is_flat(flat) and node.inputs[1] in graph.constants:
                weights = graph.constants[node.inputs[1]]
                name = f"{node.name}.kernel"
                constants[name] = weights.reshape(weights.shape[0], *graph.types[flat.inputs[0]].shape)
                node = Node(node.name, node.op, (flat.inputs[0], name, *node.inputs[2:]))
            nodes.append(node)
        return graph.with_nodes(nodes, constants)


def _is_flat(node: Node) -> bool:
    return isinstance(node.op, Reshape) and node.op.shape[1:] == (1, 1)


@dataclass(frozen=True)
class SinglePrecision:
    """Constants rounded to float32, once, and inputs of reals in float32; results are float32 then."""

    def __call__(self, graph: Graph) -> Graph:
        single = {k: v.astype(np.float32) if v.dtype.kind == "f" else v for k, v in graph.constants.items()}
        wide = DType("float", 64)
        inputs = {k: replace(t, dtype=DType("float", 32)) if t.dtype == wide else t for k, t in graph.inputs.items()}
        return replace(graph, inputs=inputs).with_nodes(graph.nodes, single)
