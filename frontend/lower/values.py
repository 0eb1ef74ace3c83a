"""What freezing knows of a value: an integer tensor and how real values follow from it; and what is frozen so far."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NoReturn

import numpy as np

from frontend.errors import ModelError
from ir.graph import Graph, Node
from ir.ops import Op, Operand
from ir.types import Array, TensorType


@dataclass(frozen=True, eq=False)
class Step:
    """A function of real values (C, n). ``slope``: what it multiplies by where it is not flat, a number or (C, 1); None
    where that varies. ``falls``: it rises for some values and falls for others."""

    function: Callable[[Array], Array]
    slope: float | Array | None = None
    per_channel: bool = False
    falls: bool = False


@dataclass(frozen=True, eq=False)
class Value:
    """``real = integer[tensor] * gain[c] / steps + offset[c]``, then ``curve``; ``bits`` is the precision its products
    carry.

    ``steps`` is a product of level counts and therefore exact. ``gain`` and ``offset`` have one number, or one per
    channel. ``raw``: an input before its quantiser, whose map is in the input's record (`frontend.lower.feeds`).
    """

    tensor: str
    steps: float = 1.0
    bits: int = 0
    gain: Array | None = None
    offset: Array | None = None
    curve: tuple[Step, ...] = ()
    raw: bool = False

    @property
    def is_scaled_only(self) -> bool:
        return self.gain is None and self.offset is None and not self.curve and not self.raw

    @property
    def uniform(self) -> bool:
        """Whether all channels have the same map."""
        arrays = (self.gain, self.offset)
        return all(a is None or a.size == 1 for a in arrays) and not any(step.per_channel for step in self.curve)

    @property
    def scales(self) -> Array:
        """(1,) or (C,): real values per integer, before ``curve``."""
        return (np.ones(1) if self.gain is None else self.gain) / self.steps

    def real(self, integers: Array) -> Array:
        """The real values of integers (C, n)."""
        values = integers * self.scales.reshape(-1, 1)
        if self.offset is not None:
            values = values + self.offset.reshape(-1, 1)
        for step in self.curve:
            values = step.function(values)
        return np.asarray(values)

    @property
    def slopes(self) -> Array | None:
        """(1,) or (C,): how real values grow with the integer where they do; None where that varies."""
        slopes = self.scales
        for step in self.curve:
            if step.slope is None:
                return None
            slopes = slopes * np.ravel(step.slope)
        return slopes

    def then(self, gain: Array, offset: Array) -> Value:
        """``real * gain + offset``, each (1,) or (C,)."""
        if self.raw:
            return self
        if self.curve:
            g, o = gain.reshape(-1, 1), offset.reshape(-1, 1)
            return replace(self, curve=(*self.curve, Step(lambda x: x * g + o, g, max(g.size, o.size) > 1)))
        before = np.zeros(1) if self.offset is None else self.offset
        moved = before * gain + offset
        return replace(
            self,
            gain=gain if self.gain is None else self.gain * gain,
            offset=moved if self.offset is not None or moved.any() else None,
        )


def one(values: Array) -> Array:
    """(1,) where all numbers of a vector are the same."""
    return values[:1] if (values == values[0]).all() else values


@dataclass
class State:
    """What is frozen so far. ``values`` maps tensors of the float graph to their integer form, ``reals`` those that are
    computed in reals (`frontend.lower.fallback`) to their tensor; ``inputs`` are those of the integer graph."""

    graph: Graph
    fraction_bits: int
    inputs: dict[str, TensorType]
    nodes: list[Node] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)
    values: dict[str, Value] = field(default_factory=dict)
    reals: dict[str, str] = field(default_factory=dict)
    types: dict[str, TensorType] = field(default_factory=dict)

    def fail(self, node: Node, what: str) -> NoReturn:
        raise ModelError(f"{self.graph.name}: node '{node.name}': {what}")

    def operand(self, node: Node, name: str) -> Value:
        if name not in self.values:
            self.fail(node, f"operand '{name}' is not quantised")
        return self.values[name]

    def type_of(self, tensor: str) -> TensorType:
        known = self.types.get(tensor) or self.inputs.get(tensor)
        return known or TensorType.of_values(self.constants[tensor])

    def constant(self, name: str, values: Array) -> str:
        self.constants[name] = values
        return name

    def emit(self, node: Node, op: Op, inputs: tuple[str, ...], step: str = "") -> str:
        """Append an integer node under the float node's name, followed by ``step`` where it only leads there."""
        name = f"{node.name}.{step}" if step else node.name
        try:
            self.types[name] = op.infer([Operand(self.type_of(i), self.constants.get(i)) for i in inputs])
        except ValueError as error:  # an OperatorError, or a range that no element type holds
            self.fail(node, str(error))
        self.nodes.append(Node(name, op, inputs))
        return name
