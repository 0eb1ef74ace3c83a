"""From an exported program (`torch.export`) to the graph of fake-quantised values.

The importer walks the graph that export recorded, never the modules in the order in which they were made, so branches
and reuse come out as they run. Operators are a table; one that is not in it is an error naming node and operator.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind
from torch.fx import Node as FxNode

from frontend.errors import ModelError
from ir.graph import Graph, Node
from ir.ops import BatchNorm, Concat, Conv2d, FakeQuantize, MaxPool2d, Op, Scaled, SpaceToDepth
from ir.records import Picture
from ir.types import Array, DType, TensorType

INPUT_IMAGE = "input"


def import_program(program: ExportedProgram, name: str, picture: Picture) -> Graph:
    """The float graph of a one-input program. Its input becomes the uint8 picture, divided by ``picture.steps``.

    Raises ModelError naming node and operator for what has no counterpart.
    """
    builder = _Builder(name)
    kinds = {spec.arg.name: spec for spec in program.graph_signature.input_specs}
    for node in program.graph.nodes:
        if node.op == "placeholder":
            spec = kinds[node.name]
            if spec.kind is InputKind.USER_INPUT:
                builder.add_input(node, picture)
            else:
                builder.constants[str(spec.target)] = _values(program, str(spec.target))
                builder.names[node] = str(spec.target)
        elif node.op == "call_function":
            builder.add_call(node)
        elif node.op == "output":
            outputs = tuple(builder.names[n] for n in node.args[0] if isinstance(n, FxNode))
    if not builder.inputs:
        raise ModelError(f"{name}: the exported program has no input")
    used = {i for node in builder.nodes for i in node.inputs}
    constants = {k: v for k, v in builder.constants.items() if k in used}
    return Graph(name, builder.inputs, tuple(builder.nodes), outputs, constants).verify()


@dataclass
class _Builder:
    """The graph under construction; ``names`` maps each recorded value to its tensor."""

    graph: str
    inputs: dict[str, TensorType] = field(default_factory=dict)
    constants: dict[str, Array] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    names: dict[FxNode, str] = field(default_factory=dict)

    def add_input(self, node: FxNode, picture: Picture) -> None:
        shape = tuple(int(n) for n in node.meta["val"].shape)
        if self.inputs:
            raise ModelError(f"{self.graph}: input '{node.name}': one picture input is supported, this is a second")
        if len(shape) != 4 or shape[0] != 1 or shape[2:] != (picture.height, picture.width):
            raise ModelError(
                f"{self.graph}: input '{node.name}' has shape {shape}, needs (1, C, {picture.height}, {picture.width})"
            )
        self.inputs[INPUT_IMAGE] = TensorType.of_dtype(shape[1:], DType("uint", 8))
        self.names[node] = INPUT_IMAGE + ".scaled"
        self.nodes.append(Node(INPUT_IMAGE + ".scaled", Scaled(picture.steps), (INPUT_IMAGE,)))

    def add_call(self, node: FxNode) -> None:
        importer = IMPORTERS.get(str(node.target))
        if importer is None:
            raise ModelError(
                f"{self.graph}: node '{node.name}' at {_module(node) or 'top level'}: operator {node.target} is not "
                f"supported (supported: {', '.join(sorted(IMPORTERS))})"
            )
        op, operands = importer(self, node)
        if all(name in self.constants for name in operands):  # a parameter's quantiser sits in its user's module
            made = Node(f"{operands[0]}.quantised", op, operands)
        else:
            made = Node(self.unique(_module(node) or node.name), op, operands)
        self.names[node] = made.name
        if made not in self.nodes:  # a shared parameter is quantised once
            self.nodes.append(made)

    def unique(self, wish: str) -> str:
        """A C identifier that no tensor bears yet."""
        stem = re.sub(r"\W", "_", wish)
        stem = stem if stem[0].isalpha() else f"t_{stem}"
        taken = {*self.names.values(), *self.inputs, *self.constants}
        return next(n for n in (stem, *(f"{stem}_{i}" for i in range(2, len(taken) + 3))) if n not in taken)

    def tensor(self, node: FxNode, position: int) -> str:
        return self.names[node.args[position]]  # type: ignore[index]

    def require(self, node: FxNode, holds: bool, what: str) -> None:
        if not holds:
            raise ModelError(f"{self.graph}: node '{node.name}' ({node.target}): {what}")


Imported = tuple[Op, tuple[str, ...]]


def _convolution(b: _Builder, node: FxNode) -> Imported:
    _, _, bias, stride, padding, dilation, groups = _arguments(node, None, None, None, 1, 0, 1, 1)
    b.require(node, _pair(dilation) == (1, 1), f"dilation {dilation} is not supported (allowed: 1)")
    b.require(node, not isinstance(padding, str), f"padding '{padding}' is not supported (give numbers)")
    ph, pw = _pair(padding)
    operands = (b.tensor(node, 0), b.tensor(node, 1), *((b.names[bias],) if bias is not None else ()))
    return Conv2d(_pair(stride), (ph, pw, ph, pw), int(groups)), operands


def _max_pool(b: _Builder, node: FxNode) -> Imported:
    _, kernel, stride, padding, dilation, ceil = _arguments(node, None, None, [], 0, 1, False)
    b.require(node, _pair(padding) == (0, 0), f"padding {padding} is not supported (allowed: 0)")
    b.require(node, _pair(dilation) == (1, 1) and not ceil, "dilation and ceil_mode are not supported")
    return MaxPool2d(_pair(kernel), _pair(stride or kernel)), (b.tensor(node, 0),)


def _concat(b: _Builder, node: FxNode) -> Imported:
    tensors, axis = _arguments(node, [], 0)
    b.require(node, axis in (1, -3), f"axis {axis} is not supported (allowed: 1, the channels)")
    return Concat(), tuple(b.names[t] for t in tensors)


def _batch_norm(b: _Builder, node: FxNode) -> Imported:
    _, gamma, beta, mean, var, training, _, eps = _arguments(node, *([None] * 5), False, 0.1, 1e-5)[:8]
    b.require(node, not training, "exported in training mode (call model.eval() first)")
    b.require(node, None not in (gamma, beta, mean, var), "needs weight, bias and running statistics")
    return BatchNorm(float(eps)), (b.tensor(node, 0), *(b.names[n] for n in (gamma, beta, mean, var)))


def _batch_norm_eps_outside(b: _Builder, node: FxNode) -> Imported:
    _, mean, var, gamma, beta, eps = _arguments(node, *([None] * 5), 1e-5)
    return BatchNorm(float(eps), True), (b.tensor(node, 0), *(b.names[n] for n in (gamma, beta, mean, var)))


def _quantise_weight_tanh(b: _Builder, node: FxNode) -> Imported:
    source, bits = b.tensor(node, 0), int(node.args[1])  # type: ignore[arg-type]
    b.require(node, source in b.constants, "quantises a tensor that is computed, needs a parameter")
    b.require(node, 2 <= bits <= 8, f"{bits} bits are not supported (allowed: 2..8)")
    bent = np.tanh(b.constants[source].astype(np.float64))
    largest = np.abs(bent).max()
    b.require(node, bool(largest > 0 and np.isfinite(largest)), f"weights '{source}' are all zero or not finite")
    normalised = f"{source}.tanh{bits}"
    b.constants[normalised] = bent / largest
    levels = (1 << (bits - 1)) - 1
    return FakeQuantize(float(levels), -levels, levels), (normalised,)


def _quantise_activation(b: _Builder, node: FxNode) -> Imported:
    bits = int(node.args[1])  # type: ignore[arg-type]
    b.require(node, 1 <= bits <= 8, f"{bits} bits are not supported (allowed: 1..8)")
    return FakeQuantize(float((1 << bits) - 1), 0, (1 << bits) - 1), (b.tensor(node, 0),)


def _space_to_depth(b: _Builder, node: FxNode) -> Imported:
    return SpaceToDepth(int(node.args[1])), (b.tensor(node, 0),)  # type: ignore[arg-type]


IMPORTERS: Mapping[str, Callable[[_Builder, FxNode], Imported]] = {
    "aten.batch_norm.default": _batch_norm,
    "aten.cat.default": _concat,
    "aten.conv2d.default": _convolution,
    "aten.conv2d.padding": _convolution,
    "aten.max_pool2d.default": _max_pool,
    "hetero.batch_norm_eps_outside.default": _batch_norm_eps_outside,
    "hetero.quantize_activation.default": _quantise_activation,
    "hetero.quantize_weight_tanh.default": _quantise_weight_tanh,
    "hetero.space_to_depth.default": _space_to_depth,
}


def _values(program: ExportedProgram, target: str) -> Array:
    value = program.state_dict.get(target, program.constants.get(target))
    if not isinstance(value, torch.Tensor):
        raise ModelError(f"constant '{target}' has no value in the archive")
    return np.asarray(value.detach().double().numpy() if value.is_floating_point() else value.detach().numpy())


def _module(node: FxNode) -> str:
    """The path of the module that made the node, as its user wrote it."""
    stack = node.meta.get("nn_module_stack") or {}
    return str(list(stack.values())[-1][0]) if stack else ""


def _arguments(node: FxNode, *defaults: Any) -> list[Any]:
    """Positional arguments, completed by defaults; keyword arguments are put in schema order by export."""
    return [*node.args, *defaults[len(node.args) :]]


def _pair(value: Any) -> tuple[int, int]:
    """PyTorch's 3, [3] or [3, 5] as (rows, columns)."""
    values = [int(v) for v in value] if isinstance(value, list | tuple) else [int(value)]
    return (values[0], values[-1])
