"""Region -> layers: chains of nodes that one kernel call executes."""

from __future__ import annotations

from dataclasses import dataclass

from ir.graph import Graph, NodeView
from ir.ops import Conv2d, MaxPool2d, MultiplyShift, Op, Thresholds
from ir.types import TensorType

FUSED_POOL = MaxPool2d((2, 2), (2, 2))
REQUANTISE: tuple[type[Op], ...] = (MultiplyShift, Thresholds)


@dataclass(frozen=True, eq=False)
class Layer:
    """Nodes executed by one call; ``inputs`` are the run-time tensors it reads, its result is the last node's."""

    nodes: tuple[NodeView, ...]
    inputs: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.nodes[-1].name

    @property
    def first(self) -> NodeView:
        return self.nodes[0]

    @property
    def x(self) -> TensorType:
        return self.nodes[0].operands[0].type

    @property
    def y(self) -> TensorType:
        return self.nodes[-1].type

    @property
    def title(self) -> str:
        return " -> ".join(f"{type(view.op).__name__} {view.name}" for view in self.nodes)

    def find(self, *kinds: type[Op]) -> NodeView | None:
        """The node of one of these kinds, if the layer has one."""
        return next((view for view in self.nodes if isinstance(view.op, kinds)), None)


def layers_of(graph: Graph) -> tuple[Layer, ...]:
    """The graph's nodes, each in one layer: convolution [+ 2x2 max-pool] [+ requantisation], everything else alone.

    Nodes are joined only where nothing else reads what lies between them.
    """
    layers: list[Layer] = []
    taken: set[str] = set()
    for node in graph.nodes:
        if node.name in taken:
            continue
        chain = [graph.view(node.name)]
        if isinstance(node.op, Conv2d):
            successor = _sole_reader(graph, chain[-1].name)
            if successor and successor.op == FUSED_POOL:
                chain.append(successor)
                successor = _sole_reader(graph, successor.name)
            if successor and isinstance(successor.op, REQUANTISE) and successor.node.inputs[0] == chain[-1].name:
                chain.append(successor)
        taken.update(view.name for view in chain)
        layers.append(Layer(tuple(chain), tuple(i for i in node.inputs if i not in graph.constants)))
    return tuple(layers)


def _sole_reader(graph: Graph, tensor: str) -> NodeView | None:
    readers = graph.consumers.get(tensor, ())
    return graph.view(readers[0]) if len(readers) == 1 and tensor not in graph.outputs else None
