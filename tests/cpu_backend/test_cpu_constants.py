"""Constants of regions: as C text, and, where they are large, as bytes that an assembler file names."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from cpu_objects import build_region

from cpu_backend import runner, toolchain
from cpu_backend.emit.constants import LARGEST_TEXT, Constant, assembled
from cpu_backend.engine import CpuEngine
from ir.engine import Artifact
from ir.executor import execute
from ir.graph import Graph, Node
from ir.ops import Clip, Conv2d, MultiplyShift
from ir.target import Target
from ir.types import DType, TensorType


def integers() -> Graph:
    """Two layers of 73,728 weights each, which are large, and one that is not."""
    rng = np.random.default_rng(1)
    x = TensorType.of_dtype((256, 2, 3), DType("uint", 4))
    weights = {name: rng.integers(-7, 8, (shape), np.int64) for name, shape in (
        ("a.w", (288, 256, 1, 1)), ("b.w", (256, 288, 1, 1)), ("c.w", (5, 256, 2, 3))
    )}  # fmt: skip
    constants = weights | {
        f"{name}.{key}": np.full(len(weights[f"{name}.w"]), value)
        for name in "ab"
        for key, value in (("mul", 30), ("add", 9))
    }
    nodes = []
    for name, source in (("a", "x"), ("b", "a_q")):
        nodes.append(Node(name, Conv2d(), (source, f"{name}.w")))
        nodes.append(Node(f"{name}_q", MultiplyShift(11, 0, 15), (name, f"{name}.mul", f"{name}.add")))
    nodes.append(Node("c", Conv2d(), ("b_q", "c.w")))
    return Graph("large", {"x": x}, tuple(nodes), ("c",), constants).verify()


def reals() -> Graph:
    rng = np.random.default_rng(2)
    x = TensorType.of_dtype((128, 3, 3), DType("float", 32))
    constants = {
        "w": rng.standard_normal((160, 128, 1, 1)).astype(np.float32),
        "bias": rng.standard_normal(160).astype(np.float32),
    }
    nodes = (Node("c", Conv2d(), ("x", "w", "bias")), Node("y", Clip(0.0, 6.0), ("c",)))
    return Graph("reals", {"x": x}, nodes, ("y",), constants).verify()


def lowered(graph: Graph, board: Target) -> Artifact:
    return CpuEngine().lower(graph, {}, board)


@pytest.mark.parametrize(("feature", "vlen"), [(None, None), (toolchain.VECTOR, 128)], ids=["native", "rvv"])
def test_large_constants_are_what_they_were(
    feature: toolchain.Feature | None, vlen: int | None, board: Target, riscv_tools: None, tmp_path: Path
) -> None:
    rng = np.random.default_rng(4)
    for graph in (integers(), reals()):
        artifact = lowered(graph, board)
        assert f"cpu/{graph.name}_weights.S" in artifact.sources
        x = graph.inputs["x"]
        frames = [
            {"x": rng.integers(0, 16, x.shape) if x.dtype.is_integer else rng.standard_normal(x.shape)}
            for _ in range(2)
        ]
        program = build_region(artifact, graph, tmp_path / graph.name, feature)
        for frame, found in zip(frames, runner.run_region(program, artifact, graph, frames, vlen), strict=True):
            expected = execute(graph, frame)
            for name in graph.outputs:
                if x.dtype.is_integer:
                    np.testing.assert_array_equal(found[name], expected[name])
                else:
                    np.testing.assert_allclose(found[name], expected[name], rtol=1e-5, atol=1e-5)


def test_what_people_read_stays_text(board: Target) -> None:
    files = lowered(integers(), board).files
    header, data = files["cpu/large_weights.h"], files["cpu/large_weights.bin"]
    assert isinstance(header, str) and isinstance(data, bytes)
    assert "static const int8_t layer_c_weights[7680] = {" in header
    assert "extern const int8_t large_layer_a_weights[73728];" in header and len(header) < 60_000
    assert len(data) == 2 * 73_728


def test_bytes_are_aligned_and_their_hash_is_in_the_text() -> None:
    constants = [Constant("a", np.arange(70_001, dtype=np.int8)), Constant("b", np.array([1.5, -2.0]))]
    text, data = assembled(constants, "net")
    assert hashlib.sha256(data).hexdigest() in text
    assert text.count('.incbin "net_weights.bin"\n') == text.count(".incbin") == 1, "an assembler may read it each time"
    assert ".size net_b, 8\n    .set net_b, net_weights + 70016\n" in text
    np.testing.assert_array_equal(np.frombuffer(data[70_016:], "<f4"), [1.5, -2.0])
    assert not constants[0].is_text and constants[1].is_text and LARGEST_TEXT < 70_001
