"""Binary classifiers end to end: every executor exact, and accuracy on all of the labelled pictures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import networks
import numpy as np
import pytest

from frontend.load import load_model
from hetero_compile.command import run as hetero_compile
from host.package import load_package
from ir.executor import execute
from tests.frontend.seeded import State, cnv, fracbnn, fracbnn_imagenet, pokebnn

SEEDED: dict[str, State] = {
    "cnv_w1a1": cnv((8, 8, 12, 12, 20, 20), (16, 10), 20, 1, False),
    "cnv_w2a2": cnv((8, 8, 12, 12, 20, 20), (16, 10), 20, 2, True),
    "fracbnn": fracbnn((6, 12), 1, 10),
    "fracbnn_imagenet": fracbnn_imagenet((8, 16, 32, 32), 10, (32, 32)),
    "pokebnn": pokebnn((4, 8), (4, 8), 5, (32, 32)),
}
FULL = ("cnv_w2a2", "fracbnn_imagenet", "pokebnn")


def compiled(model: Path, board: str, package: Path, frames: np.ndarray) -> None:
    """hetero-compile, with every executor checked on the frames (N, 3, 32, 32)."""
    arguments = [str(model), "--board", board, "-o", str(package)]
    for index, frame in enumerate(frames):
        file = package.with_name(f"frame{index}.npy")
        np.save(file, frame)
        arguments += ["--check", str(file)]
    assert hetero_compile(arguments) == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.full if n in FULL else ()) for n in SEEDED])
def test_every_executor_is_exact(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "net.npz", **SEEDED[name])  # type: ignore[arg-type]
    rng = np.random.default_rng(1)
    frames = np.stack(
        [rng.integers(0, 256, (3, 32, 32)), 255 * rng.integers(0, 2, (3, 32, 32)), np.full((3, 32, 32), 255)]
    )
    compiled(tmp_path / "net.npz", "zu3eg-rvv", tmp_path / "package", frames)
    out = capsys.readouterr().out
    assert f"recognised as '{name}'" in out and "3 frames: no difference between reference executor, " in out
    manifest = load_package(tmp_path / "package").manifest
    assert any(region.side == "device" for region in manifest.regions)


TRAINED = {"cnv_w1a1": 0.812, "cnv_w2a2": 0.858, "fracbnn_w1a1.4": 0.898}
"""Share of the 500 pictures that the networks name right in floating point."""

CLOSE = {"fracbnn_w1a1.4": 0.003}
"""CNV holds integers; FracBNN's batch norms and activations are fixed-point here."""


@pytest.mark.full
@pytest.mark.parametrize("name", TRAINED)
def test_trained_classifiers_are_exact(name: str, shared_data: Path, tmp_path: Path) -> None:
    pictures = np.load(shared_data / "cifar10/test500.npz")["x"]
    compiled(shared_data / f"classifiers/{name}.npz", "zu3eg-rvv", tmp_path / "package", pictures[:3])


@pytest.mark.full
@pytest.mark.parametrize("engine", networks.ENGINES)
@pytest.mark.parametrize("name", TRAINED)
def test_accuracy(name: str, engine: str, shared_data: Path, tmp_path: Path) -> None:
    """All 500 pictures by hetero-run, on the accelerator's simulator and on the CPU alone."""
    package = networks.build(
        networks.on_one_engine(shared_data / f"classifiers/{name}.npz", networks.ENGINES[engine]), tmp_path / "package"
    )
    arguments = [str(package.root), str(shared_data / "cifar10/test500.npz"), "--json"]
    done = subprocess.run([sys.executable, "-m", "host.cli", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout.splitlines()[-1])
    print(f"{name} on {engine}: {facts}")
    assert facts["pictures"] == 500
    assert facts["top1"] == pytest.approx(TRAINED[name], abs=CLOSE.get(name, 0.0005))


def test_some_pictures_of_the_trained_networks(shared_data: Path) -> None:
    """The reference executor names eight pictures as the networks are known to."""
    test = np.load(shared_data / "cifar10/test500.npz")
    for name in TRAINED:
        graph = load_model(shared_data / f"classifiers/{name}.npz").frozen().graph
        right = [
            execute(graph, {"input": x})[graph.outputs[0]].argmax() == y
            for x, y in zip(test["x"][:8], test["y"][:8], strict=True)
        ]
        assert sum(right) >= 7, name
