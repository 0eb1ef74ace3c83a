"""A package whose weights are bytes: built by its own Makefile for both machines, run on both."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from hetero_compile.board import load_board
from hetero_compile.flow import engines, manifest_for
from host.build import Toolchain
from host.package import write_package
from host.session import Session
from ir.executor import execute
from ir.graph import Graph, Node
from ir.ops import Conv2d
from ir.types import DType, TensorType
from partition import settled


def test_a_package_with_weights_in_bytes_runs_on_both_machines(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    weights = {"y.w": rng.integers(-7, 8, (300, 256, 1, 1))}
    x = TensorType.of_dtype((256, 2, 2), DType("uint", 4))
    graph = Graph("large", {"x": x}, (Node("y", Conv2d(), ("x", "y.w")),), ("y",), weights).verify()
    target = load_board("bananapi-f3")
    plan, artifacts = settled(graph, engines(), target, lambda what: None)
    files = {path: content for artifact in artifacts.values() for path, content in artifact.files.items()}
    assert any(path.endswith("_weights.bin") for path in files)
    build = Toolchain("gcc", "g++", f"{sys.executable} -m ziglang cc").build
    write_package(tmp_path / "package", manifest_for(graph, plan, artifacts, target), files, build)
    frames = [{"x": rng.integers(0, 16, x.shape)} for _ in range(3)]
    for place in ("sim", "qemu"):
        with Session(tmp_path / "package", on=place) as session:
            for frame, got in zip(frames, session.run_all(frames), strict=True):
                np.testing.assert_array_equal(got["y"], execute(graph, frame)["y"])
