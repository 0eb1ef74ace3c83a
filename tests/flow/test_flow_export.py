"""hetero-compile --export: the files land where they were asked for, and read back as the frozen network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from networks import checkpoint

from hetero_compile.command import run
from hls.export.read import read_params

NAMES = ("config.h", "folding.txt", "weights.hpp")


def read(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(folder.iterdir())}


@pytest.mark.slow
def test_params_into_the_package_and_beside_it(shared_data: Path, tmp_path: Path) -> None:
    model, aside = checkpoint(shared_data, "ultranet"), tmp_path / "aside"
    options = ["--board", "ultra96-v2", "-o", str(tmp_path / "build"), "--export", "params", "-q"]
    assert run([str(model), *options, "--export", f"params={aside}"]) == 0
    inside = read(tmp_path / "build/params")
    assert tuple(inside) == NAMES and inside == read(aside)
    golden = np.load(shared_data / "golden/ultranet_integers.npz")
    layers = read_params(inside)
    for n, layer in enumerate(layers):
        np.testing.assert_array_equal(layer.weights, golden[f"w{n}"])
    np.testing.assert_array_equal(layers[7].inc, golden["inc7"])


@pytest.mark.parametrize("text", ["weights", "params=", "=x"])
def test_unknown_exports(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["model.pt", "--board", "ultra96-v2", "-o", str(tmp_path / "build"), "--export", text]) == 2
    assert capsys.readouterr().err == f"hetero-compile: --export {text}: unknown (allowed: params[=FOLDER])\n"
    assert not (tmp_path / "build").exists()


@pytest.mark.slow
def test_a_bypass_is_refused_and_nothing_is_written(
    shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = checkpoint(shared_data, "ultranet_bypass")
    assert run([str(model), "--board", "ultra96-v2", "-o", str(tmp_path / "build"), "--export", "params", "-q"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("hetero-compile: layer '") and "has no place in params" in line
    assert list(tmp_path.iterdir()) == []
