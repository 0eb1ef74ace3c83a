"""The zoo's networks from checkpoint to results: of mixed precision, quantised, of plain tensors, and of pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from frontend.load import load_model
from hetero_compile.command import run as hetero_compile
from host.cli import main as hetero_run
from host.package import load_package
from tests.frontend.seeded_modules import seeded, small

ARCHITECTURE = """
from tests.frontend.seeded_modules import small

def network(name, height, width):
    entry = small(name, height, width)
    module = entry.factory()
    module.picture, module.head_record = entry.picture, entry.head
    return module
"""

EVERY = (
    "no difference between reference executor, simulated accelerator with portable C, simulated accelerator with RISC-V"
)


def frames(folder: Path, height: int, width: int, count: int = 3) -> list[str]:
    """Files of random pictures and of extremes, as arguments."""
    rng, arguments = np.random.default_rng(1), []
    for i in range(count):
        np.save(
            folder / f"{i}.npy",
            rng.integers(0, 2, (3, height, width)) * 255 if i == 1 else rng.integers(0, 256, (3, height, width)),
        )
        arguments += ["--check", str(folder / f"{i}.npy")]
    return arguments


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "height", "width"),
    [
        ("skynetk5", 16, 16),
        pytest.param("skynet_mixed", 16, 16, marks=pytest.mark.full),
        pytest.param("vggtiny", 32, 32, marks=pytest.mark.full),
        pytest.param("resnet8_w4a4", 16, 16, marks=pytest.mark.full),
        pytest.param("mobilenet_v1_025_w4a4", 32, 32, marks=pytest.mark.full),
        pytest.param("skynet_w6a8", 16, 16, marks=pytest.mark.full),
        pytest.param("espcn_w4a4", 12, 16, marks=pytest.mark.full),
    ],
)
def test_every_executor_is_exact(
    name: str, height: int, width: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = small(name, height, width)
    torch.save(seeded(entry).state_dict(), tmp_path / "net.pt")
    file = tmp_path / "net.py"
    file.write_text(ARCHITECTURE + f"\n\ndef make():\n    return network('{name}', {height}, {width})\n")
    arguments = [
        str(tmp_path / "net.pt"),
        "--arch",
        f"{file}:make",
        "--board",
        "zu3eg-rvv",
        "-o",
        str(tmp_path / "out"),
    ]
    assert hetero_compile([*arguments, *frames(tmp_path, height, width)]) == 0, capsys.readouterr().err
    assert f"3 frames: {EVERY}" in capsys.readouterr().out
    assert any(region.side == "device" for region in load_package(tmp_path / "out").manifest.regions)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["float", "quantised"])
def test_a_larger_picture_comes_out(form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """hetero-run writes the picture that the network makes: the bytes of PyTorch in float64, but for roundings to the
    other side in float32."""
    name = "espcn" if form == "float" else "espcn_w4a4"
    entry = small(name, 20, 24)
    module = seeded(entry)
    torch.save(module.state_dict(), tmp_path / "net.pt")
    (tmp_path / "net.py").write_text(ARCHITECTURE + f"\n\ndef make():\n    return network('{name}', 20, 24)\n")
    arguments = [str(tmp_path / "net.pt"), "--arch", f"{tmp_path / 'net.py'}:make", "--board", "bananapi-f3"]
    assert hetero_compile([*arguments, "-o", str(tmp_path / "out")]) == 0, capsys.readouterr().err
    pixels = np.random.default_rng(3).integers(0, 256, (20, 24, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    capsys.readouterr()
    assert hetero_run([str(tmp_path / "out"), str(tmp_path / "photo.png"), "-o", str(tmp_path / "large.png")]) == 0
    assert "picture of 48 x 40 pixels" in capsys.readouterr().out
    made = np.asarray(Image.open(tmp_path / "large.png")).astype(int)
    with torch.no_grad():
        values = module.double()(torch.from_numpy(pixels.transpose(2, 0, 1)[None] / 255))[0].numpy()
    expected = np.clip(np.rint(values * 255), 0, 255).transpose(1, 2, 0)
    assert expected.std() > 20 and ((expected > 0) & (expected < 255)).mean() > 0.05
    difference = np.abs(made - expected)
    assert difference.max() <= (1 if form == "float" else 0) and (difference > 0).mean() < 0.001


SOUNDS = {
    "keyword_spotting/checkpoints/dscnn.pth": ("keyword_spotting_inputs.pt", (1, 10, 49)),
    "anomaly_detection/checkpoints/dae.pth": ("anomaly_detection_inputs.pt", (784,)),
}


def sounds(data: Path, checkpoint: str) -> np.ndarray:
    """The real inputs of a network of `mlperf_tiny`."""
    file, shape = SOUNDS[checkpoint]
    content = torch.load(data / "mlperf_tiny/diana_quantlib/tests/data" / file, weights_only=True)
    x: np.ndarray = torch.cat(content["x"]).numpy()
    assert x.shape[1:] == shape
    return x


@pytest.mark.slow
def test_keyword_spotting(shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Trained DS-CNN at W8A8, ranges from 32 of 200 sounds: at least 95 % of the labels are the float network's, which
    are another flow's in 92 %; float32 and integers in generated C, from files of real values."""
    checkpoint = next(iter(SOUNDS))
    x = sounds(shared_data, checkpoint)
    np.save(tmp_path / "all.npy", x)
    model = shared_data / "mlperf_tiny/diana_quantlib/examples" / checkpoint
    labels = {}
    for form, more in (("float", []), ("int8", ["--quantise", "int8", "--calibration", str(tmp_path / "all.npy")])):
        out = tmp_path / form
        assert hetero_compile([str(model), "--board", "bananapi-f3", "-o", str(out), *more]) == 0
        capsys.readouterr()
        files = []
        for i in range(40):
            files.append(tmp_path / f"{i}.npy")
            np.save(files[-1], x[i : i + 1])
        assert hetero_run([str(out), *map(str, files), "--json"]) == 0
        found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        labels[form] = [each["classes"][0]["label"] for each in found]
    same = np.mean([a == b for a, b in zip(labels["float"], labels["int8"], strict=True)])
    print(f"ds_cnn: {100 * same:.1f} % of the labels of float32")
    assert len(set(labels["float"])) > 6 and same >= 0.95


@pytest.mark.slow
def test_anomaly_detection(shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The trained autoencoder: a vector comes out in the file's shape, float32 and W8A8 close to each other."""
    checkpoint = list(SOUNDS)[1]
    x = sounds(shared_data, checkpoint)
    np.save(tmp_path / "all.npy", x)
    np.save(tmp_path / "one.npy", x[0])
    model = shared_data / "mlperf_tiny/diana_quantlib/examples" / checkpoint
    made = {}
    for form, more in (("float", []), ("int8", ["--quantise", "int8", "--calibration", str(tmp_path / "all.npy")])):
        assert hetero_compile([str(model), "--board", "bananapi-f3", "-o", str(tmp_path / form), *more]) == 0
        capsys.readouterr()
        assert hetero_run([str(tmp_path / form), str(tmp_path / "one.npy"), "-o", str(tmp_path / f"{form}.npz")]) == 0
        (made[form],) = np.load(tmp_path / f"{form}.npz").values()
    assert made["float"].shape == made["int8"].shape == (1, 784)
    with torch.no_grad():
        state = torch.load(model, map_location="cpu", weights_only=False)["net"]
        y = torch.from_numpy(x[:1])
        for layer in range(0, 19, 2):
            y = torch.nn.functional.linear(y, state[f"net.{layer}.weight"], state[f"net.{layer}.bias"])
            y = torch.relu(y) if layer < 18 else y
    assert np.abs(made["float"] - y.numpy()).max() < 1e-4
    assert np.abs(made["int8"] - y.numpy()).mean() < 0.02


def test_a_network_of_a_plain_tensor_of_the_users(tmp_path: Path) -> None:
    """`input_shape` in place of a picture; the head is optional."""
    (tmp_path / "net.py").write_text(
        "from torch import nn\n\n\ndef make():\n    net = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2))\n"
        "    net.input_shape = (1, 6)\n    return net\n"
    )
    torch.manual_seed(1)
    net = torch.nn.Sequential(torch.nn.Linear(6, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    torch.save(net.state_dict(), tmp_path / "net.pt")
    model = load_model(tmp_path / "net.pt", f"{tmp_path / 'net.py'}:make")
    assert model.picture is None and model.head is None
    assert list(model.shapes.values()) == [(1, 6), (1, 2)]
