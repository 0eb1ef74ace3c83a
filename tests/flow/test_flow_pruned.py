"""Networks pruned to half their columns without training, through the kernels that skip columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zoo_networks

from cpu_backend import runner
from frontend.lower.prune import Pruning
from hetero_compile.board import load_board
from hetero_compile.command import run as hetero_compile
from hetero_compile.flow import Options, compile_model, load_frozen, package
from hetero_compile.quantise import Calibration
from host.session import Session
from ir.executor import execute
from ir.graph import Graph
from ir.ops import Conv2d
from ir.tolerance import tolerances
from ir.types import Array

LAYERS = 18
"""Convolutions of ResNet-20 behind the first, without the linear layer."""


def masked(graph: Graph, n: int, m: int) -> Graph:
    """The dense network with the smallest columns of each group and channel set to zero one by one, the first
    convolution left; the linear layer is a convolution too."""
    constants = dict(graph.constants)
    convolutions = [node for node in graph.nodes if isinstance(node.op, Conv2d)]
    for node in convolutions[1:]:
        w = constants[node.inputs[1]].copy()
        o, i, kh, kw = w.shape
        for channel in range(o):
            order = [(c, y, x) for y in range(kh) for x in range(kw) for c in range(i)]
            for start in range(0, len(order), m):
                group = order[start : start + m]
                for place in sorted(group, key=lambda p: (-abs(w[(channel, *p)]), group.index(p)))[n:]:
                    w[(channel, *place)] = 0
        constants[node.inputs[1]] = w
    return graph.with_nodes(graph.nodes, constants).verify()


def assert_half_is_zero(graph: Graph) -> None:
    convolutions = [graph.constants[node.inputs[1]] for node in graph.nodes if isinstance(node.op, Conv2d)]
    assert all(np.count_nonzero(w) <= w.size // 2 for w in convolutions[1 : LAYERS + 1])


def compile_resnet(data: Path, options: Options, folder: Path) -> tuple[Graph, list[str]]:
    """Compiles for a board with vectors; the graph and what is said of the layers."""
    model = data / "classifiers/resnet20_float.npz"
    compiled = compile_model(model, load_board("bananapi-f3"), options, lambda _: None)
    package(compiled, folder, {}, lambda _: None)
    return compiled.graph, [stage.note for a in compiled.artifacts.values() for stage in a.stages]


def check(folder: Path, graph: Graph, reference: Graph, pictures: Array) -> None:
    """A few pictures through generated C, portable and RVV: the masked reference's integers, or its floats within
    float32's rounding."""
    (name,) = graph.outputs
    wanted = [execute(reference, {"input": picture}) for picture in pictures]
    for place in ("sim", "qemu"):
        with Session(folder, on=place, deadline=600.0) as session:  # type: ignore[arg-type]
            for want, got in zip(wanted, session.run_all({"input": p} for p in pictures), strict=True):
                allowed: Mapping[str, Array] = tolerances(reference, want) if "float" in str(got[name].dtype) else {}
                assert (np.abs(got[name] - want[name]) <= allowed.get(name, 0)).all(), place


def accuracy(folder: Path, graph: Graph, data: Path) -> float:
    test = np.load(data / "cifar10/test500.npz")
    with Session(folder) as session:
        scores = [result[graph.outputs[0]].ravel() for result in session.run_all({"input": x} for x in test["x"])]
    return 100 * float(np.mean(np.argmax(scores, 1) == test["y"]))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["float32", "int8"])
def test_a_small_network(kind: str, tmp_path: Path) -> None:
    """MLPerf Tiny's ResNet-8 with seeded weights, in portable C. A quarter is kept: with half of the columns minimal
    filtering is about as cheap."""
    model, options = zoo_networks.model_file("resnet8", tmp_path)
    rng, target = np.random.default_rng(1), load_board("bananapi-f3")
    np.save(tmp_path / "pictures.npy", rng.integers(0, 256, (2, 3, 32, 32)))
    if kind == "int8":
        options = replace(options, calibration=Calibration.parse("int8", tmp_path / "pictures.npy"))
    _, dense = load_frozen(model, options, lambda _: None)
    compiled = compile_model(model, target, replace(options, prune=Pruning(4, 16)), lambda _: None)
    assert "pruned to 4:16 columns" in compiled.model.origin
    (region,), (artifact,) = compiled.plan.regions, compiled.artifacts.values()
    assert sum("columns pruned" in stage.note for stage in artifact.stages) >= 6
    program = runner.build_region(artifact, region.graph, tmp_path, None, ["-O1"])
    frame, (name,) = {"input": rng.integers(0, 256, (3, 32, 32))}, dense.graph.outputs
    reference = masked(dense.graph, 4, 16)
    (result,) = runner.run_region(program, artifact, region.graph, [frame])
    want = execute(reference, frame)
    allowed = tolerances(reference, want)[name] if kind == "float32" else 0
    assert (np.abs(result[name] - want[name]) <= allowed).all()
    assert (np.abs(execute(dense.graph, frame)[name] - want[name]) > allowed).any()


@pytest.mark.full
def test_float32(shared_data: Path, tmp_path: Path) -> None:
    model, options = shared_data / "classifiers/resnet20_float.npz", Options("resnet20")
    _, dense = load_frozen(model, options, lambda _: None)
    graph, notes = compile_resnet(shared_data, Options("resnet20", prune=Pruning(72, 144)), tmp_path / "package")
    assert sum("columns pruned" in note for note in notes) >= LAYERS
    assert_half_is_zero(graph)
    pictures = np.load(shared_data / "cifar10/test500.npz")["x"][:2]
    check(tmp_path / "package", graph, masked(dense.graph, 72, 144), pictures)
    right = accuracy(tmp_path / "package", graph, shared_data)
    print(f"resnet20 float32, 72:144: {right:.1f} %")
    assert abs(right - 86.0) <= 0.2


@pytest.mark.full
def test_int8(shared_data: Path, tmp_path: Path) -> None:
    model, calibration = shared_data / "classifiers/resnet20_float.npz", tmp_path / "pictures.npy"
    np.save(calibration, np.load(shared_data / "cifar10/test500.npz")["x"][:16])
    shown = Calibration.parse("int8", calibration)
    _, dense = load_frozen(model, Options("resnet20", calibration=shown), lambda _: None)
    options = Options("resnet20", calibration=shown, prune=Pruning(72, 144))
    graph, notes = compile_resnet(shared_data, options, tmp_path / "package")
    assert_half_is_zero(graph)
    columns, filtered = (sum(part in note for note in notes) for part in ("columns pruned", "minimal filtering"))
    assert columns >= 5 and columns + filtered >= LAYERS  # minimal filtering takes less than half of the columns
    pictures = np.load(shared_data / "cifar10/test500.npz")["x"][:2]
    check(tmp_path / "package", graph, masked(dense.graph, 72, 144), pictures)
    right = accuracy(tmp_path / "package", graph, shared_data)
    print(f"resnet20 int8, 72:144: {right:.1f} %")
    assert right >= 84.0


def test_only_what_the_processor_runs_is_pruned(
    shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A binary network has no convolution for it: refused in one line, nothing written."""
    arguments = [str(shared_data / "classifiers/cnv_w1a1.npz"), "--board", "bananapi-f3", "--prune", "2:4"]
    assert hetero_compile([*arguments, "-o", str(tmp_path / "package")]) == 2
    error = capsys.readouterr().err
    assert "--prune: the CPU runs no convolution that can be pruned" in error and error.count("\n") == 1
    assert not (tmp_path / "package").exists()
