"""Accelerators as they are packaged: their C++ has its pragmas, and still computes what the graph says."""

from __future__ import annotations

import numpy as np
import pytest

from hetero_compile.board import load_board
from hls.csim import CSimulation
from hls.engine import DataflowEngine
from ir.engine import Artifact, Prepared
from ir.executor import execute, outputs_of
from ir.graph import Graph, Node
from ir.ops import Conv2d, MultiplyShift
from ir.types import TensorType

BOARD = "ultra96-v2"
ENGINE = DataflowEngine()
TEXT = "regions/net/accelerator.cpp"


def _region() -> Graph:
    """A convolution with weights of -8 and activations of the whole range, requantised."""
    rng = np.random.default_rng(0)
    weights = rng.choice([-8, -1, 7], (4, 2, 3, 3))
    constants = {"w": weights, "mul": np.array([3, -5, 7, 2]), "add": np.array([9, 0, -100, 30])}
    nodes = (
        Node("conv", Conv2d(padding=(1, 1, 1, 1)), ("x", "w")),
        Node("act", MultiplyShift(6, -8, 7), ("conv", "mul", "add")),
    )
    return Graph("net", {"x": TensorType.of_range((2, 6, 5), 0, 15)}, nodes, ("act",), constants).verify()


def _lowered(graph: Graph, packed: bool) -> Artifact:
    """The slowest folding of the convolution with its weights in LUTs, its products in blocks or in LUTs."""
    target = load_board(BOARD)
    options = {}
    for view in graph.views():
        prepared = ENGINE.prepare(view, target)
        assert isinstance(prepared, Prepared)
        options[view.name] = ENGINE.candidates(prepared, target)
    made = [c for c in options["conv"] if c.configuration["memory"] == "lut"]
    wanted = [c for c in made if bool(c.configuration["channels"]) == packed]
    return ENGINE.lower(graph, {"conv": wanted[-1], "act": options["act"][0]}, target)


@pytest.mark.parametrize("packed", [True, False])
def test_a_packaged_accelerator(packed: bool) -> None:
    """Products in LUTs are written as additions, so that only packed ones are bound."""
    graph = _region()
    artifact = _lowered(graph, packed)
    text = artifact.files[TEXT]
    for line in (
        "#pragma HLS interface mode=axis port=x\n",
        "#pragma HLS interface mode=s_axilite port=return bundle=control\n",
        "#pragma HLS bind_storage variable=conv_w type=rom_1p impl=lutram\n",
    ):
        assert line in text
    contents = [line for line in text.splitlines() if line.startswith("//   ")]
    assert [line.split()[1] for line in contents] == [stage.name for stage in artifact.stages]
    assert ("op=mul impl=dsp" in text) == packed and "op=mul impl=fabric" not in text
    rng = np.random.default_rng(1)
    with CSimulation(artifact, graph) as simulation:
        for values in (rng.integers(0, 16, (2, 6, 5)), rng.choice([0, 15], (2, 6, 5)), np.full((2, 6, 5), 15)):
            expected = outputs_of(graph, execute(graph, {"x": values}))
            got = simulation.run({"x": values, **expected})
            np.testing.assert_array_equal(got["act"], expected["act"])
