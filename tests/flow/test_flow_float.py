"""float32 networks from checkpoint to results: ResNet-20 and SkyNet, and a network of the user's own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from test_flow_accuracy import iou

from cpu_backend import runner
from cpu_backend.engine import CpuEngine
from frontend.load import load_model
from frontend.lower.single import to_single
from hetero_compile.board import load_board
from hetero_compile.check import CheckError, check
from hetero_compile.command import run as hetero_compile
from hetero_compile.flow import Options, compile_model, package
from host.cli import main as hetero_run
from host.package import load_package
from host.session import Session
from ir.executor import execute
from ir.tolerance import tolerances

ARCHITECTURE = """
import torch
import torch.nn.functional as F
from torch import nn
from ir.records import ClassifierHead, Picture


class Net(nn.Module):
    picture = Picture(24, 20, "bgr", mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3))
    head_record = ClassifierHead(("left", "right", "none"))

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 10, 3, 2, 1), nn.BatchNorm2d(10), nn.LeakyReLU(0.1))
        self.norm = nn.BatchNorm2d(10)
        self.depth = nn.Sequential(nn.Conv2d(10, 10, 5, padding=2, groups=10), nn.PReLU(10), nn.MaxPool2d(2))
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(10, 10, 1), nn.Sigmoid())
        self.drop = nn.Dropout(0.5)
        self.dense = nn.Sequential(nn.Flatten(), nn.Linear(10 * 5 * 6, 16), nn.Hardtanh(), nn.Linear(16, 3))

    def forward(self, x):
        x = self.depth(self.norm(self.stem(x)))
        x = x * self.gate(x) + 0.5
        return F.softmax(self.dense(self.drop(x)), 1)
"""


@pytest.fixture
def user(tmp_path: Path) -> tuple[torch.nn.Module, list[str]]:
    """The network with random weights and batch norms that have an effect, and its command line."""
    file = tmp_path / "net.py"
    file.write_text(ARCHITECTURE)
    space: dict[str, type[torch.nn.Module]] = {}
    exec(compile(ARCHITECTURE, str(file), "exec"), space)
    torch.manual_seed(5)
    module = space["Net"]().eval()
    for part in module.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            assert part.running_mean is not None and part.running_var is not None
            part.running_mean.uniform_(-0.5, 0.5)
            part.running_var.uniform_(0.2, 2)
            part.weight.data.uniform_(-0.5, 1.5)
            part.bias.data.uniform_(-0.2, 0.6)
    torch.save(module.state_dict(), tmp_path / "weights.pt")
    return module, [str(tmp_path / "weights.pt"), "--arch", f"{file}:Net"]


def test_the_graph_is_the_module(user: tuple[torch.nn.Module, list[str]]) -> None:
    """The imported and folded graph gives what PyTorch gives, for pictures of extremes."""
    module, (weights, _, arch) = user
    graph = to_single(load_model(Path(weights), arch).graph)
    rng = np.random.default_rng(2)
    picture = module.picture
    for high in (2, 256):
        x = rng.integers(0, high, (3, 20, 24)) * (255 if high == 2 else 1)
        mean, std = (np.array(v).reshape(3, 1, 1) for v in (picture.mean, picture.std))
        with torch.no_grad():
            wanted = module(torch.from_numpy((x / 255 - mean) / std)[None].float())[0].numpy()
        values = execute(graph, {"input": x})
        (name,) = graph.outputs
        assert np.abs(values[name].ravel() - wanted).max() < 1e-5


@pytest.mark.slow
def test_a_network_of_the_users_own(
    user: tuple[torch.nn.Module, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a board with an accelerator everything stays on the CPU, checked on every path with three frames."""
    rng, output = np.random.default_rng(1), tmp_path / "package"
    frames = [tmp_path / f"frame{i}.npy" for i in range(3)]
    for frame in frames:
        np.save(frame, rng.integers(0, 256, (3, 20, 24)))
    checks = [argument for frame in frames for argument in ("--check", str(frame))]
    assert hetero_compile([*user[1], "--board", "zu3eg-rvv", "-o", str(output), *checks]) == 0
    said = capsys.readouterr().out
    assert "3 frames: no difference beyond float32's rounding" in said and "under qemu" in said
    assert said.count("float32 runs on the CPU") >= 10 and "FPGA" not in said
    manifest = load_package(output).manifest
    assert [region.side for region in manifest.regions] == ["cpu"]
    assert manifest.picture is not None and manifest.picture.mean == (0.4, 0.5, 0.6) and not manifest.dequantise
    assert hetero_run([str(output), *map(str, frames), "--json"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert all({each["label"] for each in line["classes"]} == {"left", "right", "none"} for line in found)


@pytest.mark.slow
def test_a_wrong_kernel_is_found_and_named(user: tuple[torch.nn.Module, list[str]], tmp_path: Path) -> None:
    """A bias that is off by a tenth, in the package alone: what it spoils is named, and nothing is written."""
    _, (weights, _, arch) = user
    compiled = compile_model(Path(weights), load_board("bananapi-f3"), Options(arch), lambda _: None)
    (region,) = compiled.plan.regions
    (name,) = [n for n in compiled.graph.constants if n == "depth.0.bias"]
    wrong = {**compiled.graph.constants, name: compiled.graph.constants[name] * np.float32(1.1)}
    spoiled = region.graph.with_nodes(region.graph.nodes, wrong)
    compiled.artifacts[region.name] = region.engine.lower(spoiled, region.choices, compiled.target)  # type: ignore[index]
    np.save(tmp_path / "x.npy", np.random.default_rng(3).integers(0, 256, (3, 20, 24)))

    def refuse(built: object) -> None:
        check(compiled, built, [tmp_path / "x.npy"], [], lambda _: None)  # type: ignore[arg-type]

    with pytest.raises(CheckError, match="float32's rounding"):
        package(compiled, tmp_path / "build", {}, lambda _: None, refuse)
    assert not (tmp_path / "build").exists()


def test_thresholds_of_a_float_network_are_refused(
    user: tuple[torch.nn.Module, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [*user[1], "--thresholds", "--board", "bananapi-f3", "-o", str(tmp_path / "package")]
    assert hetero_compile(arguments) == 2
    assert "a float32 network requantises nothing" in capsys.readouterr().err
    assert not (tmp_path / "package").exists()


def test_a_soft_core_is_refused(
    user: tuple[torch.nn.Module, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert hetero_compile([*user[1], "--board", "ultra96-v2", "-o", str(tmp_path / "package")]) == 2
    error = capsys.readouterr().err
    assert "floats needs a processor with floating point, which rv32im has not" in error and error.count("\n") == 1


@pytest.mark.slow
def test_resnet20_of_cifar10(shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """91.0 % of 500 pictures in generated C; under the emulator three pictures within the tolerance."""
    data, output = np.load(shared_data / "cifar10/test500.npz"), tmp_path / "package"
    for i in range(3):
        Image.fromarray(data["x"][i].transpose(1, 2, 0)).save(tmp_path / f"{i}.png")
    arguments = [str(shared_data / "classifiers/resnet20_float.npz"), "--arch", "resnet20", "--board", "bananapi-f3"]
    checks = [argument for i in range(3) for argument in ("--check", str(tmp_path / f"{i}.png"))]
    assert hetero_compile([*arguments, "-o", str(output), *checks]) == 0, capsys.readouterr().err
    with Session(output) as session:
        results = list(session.run_all({"input": x} for x in data["x"]))
    labels = np.array([result["linear"].ravel().argmax() for result in results])
    print(f"resnet20 float32: {100 * np.mean(labels == data['y']):.1f} %")
    assert abs(np.mean(labels == data["y"]) - 0.910) <= 0.001


@pytest.mark.slow
def test_skynet(shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Mean IoU over all photos in generated C."""
    output = tmp_path / "package"
    arguments = [str(shared_data / "detectors/skynet_float.npz"), "--board", "bananapi-f3", "-o", str(output)]
    assert hetero_compile(arguments) == 0, capsys.readouterr().err
    truth = json.loads((shared_data / "dacsdc/ground_truth.json").read_text())
    photos = sorted((shared_data / "dacsdc/photos").glob("*.jpg"))
    capsys.readouterr()
    assert hetero_run([str(output), *map(str, photos), "--json"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    scores = [iou(each["detections"][0]["box"], truth[Path(each["file"]).name]) for each in found]
    print(f"skynet: mean IoU {np.mean(scores):.4f} over {len(scores)} photos")
    assert len(scores) == 200 and np.mean(scores) >= 0.73


@pytest.mark.full
def test_other_depths_of_the_family(tmp_path: Path) -> None:
    """ResNet-56 with random weights: recognised by its keys, and generated C within the tolerance."""
    from frontend.zoo import ENTRIES

    torch.manual_seed(1)
    torch.save(ENTRIES["resnet56"].factory().state_dict(), tmp_path / "w.pt")
    model = load_model(tmp_path / "w.pt")
    assert "recognised as 'resnet56'" in model.origin
    graph = to_single(model.graph)
    artifact = CpuEngine().lower(graph, {}, load_board("bananapi-f3"))
    frame = {"input": np.random.default_rng(0).integers(0, 256, (3, 32, 32))}
    program = runner.build_region(artifact, graph, tmp_path)
    (result,) = runner.run_region(program, artifact, graph, [frame])
    values = execute(graph, frame)
    assert (np.abs(result["linear"] - values["linear"]) <= tolerances(graph, values)["linear"]).all()
