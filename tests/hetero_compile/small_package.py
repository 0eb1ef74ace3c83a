"""A package whose one region, two layers, runs on the CPU of a board: what hetero-profile and hetero-tune read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cpu_backend.engine import CpuEngine
from cpu_backend.tuning.database import Database
from hetero_compile.board import load_board
from host.manifest import Board, Manifest, Region, Stage, Tensor
from host.package import write_package
from ir.engine import Artifact
from ir.graph import Graph, Node
from ir.ops import Conv2d, MultiplyShift
from ir.types import DType, TensorType


def graph() -> Graph:
    """conv + requantisation, then a head of 32-bit sums; inputs have a narrow range."""
    rng = np.random.default_rng(5)
    constants = {"w": rng.integers(-7, 8, (16, 3, 3, 3)), "m": np.full(16, 60), "a": rng.integers(-50, 50, 16)}
    constants["v"] = np.full((4, 16, 1, 1), 2)
    nodes = (
        Node("conv", Conv2d(padding=(1, 1, 1, 1)), ("x", "w")),
        Node("act", MultiplyShift(8, 0, 15), ("conv", "m", "a")),
        Node("head", Conv2d(), ("act", "v")),
    )
    x = TensorType.of_dtype((3, 8, 8), DType("uint", 4))
    return Graph("cpu0", {"x": x}, nodes, ("head",), constants).verify()


def lowered() -> Artifact:
    """For bananapi-f3, by the rules: no measurements."""
    return CpuEngine(database=Database(())).lower(graph(), {}, load_board("bananapi-f3"))


def manifest(artifact: Artifact, **board: Any) -> Manifest:
    facts = {
        "name": "bananapi-f3",
        "isa": "rv64gcv",
        "vlen": 256,
        "role": "host",
        "coherent": True,
        "cache_line": 64,
        "pool_bytes": 1 << 20,
    }
    stages = tuple(Stage(s.name, s.cycles, s.note) for s in artifact.stages)
    region = Region("cpu0", "cpu", artifact.inputs, artifact.outputs, artifact.sources, stages, 1600.0)
    types = graph().types
    tensors = (Tensor.of("x", types["x"]), Tensor.of("head", types["head"]))
    return Manifest("small", Board(**(facts | board)), tensors, ("x",), ("head",), (region,))


def written(folder: Path, artifact: Artifact, description: Manifest, files: Mapping[str, str] | None = None) -> Path:
    return write_package(folder / "package", description, files or artifact.files).root
