"""The graph: nodes in topological order, each producing the one tensor that bears its name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from ir.ops import Op, Operand
from ir.types import Array, TensorType


class GraphError(ValueError):
    """A graph that breaks a rule; the message names graph, node and rule."""


@dataclass(frozen=True)
class Node:
    """An operator applied to named tensors; ``name`` is also the name of its result."""

    name: str
    op: Op
    inputs: tuple[str, ...]


def _read_only(array: Array) -> Array:
    """The array itself if nobody can write to it by that name; otherwise a view, and the caller's stays as it is."""
    if not array.flags.writeable:
        return array
    view = array.view()
    view.setflags(write=False)
    return view


@dataclass(frozen=True, eq=False)
class Graph:
    """``inputs`` are the run-time tensors; ``constants`` may be operands of any node; ``outputs`` name tensors.

    The graph cannot write to its constants, and whoever made them must not do so either: what is found out about one is
    remembered (`ir.memo`). They are not copied.
    """

    name: str
    inputs: Mapping[str, TensorType]
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    constants: Mapping[str, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "constants", {name: _read_only(value) for name, value in self.constants.items()})

    @cached_property
    def types(self) -> Mapping[str, TensorType]:
        """The type of every tensor; GraphError names the first node that has none."""
        types = dict(self.inputs)
        for name, value in self.constants.items():
            if name in types:
                raise GraphError(f"{self.name}: '{name}' is both an input and a constant")
            types[name] = TensorType.of_values(value)
        for node in self.nodes:
            if node.name in types:
                raise GraphError(f"{self.name}: tensor '{node.name}' is defined twice")
            missing = [i for i in node.inputs if i not in types]
            if missing:
                raise GraphError(
                    f"{self.name}: node '{node.name}' reads '{missing[0]}', which nothing before it defines"
                )
            operands = [Operand(types[i], self.constants.get(i)) for i in node.inputs]
            try:
                types[node.name] = node.op.infer(operands)
            except ValueError as error:  # an OperatorError, or a range that no element type holds
                raise GraphError(f"{self.name}: node '{node.name}' ({type(node.op).__name__}): {error}") from error
        return types

    @cached_property
    def by_name(self) -> Mapping[str, Node]:
        return {node.name: node for node in self.nodes}

    @cached_property
    def consumers(self) -> Mapping[str, tuple[str, ...]]:
        """The nodes that read each tensor, in order; a node that reads a tensor twice is listed once."""
        table: dict[str, list[str]] = {}
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                table.setdefault(name, []).append(node.name)
        return {name: tuple(users) for name, users in table.items()}

    def view(self, name: str) -> NodeView:
        return NodeView(self, self.by_name[name])

    def views(self) -> Iterable[NodeView]:
        return (self.view(node.name) for node in self.nodes)

    def verify(self) -> Graph:
        """This graph, if it is well formed: defined once, ordered, typed, outputs present, no stray constants."""
        for name in self.outputs:
            if name not in self.types:
                raise GraphError(f"{self.name}: output '{name}' is not defined")
        if not self.outputs:
            raise GraphError(f"{self.name}: no outputs")
        used = {i for node in self.nodes for i in node.inputs}
        stray = [name for name in self.constants if name not in used]
        if stray:
            raise GraphError(f"{self.name}: constant '{stray[0]}' is read by no node")
        return self

    def with_nodes(
        self,
        nodes: Iterable[Node],
        constants: Mapping[str, Array] | None = None,
        outputs: tuple[str, ...] | None = None,
    ) -> Graph:
        """This graph with other nodes; constants that nothing reads are dropped."""
        chosen = tuple(nodes)
        pool = dict(self.constants if constants is None else constants)
        used = {i for node in chosen for i in node.inputs}
        return replace(
            self,
            nodes=chosen,
            constants={name: value for name, value in pool.items() if name in used},
            outputs=self.outputs if outputs is None else outputs,
        )

    def subgraph(self, name: str, nodes: Iterable[str]) -> Graph:
        """The graph of some nodes: what they read from outside becomes inputs, what is read outside becomes outputs."""
        inside = set(nodes)
        chosen = tuple(node for node in self.nodes if node.name in inside)
        read = dict.fromkeys(i for node in chosen for i in node.inputs)
        inputs = {i: self.types[i] for i in read if i not in inside and i not in self.constants}
        outputs = tuple(
            node.name
            for node in chosen
            if node.name in self.outputs or any(user not in inside for user in self.consumers.get(node.name, ()))
        )
        constants = {i: self.constants[i] for i in read if i in self.constants}
        return Graph(name, inputs, chosen, outputs, constants)


@dataclass(frozen=True, eq=False)
class NodeView:
    """A node in its graph: what a rule about one node may look at."""

    graph: Graph
    node: Node

    @property
    def name(self) -> str:
        return self.node.name

    @property
    def op(self) -> Op:
        return self.node.op

    @property
    def operands(self) -> tuple[Operand, ...]:
        return tuple(Operand(self.graph.types[i], self.graph.constants.get(i)) for i in self.node.inputs)

    @property
    def type(self) -> TensorType:
        return self.graph.types[self.node.name]

    @property
    def sole_user(self) -> NodeView | None:
        """The one node that reads the result, where nothing else does."""
        users = self.graph.consumers.get(self.node.name, ())
        if len(users) != 1 or self.node.name in self.graph.outputs:
            return None
        return self.graph.view(users[0])
