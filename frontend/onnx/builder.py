"""The graph under construction: where each ONNX tensor lies in a (C, H, W) tensor, and what is constant."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, count
from typing import NoReturn

import numpy as np

from frontend.errors import ModelError
from frontend.onnx.model import LARGEST_MADE, OnnxNode, check_shape
from ir.graph import Node
from ir.ops import Affine, Op, Operand, Transpose
from ir.types import Array, TensorType

Axes = tuple[int, int, int]
NONE = -1
"""Stands for an axis of extent 1 that ONNX's tensor does not have."""


@dataclass(frozen=True)
class Value:
    """An ONNX tensor of ``shape`` (batch included) in the graph's ``tensor`` (C, H, W).

    ``axes`` says which axis of ONNX's tensor C, H and W are; axes that are not among them have extent 1. So transposing
    costs nothing until an operator needs an order (`Builder.arranged`).
    """

    tensor: str
    shape: tuple[int, ...]
    axes: Axes

    @property
    def extents(self) -> tuple[int, ...]:
        """Of C, H, W."""
        return tuple(1 if axis == NONE else self.shape[axis] for axis in self.axes)


@dataclass(frozen=True)
class Unfolded:
    """A tensor of more than three axes (`frontend.onnx.unfolded`): the elements of ONNX's tensor ``source`` read in the
    shape ``split``, of which axis ``order[i]`` is this one's axis i."""

    source: str
    split: tuple[int, ...]
    order: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.split[axis] for axis in self.order)


@dataclass(frozen=True, eq=False)
class Quantised:
    """A constant ``integers * scale``; ``scale`` broadcasts against it, with as many axes."""

    integers: Array
    scale: Array

    @property
    def values(self) -> Array:
        return np.asarray(self.integers * self.scale)


@dataclass
class Builder:
    """``whole``: a network of integers; ``floats``: one without quantisers; ``opset``: the version of its operators.

    ``values`` and ``unfolded`` are the run-time tensors by ONNX's name, ``grids`` the scale and zero point of those
    that ONNX holds as integers and the graph as real values; ``folded`` are the constants, ``quantised`` those of them
    that a quantiser made; ``origins`` and ``arrangements`` are what `arranged` has transposed. ``elements``: of the
    constants that nodes made, and how many there may be at ``most``. ``narrow``: of 4-bit constants their type."""

    graph: str
    whole: bool
    floats: bool = False
    opset: int = 21
    folded: dict[str, Array] = field(default_factory=dict)
    narrow: Mapping[str, str] = field(default_factory=dict)
    quantised: dict[str, Quantised] = field(default_factory=dict)
    grids: dict[str, tuple[Array, int]] = field(default_factory=dict)
    values: dict[str, Value] = field(default_factory=dict)
    unfolded: dict[str, Unfolded] = field(default_factory=dict)
    inputs: dict[str, TensorType] = field(default_factory=dict)
    constants: dict[str, Array] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    types: dict[str, TensorType] = field(default_factory=dict)
    arrangements: dict[tuple[object, ...], str] = field(default_factory=dict)
    origins: dict[str, tuple[str, tuple[int, ...]]] = field(default_factory=dict)
    elements: int = 0
    most: int = LARGEST_MADE

    def fail(self, node: OnnxNode, what: str) -> NoReturn:
        raise ModelError(f"{self.graph}: {node}: {what}")

    def require(self, node: OnnxNode, holds: bool, what: str) -> None:
        if not holds:
            self.fail(node, what)

    def value(self, node: OnnxNode, position: int = 0) -> Value:
        """The run-time tensor that an input of the node is."""
        name = node.inputs[position] if position < len(node.inputs) else ""
        if name in self.unfolded:
            self.fail(node, f"operand {position} has shape {self.unfolded[name].shape}: more than three axes")
        if name not in self.values:
            what = "is a constant, needs a computed tensor" if name in self.folded else "is missing"
            self.fail(node, f"operand {position} {what}")
        return self.values[name]

    def constant(self, node: OnnxNode, position: int, default: Array | None = None) -> Array:
        """The constant that an input of the node is."""
        name = node.inputs[position] if position < len(node.inputs) else ""
        if name in self.folded:
            return self.folded[name]
        if name or default is None:
            self.fail(node, f"operand {position} ('{name}') has to be a constant")
        return default

    def fold(self, node: OnnxNode, values: Array, quantised: Quantised | None = None) -> None:
        """The node's first output is a constant, which a quantiser made if ``quantised``."""
        self.elements += values.size
        self.require(node, self.elements <= self.most, f"constants of more than {self.most} elements in all")
        self.folded[node.outputs[0]] = values
        if quantised is not None:
            self.quantised[node.outputs[0]] = quantised

    def integers(self, node: OnnxNode, values: Array, what: str) -> Array:
        """A constant as int64; what is no integer belongs to a float network."""
        wide = np.asarray(values, np.float64) if values.dtype.kind == "f" else values
        whole = wide.dtype.kind in "iub" or bool(np.isfinite(wide).all() and (np.rint(wide) == wide).all())
        self.require(node, whole, f"{what} holds values that are no integers, in a network of integers")
        self.require(node, wide.size == 0 or float(np.abs(wide).max()) < 2.0**53, f"{what} exceeds 53 bits")
        return np.asarray(wide).astype(np.int64)

    def real(self, node: OnnxNode, values: Array, what: str) -> Array:
        """A constant as float64; ModelError where it is not finite."""
        self.require(node, bool(np.isfinite(values).all()), f"{what} holds values that are not finite")
        return values.astype(np.float64)

    @property
    def by_name(self) -> dict[str, Node]:
        return {made.name: made for made in self.nodes}

    def define(self, node: OnnxNode, value: Value) -> None:
        """The node's first output."""
        check_shape(f"{self.graph}: {node}: its result", value.shape)
        self.values[node.outputs[0]] = value

    def emit(
        self, node: OnnxNode, op: Op, *tensors: str, name: str = "", constants: Mapping[str, Array] | None = None
    ) -> str:
        """Appends a graph node that reads tensors and then constants (by role); the name of its result.

        The node bears the name of ONNX's tensor, followed by ``name`` where it is only a step towards it.
        """
        wish = f"{node.outputs[0]}.{name}" if name else node.outputs[0]
        result = self.unique(wish)
        roles = {f"{result}.{role}": np.asarray(values) for role, values in (constants or {}).items()}
        operands = [Operand(self.types[t]) for t in tensors]
        operands += [Operand(TensorType.of_values(v), v) for v in roles.values()]
        try:
            type_ = op.infer(operands)
        except ValueError as error:  # an OperatorError, or a range that no element type holds
            self.fail(node, str(error))
        check_shape(f"{self.graph}: {node}: its result", type_.shape)
        self.types[result] = type_
        self.constants |= roles
        self.nodes.append(Node(result, op, (*tensors, *roles)))
        return result

    def map(self, node: OnnxNode, op: Op, x: Value, name: str = "", **constants: Array) -> Value:
        """`emit` of an operator that keeps the shape."""
        return Value(self.emit(node, op, x.tensor, name=name, constants=constants), x.shape, x.axes)

    def affine(self, node: OnnxNode, x: Value, scale: float, offset: float = 0.0, name: str = "") -> Value:
        """``x * scale + offset`` of real values."""
        channels = self.types[x.tensor].shape[0]
        return self.map(node, Affine(), x, name, scale=np.full(channels, scale), offset=np.full(channels, offset))

    def unique(self, wish: str) -> str:
        """A C identifier that no tensor bears yet."""
        stem = re.sub(r"\W", "_", wish, flags=re.ASCII)
        stem = stem if stem[:1].isalpha() else f"t_{stem}"
        taken = self.types
        return next(n for n in chain((stem,), (f"{stem}_{i}" for i in count(2))) if n not in taken)

    def arranged(self, node: OnnxNode, x: Value, axes: Sequence[int]) -> Value:
        """x with these of ONNX's axes as C, H, W (in front of axes of extent 1); transposed where that moves values."""
        wanted = (*axes, *[NONE] * (3 - len(axes)))
        rest = [axis for axis in range(len(x.shape)) if axis not in axes and x.shape[axis] > 1]
        self.require(node, len(wanted) == 3 and not rest, f"a tensor of shape {x.shape} has too many axes")
        moved = Value(x.tensor, x.shape, wanted)  # type: ignore[arg-type]
        if moved.extents == x.extents and _large(moved) == _large(x):
            return moved
        free = [i for i in range(3) if x.extents[i] == 1]
        order = tuple(
            x.axes.index(axis) if extent > 1 else free.pop()
            for axis, extent in zip(moved.axes, moved.extents, strict=True)
        )
        return Value(self._transposed(node, x.tensor, order), x.shape, moved.axes)

    def per_channel(self, node: OnnxNode, x: Value, *constants: Array) -> tuple[Value, list[Array]]:
        """x with the axis along which the constants vary as its channels, and each constant as (C,)."""
        for values in constants:
            self._need_broadcast(node, x, values)
        axes = {axis for values in constants for axis in varying_axes(values, len(x.shape))}
        self.require(node, len(axes) < 2, f"constants vary along the axes {sorted(axes)}, one is supported")
        for axis in axes - {x.axes[0]}:
            x = self.arranged(node, x, (axis, *(a for a in range(len(x.shape)) if a != axis and x.shape[a] > 1)))
        return x, [self.laid_out(node, x, values)[:, 0, 0] for values in constants]

    def laid_out(self, node: OnnxNode, x: Value, values: Array) -> Array:
        """A constant that is broadcast against x, as x lies in the graph: (C, H, W)."""
        self._need_broadcast(node, x, values)
        whole = np.broadcast_to(values, x.shape)
        used = [axis for axis in x.axes if axis != NONE]
        rest = [axis for axis in range(len(x.shape)) if axis not in used]
        return np.asarray(whole.transpose(*used, *rest).reshape(x.extents))

    def _need_broadcast(self, node: OnnxNode, x: Value, values: Array) -> None:
        shape = (1,) * (len(x.shape) - values.ndim) + values.shape
        fits = len(shape) == len(x.shape) and all(a in (1, b) for a, b in zip(shape, x.shape, strict=True))
        self.require(node, fits, f"a constant of shape {values.shape} does not broadcast to {x.shape}")

    def _transposed(self, node: OnnxNode, tensor: str, order: tuple[int, ...]) -> str:
        """The tensor with its axes in this order, which may be there already: transposing twice brings back the first
        tensor, and what two nodes need is made once."""
        root, known = self.origins.get(tensor, (tensor, (0, 1, 2)))
        whole = tuple(known[axis] for axis in order)
        shape = self.types[root].shape
        large = tuple(axis for axis in whole if shape[axis] > 1)
        key = (root, large, tuple(shape[axis] for axis in whole))
        own = (root, tuple(axis for axis in range(3) if shape[axis] > 1), shape)
        self.arrangements.setdefault(own, root)
        if key not in self.arrangements:
            made = self.emit(node, Transpose(whole), root, name="moved")  # type: ignore[arg-type]
            self.arrangements[key] = made
            self.origins[made] = (root, whole)
        return self.arrangements[key]


def _large(value: Value) -> tuple[int, ...]:
    """The axes that have more than one element, in C, H, W order."""
    return tuple(axis for axis, extent in zip(value.axes, value.extents, strict=True) if extent > 1)


def standard_axes(shape: Sequence[int]) -> Axes | None:
    """Where a tensor of this ONNX shape lies by default: its axes in order, without the batch; None if there are more
    than three."""
    axes = list(range(len(shape)))
    if len(axes) > 1 and shape[0] == 1:
        axes.remove(0)
    for axis in list(axes):
        if len(axes) > 3 and shape[axis] == 1:
            axes.remove(axis)
    if len(axes) > 3:
        return None
    first, second, third = (*axes, *[NONE] * (3 - len(axes)))
    return first, second, third


def varying_axes(values: Array, rank: int) -> tuple[int, ...]:
    """The axes of a tensor of ``rank`` along which a constant that is broadcast against it is not the same."""
    offset = rank - values.ndim
    axes = (a for a in range(values.ndim) if values.shape[a] > 1 and (values != values.take([0], axis=a)).any())
    return tuple(axis + offset for axis in axes)
