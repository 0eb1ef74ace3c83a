"""The network as a drawing: a box per node, coloured by the side it runs on, in rows by distance from the inputs."""

from __future__ import annotations

from collections.abc import Mapping

from hetero_compile.report.svg import Svg
from ir.graph import Graph

BOX, ROW, GAP = (214.0, 36.0), 56.0, 18.0


def draw_network(graph: Graph, sides: Mapping[str, str], reasons: Mapping[str, str]) -> str:
    """``sides`` and ``reasons`` by node. What crosses from one side to the other is dashed."""
    rows = _rows(graph)
    places = {name: (column, row) for row, names in enumerate(rows) for column, name in enumerate(names)}
    widest = max(len(names) for names in rows)
    width, height = BOX
    svg = Svg(widest * (width + GAP) + 6 * GAP, len(rows) * ROW + 4, f"the graph of {graph.name}")

    def left(name: str) -> float:
        column, row = places[name]
        return 2 * GAP + (column + (widest - len(rows[row])) / 2) * (width + GAP)

    for node in graph.nodes:
        for source in dict.fromkeys(i for i in node.inputs if i in places):
            far = places[node.name][1] - places[source][1]
            start = (left(source) + width / 2, places[source][1] * ROW + height)
            end = (left(node.name) + width / 2, places[node.name][1] * ROW)
            same_column = abs(start[0] - end[0]) < 1
            bulge = width * 0.75 if far > 1 and same_column else 0.0
            crosses = sides.get(source, "cpu") != sides[node.name]
            svg.curve(start, end, bulge, "edge crossing" if crosses else "edge")
    for name, (_, row) in places.items():
        x, y = left(name), row * ROW
        if name in graph.inputs:
            svg.rect(x, y, width, height, "node input", str(graph.types[name]))
            svg.text(x + 8, y + 15, name, "name")
            svg.text(x + 8, y + 29, str(graph.types[name]), "small")
            continue
        node = graph.by_name[name]
        svg.rect(x, y, width, height, f"node {sides[name]}", f"{name}: {reasons[name]}")
        svg.text(x + 8, y + 15, f"{_short(name)}  {type(node.op).__name__}", "name")
        svg.text(x + 8, y + 29, str(graph.types[name]).split(" in ")[0], "small")
    return str(svg)


def _short(name: str) -> str:
    return name if len(name) <= 14 else "…" + name[-13:]


def _rows(graph: Graph) -> list[list[str]]:
    """Tensors by the longest way from an input, those of a row near what they read."""
    depth = dict.fromkeys(graph.inputs, 0)
    for node in graph.nodes:
        depth[node.name] = 1 + max((depth[i] for i in node.inputs if i in depth), default=0)
    rows: list[list[str]] = [[] for _ in range(1 + max(depth.values()))]
    for name, row in depth.items():
        rows[row].append(name)
    order: dict[str, float] = {}
    for names in rows:
        names.sort(key=lambda name: _mean([order[i] for i in _reads(graph, name) if i in order]))
        order |= {name: float(column) - len(names) / 2 for column, name in enumerate(names)}
    return rows


def _reads(graph: Graph, name: str) -> tuple[str, ...]:
    return graph.by_name[name].inputs if name in graph.by_name else ()


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0
