"""The second kind of zoo entry: a family whose state dict becomes an integer graph at once, without a module.

For networks whose files hold integers (weights, thresholds), or float values that stand around integer operators and
for which no trainable module is needed. The sizes of a network are read off its shapes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from frontend.errors import ModelError
from ir.graph import Graph, Node
from ir.ops import Op, Operand
from ir.records import Dequantise, Head, Picture
from ir.types import Array, TensorType

Arrays = Mapping[str, Array]
"""A state dict as numpy arrays."""


@dataclass(frozen=True)
class Integers:
    """One network of a family: its integer graph with the records around it; ``description`` is a few words."""

    graph: Graph
    dequantise: Mapping[str, Dequantise]
    picture: Picture
    head: Head
    description: str


@dataclass(frozen=True)
class IntegerFamily:
    """A family by name; ``tensors`` says in words what a state dict of it holds.

    ``matches`` looks at names and ranks only; ``build`` raises ModelError saying what is wrong with a tensor, without
    the file's name.
    """

    name: str
    matches: Callable[[Arrays], bool]
    build: Callable[[Arrays], Integers]
    tensors: str


@dataclass
class Builder:
    """An integer graph that grows node by node; ``types`` has those of its run-time tensors."""

    inputs: Mapping[str, TensorType]
    nodes: list[Node] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)
    types: dict[str, TensorType] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.types.update(self.inputs)

    def add(self, name: str, op: Op, *inputs: str, **constants: Array) -> str:
        """A node on these tensors and on constants, which are called ``<name>.<keyword>``; returns its name.

        ModelError says why the operator cannot take them.
        """
        try:
            fixed = [Operand(TensorType.of_values(value), value) for value in constants.values()]
            self.types[name] = op.infer([*(Operand(self.types[i]) for i in inputs), *fixed])
        except ValueError as error:  # an OperatorError, or a range that no element type holds
            raise ModelError(f"'{name}': {error}") from None
        names = {key: f"{name}.{key}" for key in constants}
        self.constants.update({names[key]: value for key, value in constants.items()})
        self.nodes.append(Node(name, op, (*inputs, *names.values())))
        return name

    def graph(self, name: str, output: str) -> Graph:
        return Graph(name, self.inputs, tuple(self.nodes), (output,), self.constants).verify()
