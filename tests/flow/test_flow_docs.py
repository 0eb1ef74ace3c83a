"""The Python that README.md and docs/ show, run as it stands there."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "frontend"))

from onnx_build import Network
from seeded_modules import seeded

from frontend.load import load_model
from frontend.quantisers import QuantActivation, QuantConv2d
from frontend.zoo import ENTRIES
from hetero_compile.command import run as hetero_compile
from host.session import Session
from host.vision.heads import dequantise

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "examples").rglob("*.md"))]
TUTORIAL = "add-an-accelerator.md"  # one program, which test_flow_tutorial runs
BLOCKS = {
    f"{page.relative_to(ROOT)}-{i}": block
    for page in PAGES
    if page.name != TUTORIAL
    for i, block in enumerate(re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL))
}
Names = dict[str, Any]


def _state(_: Path) -> Names:
    return {"state_dict": seeded(ENTRIES["ultranet"]).state_dict()}


def _exported(_: Names) -> None:
    model = load_model(Path("ultranet.pt2"))
    assert "'ultranet'" in model.origin and model.picture == ENTRIES["ultranet"].picture


def _module(_: Path) -> Names:
    torch.manual_seed(2)
    body = QuantConv2d(3, 8, 3, padding=2, dilation=2), QuantActivation(4), torch.nn.MaxPool2d(32)
    return {"module": torch.nn.Sequential(*body, QuantConv2d(8, 2, 1), torch.nn.Flatten())}


def _compiled(names: Names) -> None:
    """The package gives what PyTorch gives, to rounding in single precision."""
    (name,) = names["compiled"].graph.outputs
    frozen, x = names["compiled"].frozen, np.random.default_rng(0).integers(0, 256, (3, 32, 32))
    with Session(Path("build"), on="sim") as session:
        got = dequantise(session.run(x)[name], frozen.dequantise[name])
    with torch.no_grad():
        expected = names["module"](torch.from_numpy(x[None] / 255).float())[0].numpy()
    assert np.abs(np.ravel(got) - expected).max() < 1e-6
    assert np.ptp(expected) > 0.01


def _package(folder: Path) -> Names:
    """A package in build/, and frames for it."""
    rng = np.random.default_rng(0)
    net = Network((1, 3, 8, 8))
    weights = net.quant(net.constant(rng.normal(0, 0.4, (4, 3, 3, 3))), 0.1, 4)
    path = net.save(folder, net.quant(net.add("Conv", net.quant("x", 0.125, 6), weights), 0.3, 4))
    assert hetero_compile([str(path), "--board", "bananapi-f3", "-o", "build", "-q"]) == 0
    batch = rng.integers(-32, 32, (5, 3, 8, 8))
    return {"frame": batch[0], "frames": list(batch), "batch": batch}


def _ran(names: Names) -> None:
    (name,) = names["outputs"]
    assert names["stacked"][name].shape == (5, 4, 6, 6)
    assert np.array_equal(names["stacked"][name][-1], names["outputs"][name])  # the last of the frames
    assert len(np.unique(names["stacked"][name])) > 4


def _floats(_: Path) -> Names:
    return {"float_state": seeded(ENTRIES["skynet"], 5).state_dict()}


def _loaded(names: Names) -> None:
    state = names["module"].state_dict()
    assert all(torch.equal(state[key], value) for key, value in names["float_state"].items())


Prepare, Check = Callable[[Path], Names], Callable[[Names], None]
RUNS: Mapping[str, tuple[Prepare, Check]] = {
    "README.md-0": (_state, _exported),
    "README.md-1": (_module, _compiled),
    "README.md-2": (_package, _ran),
    "docs/zoo.md-0": (_floats, _loaded),
}


def test_every_block_is_run() -> None:
    assert BLOCKS.keys() == RUNS.keys()


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare, check = RUNS[name]
    monkeypatch.chdir(tmp_path)
    names = prepare(tmp_path)
    exec(compile(BLOCKS[name], name, "exec"), names)
    check(names)
