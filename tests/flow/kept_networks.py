"""Small graphs as JSON: networks on which executors have disagreed once are kept like this, and tried first."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from ir.graph import Graph, Node
from ir.ops import OPERATORS
from ir.types import DType, TensorType

KEPT = Path(__file__).with_name("kept")


def to_json(graph: Graph) -> str:
    """The graph, a node a line."""
    inputs = {n: {"shape": t.shape, "dtype": str(t.dtype), "lo": t.lo, "hi": t.hi} for n, t in graph.inputs.items()}
    nodes = [
        {"name": node.name, "op": type(node.op).__name__, "fields": vars(node.op), "inputs": node.inputs}
        for node in graph.nodes
    ]
    constants = {name: value.tolist() for name, value in graph.constants.items()}
    lines = ",\n  ".join(json.dumps(node) for node in nodes)
    return (
        f'{{"inputs": {json.dumps(inputs)},\n "nodes": [\n  {lines}\n ],\n'
        f' "outputs": {json.dumps(graph.outputs)},\n "constants": {json.dumps(constants)}}}\n'
    )


def from_json(text: str, name: str = "kept") -> Graph:
    document = json.loads(text)
    inputs = {
        n: TensorType(tuple(t["shape"]), DType.parse(t["dtype"]), t["lo"], t["hi"])
        for n, t in document["inputs"].items()
    }
    nodes = tuple(
        Node(n["name"], OPERATORS[n["op"]](**{k: _tuple(v) for k, v in n["fields"].items()}), tuple(n["inputs"]))
        for n in document["nodes"]
    )
    constants = {name: np.array(value, np.int64) for name, value in document["constants"].items()}
    return Graph(name, inputs, nodes, tuple(document["outputs"]), constants).verify()


def kept(folder: Path = KEPT) -> list[Graph]:
    """All that were kept, each named by its file."""
    return [from_json(file.read_text(), file.stem) for file in sorted(folder.glob("*.json"))]


def keep(graph: Graph, name: str, folder: Path = KEPT) -> Path:
    """The file in which it is kept, called after ``name`` and what it holds."""
    text = to_json(graph)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}.json"
    file.write_text(text)
    return file


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
