"""Region -> layers: chains of nodes that one kernel call executes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cpu_backend.variants import Variant
from ir.graph import Graph, NodeView
from ir.kinds import is_fallback
from ir.ops import (
    Add,
    Affine,
    Clip,
    Conv2d,
    GatedConv2d,
    MaxPool2d,
    Multiply,
    MultiplyShift,
    Op,
    PRelu,
    RPRelu,
    Sign,
    Thresholds,
)
from ir.types import TensorType

FUSED_POOL = MaxPool2d((2, 2), (2, 2))
Form = Literal["usual", "columns", "bits", "winograd", "streamed"]
"""A convolution's kernel: the usual ones; that for column-pruned weights, with pixels in the lanes; that which counts
bits; that of minimal filtering (Winograd); that of fully connected layers whose weights come from memory. Layers
of other kinds have one."""
MAPS: tuple[type[Op], ...] = (Clip, MultiplyShift, PRelu, RPRelu, Sign, Thresholds)
"""Operators that map each value by itself, with constants per channel."""


@dataclass(frozen=True, eq=False)
class Layer:
    """Nodes executed by one call; ``inputs`` are the run-time tensors it reads, its result is the last node's.

    ``form``: which kind of kernel executes it (`forms.cheapest` chooses). ``threads``: how many share it
    (`forms.shared` decides). ``choice``: the kernel that a tuner chose; None leaves it to the rules."""

    nodes: tuple[NodeView, ...]
    inputs: tuple[str, ...]
    form: Form = "usual"
    threads: int = 1
    choice: Variant | None = None

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
    def is_fallback(self) -> bool:
        """Whether it computes in reals, in a network of integers."""
        return is_fallback(self.first)

    @property
    def is_in_place(self) -> bool:
        """Whether it is a convolution each of whose results needs one pixel, and no pool follows."""
        op = self.first.op
        if not isinstance(op, Conv2d) or self.find(MaxPool2d):
            return False
        taps = self.first.operands[1].type.shape[2:]
        return taps == (1, 1) and not any(op.padding)

    @property
    def title(self) -> str:
        return " -> ".join(f"{type(view.op).__name__} {view.name}" for view in self.nodes)

    @property
    def map(self) -> NodeView | None:
        """The map at the layer's end, if there is one."""
        return self.nodes[-1] if is_map(self.nodes[-1]) else None

    def find(self, *kinds: type[Op]) -> NodeView | None:
        """The node of one of these kinds, if the layer has one."""
        return next((view for view in self.nodes if isinstance(view.op, kinds)), None)


def layers_of(graph: Graph) -> tuple[Layer, ...]:
    """The graph's nodes, each in one layer: convolution [+ 2x2 max-pool] [+ map], everything else alone.

    Of floats also convolution + clip + 2x2 max-pool, which is the same in the other order, and sum, product or affine
    map + clip or PReLU. Nodes are joined only where nothing else reads what lies between them.
    """
    layers: list[Layer] = []
    taken: set[str] = set()
    for node in graph.nodes:
        if node.name in taken:
            continue
        chain = [graph.view(node.name)]
        if is_fallback(chain[0]):
            pass
        elif not chain[0].type.dtype.is_integer:
            chain += _float_chain(graph, chain[0])
        elif isinstance(node.op, (Conv2d, GatedConv2d)):
            successor = _sole_reader(graph, chain[-1].name)
            if successor and successor.op == FUSED_POOL:
                chain.append(successor)
                successor = _sole_reader(graph, successor.name)
            if successor and is_map(successor) and successor.node.inputs[0] == chain[-1].name:
                chain.append(successor)
        taken.update(view.name for view in chain)
        layers.append(Layer(tuple(chain), tuple(i for i in node.inputs if i not in graph.constants)))
    return tuple(layers)


def _float_chain(graph: Graph, first: NodeView) -> list[NodeView]:
    """What the kernel of a layer of floats does behind its first node."""
    chain: list[NodeView] = []
    if not isinstance(first.op, (Conv2d, Add, Multiply, Affine)):
        return chain
    successor = _sole_reader(graph, first.name)
    pools = isinstance(first.op, Conv2d)
    for _ in range(2):
        if successor is None:
            break
        pooled = pools and successor.op == FUSED_POOL
        bent = isinstance(successor.op, Clip | PRelu) and not any(isinstance(v.op, Clip | PRelu) for v in chain)
        if not (pooled or bent):
            break
        chain.append(successor)
        pools = pools and not pooled and isinstance(successor.op, Clip)  # a PReLU may fall
        successor = _sole_reader(graph, successor.name)
    return chain


def is_map(view: NodeView) -> bool:
    """Whether a node maps each value of its first operand by itself; so does adding one number per channel."""
    if isinstance(view.op, Add):
        x, y = view.operands
        return x.value is None and y.value is not None and y.type.shape == x.type.shape[:1]
    return isinstance(view.op, MAPS)


def _sole_reader(graph: Graph, tensor: str) -> NodeView | None:
    readers = graph.consumers.get(tensor, ())
    return graph.view(readers[0]) if len(readers) == 1 and tensor not in graph.outputs else None
