"""A network that is not in the zoo: mixed widths, a stride, a dilation, a branch, the user's own file; exact on all
executors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from hetero_compile.command import run as hetero_compile
from host.cli import main as hetero_run
from host.package import load_package

ARCHITECTURE = """
import torch
from torch import nn
from frontend.quantisers import QuantActivation, QuantConv2d
from ir.records import Picture, YoloHead


class Net(nn.Module):
    picture = Picture(width=48, height=36, order="rgb")
    head_record = YoloHead(labels=("thing",), anchors=2, stride=4, anchor_size=8.0)

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(QuantConv2d(3, 12, 5, padding=2, bits=5), nn.BatchNorm2d(12), QuantActivation(6))
        self.second = nn.Sequential(QuantConv2d(12, 20, 3, padding=1, bits=3), nn.BatchNorm2d(20), QuantActivation(3))
        self.strided = nn.Sequential(
            QuantConv2d(20, 16, 3, padding=1, stride=2, bits=8), nn.BatchNorm2d(16), QuantActivation(4)
        )
        self.beside = nn.Sequential(
            QuantConv2d(20, 24, 3, padding=2, dilation=2, bits=2), nn.BatchNorm2d(24), QuantActivation(4)
        )
        self.pool = nn.MaxPool2d(2)
        self.head = QuantConv2d(40, 12, 1, bits=4, bias=True)

    def forward(self, x):
        x = self.second(self.pool(self.first(x)))
        return self.head(torch.cat((self.pool(self.beside(x)), self.strided(x)), 1))
"""


def checkpoint(folder: Path) -> Path:
    """The network's file and a checkpoint with batch norms that scale up, down and negatively."""
    file = folder / "net.py"
    file.write_text(ARCHITECTURE)
    space: dict[str, type[torch.nn.Module]] = {}
    exec(compile(ARCHITECTURE, str(file), "exec"), space)
    torch.manual_seed(3)
    module = space["Net"]()
    for part in module.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            assert part.running_mean is not None and part.running_var is not None
            part.running_mean.uniform_(-0.5, 0.5)
            part.running_var.uniform_(0.2, 2)
            part.weight.data.uniform_(-0.5, 1.5)
            part.bias.data.uniform_(-0.2, 0.6)
    torch.save(module.state_dict(), folder / "weights.pt")
    return folder / "weights.pt"


@pytest.mark.slow
def test_a_network_of_the_users_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, package = checkpoint(tmp_path), tmp_path / "package"
    rng = np.random.default_rng(1)
    frames = [tmp_path / f"frame{i}.npy" for i in range(3)]
    for frame, high in zip(frames, (256, 256, 2), strict=True):
        np.save(frame, 255 * rng.integers(0, 2, (3, 36, 48)) if high == 2 else rng.integers(0, high, (3, 36, 48)))
    arguments = [str(model), "--arch", f"{tmp_path / 'net.py'}:Net", "--board", "zu3eg-rvv", "-o", str(package)]
    for frame in frames:
        arguments += ["--check", str(frame)]
    assert hetero_compile(arguments) == 0, capsys.readouterr().err
    said = capsys.readouterr().out
    assert "3 frames: no difference between" in said and "portable C in place of the accelerator" in said
    # The strided convolution stays on the CPU; the branch beside it does not have to.
    regions = {r.name: {s.name for s in r.stages} for r in load_package(package).manifest.regions}
    # (HeteroCL may call a register first_0, so that stage is called otherwise.)
    assert {"t_first_0", "second_0", "beside_0"} <= regions["fpga0"]
    assert hetero_run([str(package), *map(str, frames), "--json"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["detections"][0]["label"] for each in found] == ["thing"] * 3
    # Without the accelerator, the CPU finds the same, unless the package was to have no code for that.
    assert hetero_run([str(package), *map(str, frames), "--json", "--on", "cpu"]) == 0
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == found
    assert all(r.failover for r in load_package(package).manifest.regions if r.side == "device")
