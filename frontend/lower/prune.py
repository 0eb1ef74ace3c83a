"""``--prune N:M[/TILE]``: columns of weights set to zero, without training, for kernels that skip them."""

from __future__ import annotations

import re
from collections.abc import Set
from dataclasses import dataclass

import numpy as np

from frontend.errors import ModelError
from frontend.training.columns import prune_columns
from ir.graph import Graph, Node
from ir.ops import Conv2d

ALLOWED = "N:M or N:M/TILE: N of M columns are kept, the same ones in TILE neighbouring output channels; 1 <= N < M"


@dataclass(frozen=True)
class Pruning:
    """Column-wise N:M pruning by magnitude (`frontend.training.columns`) in tiles of ``tile`` output channels."""

    n: int
    m: int
    tile: int = 1

    @staticmethod
    def parse(text: str) -> Pruning:
        """ModelError where it is none."""
        found = re.fullmatch(r"([0-9]{1,4}):([0-9]{1,4})(?:/([0-9]{1,3}))?", text)
        pruning = Pruning(int(found[1]), int(found[2]), int(found[3] or 1)) if found else None
        if pruning is None or not 1 <= pruning.n < pruning.m or pruning.tile < 1:
            raise ModelError(f"--prune {text}: no pruning (allowed: {ALLOWED})")
        return pruning

    def __str__(self) -> str:
        return f"{self.n}:{self.m} columns" + (f" in tiles of {self.tile} channels" if self.tile > 1 else "")


@dataclass(frozen=True)
class PruneColumns:
    """A graph with pruned weights in these convolutions, integers or float32; see `prunable`."""

    pruning: Pruning
    nodes: Set[str]

    def __call__(self, graph: Graph) -> Graph:
        constants, nodes = dict(graph.constants), []
        for node in graph.nodes:
            if node.name in self.nodes:
                weights, p = graph.constants[node.inputs[1]], self.pruning
                name = node.inputs[1] if graph.consumers[node.inputs[1]] == (node.name,) else f"{node.name}.pruned"
                constants[name] = prune_columns(weights, p.n, p.m, p.tile)
                nodes.append(Node(node.name, node.op, (node.inputs[0], name, *node.inputs[2:])))
            else:
                nodes.append(node)
        return graph.with_nodes(nodes, constants)


def prunable(graph: Graph) -> list[str]:
    """Convolutions without groups, of weights other than -1 and +1 (a zero is no such weight), but for those with no
    convolution before them: what reads the picture is small, and what it loses is lost for all."""
    behind: set[str] = set()  # tensors that a convolution has been at
    found = []
    for node in graph.nodes:
        if not isinstance(node.op, Conv2d):
            behind.update([node.name] if behind.intersection(node.inputs) else ())
            continue
        dense = not (np.abs(graph.constants[node.inputs[1]]) == 1).all()
        if node.inputs[0] in behind and node.op.groups == 1 and dense:
            found.append(node.name)
        behind.add(node.name)
    return found
