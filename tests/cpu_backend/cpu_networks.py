"""UltraNet and UltraNet_Bypass as integer graphs, from the frozen integers of the golden files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ir.graph import Graph, Node
from ir.ops import Concat, Conv2d, MaxPool2d, MultiplyShift, SpaceToDepth
from ir.types import Array, DType, TensorType

PICTURE = TensorType.of_dtype((3, 160, 320), DType("uint", 8))
POOLED = (0, 1, 2, 3)


def ultranet(integers: Mapping[str, Array], bypass: bool = False) -> Graph:
    """Conv -> multiply-shift to 0..15 [-> 2x2 max-pool], eight times, and a 1x1 head of raw sums."""
    nodes: list[Node] = []
    constants: dict[str, Array] = {}
    tensor = "picture"
    reorganised = ""
    for i in range(8):
        constants |= {f"w{i}": integers[f"w{i}"], f"mul{i}": integers[f"inc{i}"], f"add{i}": integers[f"bias{i}"]}
        nodes.append(Node(f"conv{i}", Conv2d(padding=(1, 1, 1, 1)), (tensor, f"w{i}")))
        requantise = MultiplyShift(int(integers[f"shift{i}"]), 0, 15)
        nodes.append(Node(f"act{i}", requantise, (f"conv{i}", f"mul{i}", f"add{i}")))
        tensor = f"act{i}"
        if bypass and i == 3:
            nodes.append(Node("reorg", SpaceToDepth(2), (tensor,)))
            reorganised = "reorg"
        if bypass and i == 6:
            nodes.append(Node("join", Concat(), (reorganised, tensor)))
            tensor = "join"
        if i in POOLED:
            nodes.append(Node(f"pool{i}", MaxPool2d(), (tensor,)))
            tensor = f"pool{i}"
    constants["w8"] = integers["w8"]
    nodes.append(Node("head", Conv2d(), (tensor, "w8")))
    name = "ultranet_bypass" if bypass else "ultranet"
    return Graph(name, {"picture": PICTURE}, tuple(nodes), ("head",), constants).verify()


def load(data: Path, name: str) -> tuple[Graph, list[Array], Array]:
    """(graph, frames (3, 160, 320), golden head outputs (N, 36, 10, 20)) of ``ultranet`` or ``ultranet_bypass``."""
    with np.load(data / "golden" / f"{name}_integers.npz") as integers:
        graph = ultranet(dict(integers), bypass=name.endswith("bypass"))
    with np.load(data / "golden" / f"{name}_first8.npz") as golden:
        pictures, raw = golden["img_bgr_160x320"], golden["raw_int32_36x10x20"]
    return graph, [picture.transpose(2, 0, 1) for picture in pictures], raw
