"""CPU code for the accelerator's regions: there for all of them, or for none, and that is said."""

from __future__ import annotations

from hetero_compile.board import load_board
from hetero_compile.flow import spare_code
from hls.engine import DataflowEngine
from ir.graph import Graph, Node
from ir.ops import MaxPool2d, Scaled
from ir.types import TensorType
from partition import Region

TARGET = load_board("zu3eg-rvv")
X = {"x": TensorType.of_range((4, 6, 6), 0, 15)}


def region(name: str, *nodes: Node) -> Region:
    graph = Graph(name, X, nodes, (nodes[-1].name,), {}).verify()
    return Region(name, DataflowEngine(), graph, {})


def test_every_region_gets_code_under_its_own_symbol() -> None:
    said: list[str] = []
    regions = [region("fpga0", Node("a", MaxPool2d(), ("x",))), region("fpga1", Node("b", MaxPool2d(), ("x",)))]
    spare = spare_code(regions, TARGET, said.append)
    for name in ("fpga0", "fpga1"):
        artifact = spare[name]
        assert set(artifact.sources) <= set(artifact.files)
        assert not any(
            path in spare[other].sources for path in artifact.sources[:1] for other in spare if other != name
        )
        assert any(f"const hc_region hc_region_{name}_cpu" in text for text in artifact.files.values())
    assert len(said) == 2


def test_one_that_the_cpu_cannot_run_leaves_none() -> None:
    said: list[str] = []
    regions = [region("fpga0", Node("a", MaxPool2d(), ("x",))), region("fpga1", Node("real", Scaled(15.0), ("x",)))]
    assert spare_code(regions, TARGET, said.append) == {}
    assert said[-1].startswith("no CPU code for fpga1: node 'real': Scaled has no CPU kernel")
