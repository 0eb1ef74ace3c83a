"""The graph under construction while an exported program is read."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain, count
from typing import Any

import numpy as np
from torch.fx import Node as FxNode

from frontend.errors import ModelError
from ir.graph import Node
from ir.ops import Affine, Op, Scaled
from ir.records import Picture
from ir.types import Array, DType, TensorType

INPUT = "input"


@dataclass(frozen=True)
class View:
    """A value whose shape the graph has not (`frontend.torch_views`): the elements of ``tensor``, read in the shape
    ``split``, of which axis ``order[i]`` is this one's axis i. ``own``: that is the shape of the tensor itself."""

    tensor: str
    split: tuple[int, ...]
    order: tuple[int, ...]
    own: bool = False


Imported = tuple[Op, tuple[str, ...]] | str | View
"""An operator and its operands; or the tensor that the result already is, or a view of one."""
VIEWING = {
    "aten.clone.default", "aten.contiguous.default", "aten.flatten.using_ints", "aten.permute.default",
    "aten.reshape.default", "aten.squeeze.default", "aten.squeeze.dim", "aten.squeeze.dims", "aten.transpose.int",
    "aten.unsqueeze.default", "aten.view.default", "aten.add.Tensor", "aten.div.Tensor", "aten.layer_norm.default",
    "aten.linear.default", "aten.mul.Tensor", "aten.sub.Tensor",
}  # fmt: skip
"""Operators that read views, or some of them."""
POINTWISE = {
    f"aten.{name}.default" for name in ("elu", "gelu", "hardsigmoid", "hardswish", "relu", "sigmoid", "silu", "tanh")
}
"""Functions of each element, which may read views."""


@dataclass
class Builder:
    """The graph under construction; ``names`` and ``views`` map each recorded value to its tensor, or what it is of
    one."""

    graph: str
    importers: Mapping[str, Importer]
    inputs: dict[str, TensorType] = field(default_factory=dict)
    constants: dict[str, Array] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    names: dict[FxNode, str] = field(default_factory=dict)
    views: dict[FxNode, View] = field(default_factory=dict)

    def add_input(self, node: FxNode, picture: Picture | None) -> None:
        """The input of the program: a picture, or else a plain tensor of real values."""
        shape = shape_of(node)
        if self.inputs:
            raise ModelError(f"{self.graph}: input '{node.name}': one input is supported, this is a second")
        if picture is None:
            if len(shape) not in (2, 4) or shape[0] != 1:
                raise ModelError(f"{self.graph}: input '{node.name}' has shape {shape}, needs (1, C) or (1, C, H, W)")
            extents = shape[1:] if len(shape) == 4 else (shape[1], 1, 1)
            self.inputs[INPUT] = TensorType.of_dtype(extents, DType("float", 64))
            self.names[node] = INPUT
            return
        if len(shape) != 4 or shape[0] != 1 or shape[2:] != (picture.height, picture.width):
            raise ModelError(
                f"{self.graph}: input '{node.name}' has shape {shape}, needs (1, C, {picture.height}, {picture.width})"
            )
        self.inputs[INPUT] = TensorType.of_dtype(shape[1:], DType("uint", 8))
        self.names[node] = INPUT + ".scaled"
        self.nodes.append(Node(INPUT + ".scaled", Scaled(picture.steps), (INPUT,)))
        if picture.mean:
            scale = 1 / np.asarray(picture.std, np.float64)
            offset = -np.asarray(picture.mean, np.float64) * scale
            self.names[node] = INPUT + ".normalised"
            operands = (INPUT + ".scaled", *self.constants_of(self.names[node], scale=scale, offset=offset))
            self.nodes.append(Node(self.names[node], Affine(), operands))

    def add_call(self, node: FxNode) -> None:
        importer = self.importers.get(str(node.target))
        if importer is None:
            known = ", ".join(sorted(name for name in self.importers if "." in name))
            raise ModelError(
                f"{self.graph}: node '{node.name}' at {module_of(node) or 'top level'}: operator {node.target} is not "
                f"supported (supported: {known})"
            )
        viewed = [arg for arg in node.all_input_nodes if arg in self.views]
        if viewed and str(node.target) in POINTWISE:
            self._behind(node, viewed[0], importer)
            return
        fits = not viewed or str(node.target) in VIEWING
        self.require(node, fits, f"reads shape {[shape_of(arg) for arg in viewed]}: no (1, C[, H, W])")
        imported = importer(self, node)
        if isinstance(imported, View):
            self.views[node] = imported
            return
        if isinstance(imported, str):
            self.names[node] = imported
            return
        op, operands = imported
        if all(name in self.constants for name in operands):  # a parameter's quantiser sits in its user's module
            made = Node(f"{operands[0]}.quantised", op, operands)
        else:
            made = Node(self.unique(module_of(node) or node.name), op, operands)
        self.names[node] = made.name
        if made not in self.nodes:  # a shared parameter is quantised once
            self.nodes.append(made)

    def _behind(self, node: FxNode, viewed: FxNode, importer: Importer) -> None:
        """A function of each element of a view, which is one of the tensor's elements."""
        view = self.views[viewed]
        self.names[viewed] = view.tensor
        imported = importer(self, node)
        del self.names[viewed]
        assert isinstance(imported, tuple)
        op, operands = imported
        self.views[node] = replace(view, tensor=self.made(node, op, *operands))

    def unique(self, wish: str) -> str:
        """A C identifier that no tensor bears yet."""
        stem = re.sub(r"\W", "_", wish)
        stem = stem if stem[0].isalpha() else f"t_{stem}"
        taken = {*self.names.values(), *self.inputs, *self.constants, *(node.name for node in self.nodes)}
        return next(n for n in chain((stem,), (f"{stem}_{i}" for i in count(2))) if n not in taken)

    def step(self, node: FxNode, step: str, op: Op, *operands: str) -> str:
        """The tensor of an operator on the way to the recorded one."""
        name = self.unique(f"{node.name}.{step}")
        self.nodes.append(Node(name, op, operands))
        return name

    def made(self, node: FxNode, op: Op, *operands: str) -> str:
        """The recorded tensor, where that is not left to `add_call`: it is called like its module."""
        name = self.unique(module_of(node) or node.name)
        self.nodes.append(Node(name, op, operands))
        return name

    def tensor(self, node: FxNode, position: int) -> str:
        return self.names[node.args[position]]  # type: ignore[index]

    def constants_of(self, owner: str, **values: Array) -> tuple[str, ...]:
        """New constants called ``<owner>.<key>``; their names."""
        named = {f"{owner}.{key}": value for key, value in values.items()}
        self.constants.update(named)
        return tuple(named)

    def constant(self, node: FxNode, argument: object, what: str) -> Array:
        """The value of an argument that is a number or a parameter; ModelError where it is computed."""
        if isinstance(argument, int | float):
            return np.asarray(argument, np.float64)
        name = self.names.get(argument, "") if isinstance(argument, FxNode) else ""
        self.require(node, name in self.constants, f"{what} must be a constant")
        return self.constants[name]

    def require(self, node: FxNode, holds: bool, what: str) -> None:
        if not holds:
            raise ModelError(f"{self.graph}: node '{node.name}' ({node.target}): {what}")


Importer = Callable[[Builder, FxNode], Imported]


def module_of(node: FxNode) -> str:
    """The path of the module that made the node, as its user wrote it."""
    stack = node.meta.get("nn_module_stack") or {}
    return str(list(stack.values())[-1][0]) if stack else ""


def shape_of(node: object) -> tuple[int, ...]:
    """PyTorch's shape of a recorded value."""
    assert isinstance(node, FxNode)
    return tuple(int(n) for n in node.meta["val"].shape)


def arguments(node: FxNode, *defaults: Any) -> list[Any]:
    """Positional arguments, completed by defaults; keyword arguments are put in schema order by export."""
    return [*node.args, *defaults[len(node.args) :]]


def pair(value: Any) -> tuple[int, int]:
    """PyTorch's 3, [3] or [3, 5] as (rows, columns)."""
    values = [int(v) for v in value] if isinstance(value, list | tuple) else [int(value)]
    return (values[0], values[-1])
