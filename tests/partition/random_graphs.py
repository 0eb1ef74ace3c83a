"""Random graphs of small tensors, with tables for fake engines, drawn by hypothesis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hypothesis import strategies as st

from ir.engine import Candidate
from ir.graph import Graph, Node
from ir.ops import Add, MaxPool2d
from ir.target import Resources
from ir.types import DType, TensorType


@dataclass(frozen=True)
class Case:
    """A graph, candidates by node for the accelerator and the CPU (nodes without any are not taken), a budget."""

    graph: Graph
    device: dict[str, list[Candidate]]
    cpu: dict[str, int]
    budget: Resources
    objective: Literal["throughput", "latency"]
    invocation_us: float


@st.composite
def cases(draw: st.DrawFn, most: int = 7) -> Case:
    count = draw(st.integers(1, most))
    nodes: list[Node] = []
    for i in range(count):
        known = ["x", *(node.name for node in nodes)]
        if len(known) > 1 and draw(st.booleans()):
            inputs = tuple(draw(st.lists(st.sampled_from(known), min_size=2, max_size=2)))
            nodes.append(Node(f"n{i}", Add(), inputs))
        else:
            nodes.append(Node(f"n{i}", MaxPool2d((1, 1), (1, 1)), (draw(st.sampled_from(known[-3:])),)))
    used = {i for node in nodes for i in node.inputs}
    ends = tuple(node.name for node in nodes if node.name not in used)
    type_ = TensorType.of_dtype((8, 1, 1), DType("uint", 8))
    graph = Graph("drawn", {"x": type_}, tuple(nodes), ends, {}).verify()
    names = [node.name for node in nodes]
    way = st.builds(
        lambda c, d, b: Candidate(c, Resources(dsp=d, bram18=b)), *[st.integers(1, 3000)], *[st.integers(0, 5)] * 2
    )
    device = {n: draw(st.lists(way, min_size=1, max_size=4)) for n in names if draw(st.integers(0, 3))}
    cpu = {n: draw(st.integers(1, 4000)) for n in names if n not in device or draw(st.integers(0, 9))}
    budget = Resources(dsp=draw(st.integers(0, 15)), bram18=draw(st.integers(0, 15)))
    objective = draw(st.sampled_from(["throughput", "latency"]))
    return Case(graph, device, cpu, budget, objective, draw(st.sampled_from([0.0, 50.0])))  # type: ignore[arg-type]
