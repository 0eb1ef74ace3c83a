"""hetero-run as its users see it: files, lines, exit status."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from host import cli
from host.device import SimulatedDevice, memory_folder
from host.package import Package
from tests.host import fake
from tests.host.conftest import build

# The box of `fake.DETECTOR_BOX` on a photo of 640 x 360: x times 2, y times 2.25.
BOX = [360.0, 139.5, 440.0, 184.5]
CONFIDENT = 1 / (1 + np.exp(-1.0))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with two photos in it."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for name in ("a.png", "b.jpg"):
        Image.fromarray(random.integers(0, 256, (360, 640, 3), np.uint8)).save(tmp_path / name)
    return tmp_path


def run(package: Package, *arguments: str) -> int:
    return cli.main([str(package.root), *arguments])


def test_json_lines(detector: Package, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = ["a.png", str(folder / "b.jpg"), "a.png"]
    assert run(detector, *photos, "--json") == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    lines = [json.loads(line) for line in captured.out.splitlines()]
    assert [list(line) for line in lines] == [["file", "detections"]] * 3
    assert [line["file"] for line in lines] == photos
    for line in lines:
        (found,) = line["detections"]
        assert list(found) == ["box", "score", "label"]
        np.testing.assert_allclose(found["box"], BOX, atol=1e-9)
        assert found["score"] == pytest.approx(CONFIDENT)
        assert found["label"] == "drone"
    assert sorted(path.name for path in folder.iterdir()) == ["a.png", "b.jpg"]


def test_a_picture_and_a_table(detector: Package, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(detector, "a.png", "-o", "found.jpg") == 0
    with Image.open(folder / "found.jpg") as drawn:
        assert (drawn.format, drawn.size) == ("JPEG", (640, 360))
    out = capsys.readouterr().out
    assert "a.png: drone 73 % at (360, 140, 440, 184) -> found.jpg" in out
    assert "frames/s on sim" in out
    assert any(line.split()[:2] == ["detect", "cpu"] for line in out.splitlines())


def test_where_results_go(detector: Package, folder: Path) -> None:
    assert run(detector, "a.png", "b.jpg") == 0
    assert {path.name for path in folder.glob("*.boxes.png")} == {"a.boxes.png", "b.boxes.png"}
    shutil.copy("a.png", "b.png")
    assert run(detector, "a.png", "b.jpg", "b.png", "-o", "out") == 0
    assert {path.name for path in (folder / "out").iterdir()} == {"a.boxes.png", "b.boxes.png", "b-2.boxes.png"}
    assert run(detector, "a.png", "-o", "raw.npz") == 0
    head = np.load("raw.npz")["head"]
    assert head.shape == (36, 10, 20)
    assert head[4, 4, 12] == 64


def test_tensors_of_a_network_without_pictures(
    package: Package, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = fake.frames(2)
    np.save("first.npy", first)
    np.savez("second.npz", x=second)
    assert run(package, "first.npy", "second.npz", "-o", "out") == 0
    for name, frame in (("first", first), ("second", second)):
        found = np.load(folder / "out" / f"{name}.outputs.npz")
        for output, expected in fake.meaning(frame).items():
            np.testing.assert_array_equal(found[output], expected)
    table = capsys.readouterr().out
    assert "35 cycles, 5714286 frames/s at 200 MHz" in table
    assert run(package, "first.npy", "--json") == 0
    line = json.loads(capsys.readouterr().out)
    np.testing.assert_array_equal(line["outputs"]["y"], fake.meaning(first)["y"])


def test_folders_and_a_time_line(detector: Package, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "photos" / "deeper").mkdir(parents=True)
    for name in ("b.jpg", "a.png"):
        (folder / name).rename(folder / "photos" / name)
    (folder / "photos" / "notes.txt").write_text("no picture")
    assert run(detector, "photos", "--json", "--trace", "trace.json") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["file"] for line in lines] == ["photos/a.png", "photos/b.jpg"]
    events = json.loads((folder / "trace.json").read_text())["traceEvents"]
    assert [event["name"] for event in events if event["ph"] == "X"] == ["detect", "detect"]
    assert [event["name"] for event in events if event["ph"] == "b"] == ["frame 0", "frame 1"]


def test_labels_of_a_classifier(folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    package = build(tmp_path / "package", fake.classifier_manifest(), fake.CLASSIFIER_FILES)
    assert run(package, "a.png", "b.jpg", "--json") == 0
    for line in map(json.loads, capsys.readouterr().out.splitlines()):
        assert [found["label"] for found in line["classes"]] == ["dog", "bird", "cat"]
        assert line["classes"][0]["score"] == pytest.approx(np.exp(4) / (np.exp(4) + np.exp(1) + 1))
    assert run(package, "a.png", "-o", "labelled.png") == 0
    assert "dog 93.6 %; bird 4.7 %; cat 1.7 %" in capsys.readouterr().out
    with Image.open(folder / "labelled.png") as drawn:
        assert drawn.height > 360


def test_a_failing_accelerator_is_said_once(
    spared_riscv: Package, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def dead(package: Package) -> SimulatedDevice:
        device = SimulatedDevice(package)
        while not device.file.exists() or device.file.stat().st_size == 0:
            time.sleep(0.001)
        time.sleep(0.1)
        return device

    started: list[SimulatedDevice] = []
    monkeypatch.setattr("host.places.SimulatedDevice", lambda package: started.append(dead(package)) or started[-1])
    monkeypatch.setattr("host.cli.json_line", lambda *rest: started[0].process.kill() or "{}")
    for index, frame in enumerate(fake.frames(9)):
        np.save(f"{index}.npy", frame)
    assert run(spared_riscv, *[f"{index}.npy" for index in range(9)], "--json") == 0
    captured = capsys.readouterr()
    assert captured.out == "{}\n" * 9
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("hetero-run: region 'scale', frame ")
    assert "the device went away; the CPU computes the accelerator's regions from here on" in captured.err


def test_a_tensor_for_a_detector(detector: Package, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save("input.npy", np.zeros((3, 160, 320), np.int64))
    assert run(detector, "input.npy", "--json") == 0
    box = json.loads(capsys.readouterr().out)["detections"][0]["box"]
    np.testing.assert_allclose(box, fake.DETECTOR_BOX, atol=1e-9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.png"], "missing.png: no such file"),
        (["text.png"], "text.png: is no picture that Pillow can read"),
        (["a.png", "text.png"], "text.png: is no picture"),
        (["a.png", "-o", "nowhere/out.png"], "the folder nowhere does not exist"),
        (["empty"], "empty: the folder holds no pictures, .npy or .npz files"),
        (["a.png", "--trace", "nowhere/t.json"], "nowhere/t.json: the folder nowhere does not exist"),
        (["a.png", "-o", "out.exe"], "cannot be written in that format"),
        (["a.png", "b.jpg", "-o", "text.png"], "text.png: is a file; several results need a folder"),
        (["wrong.npy"], "wrong.npy: input 'image': shape (4,) instead of (3, 160, 320)"),
        (
            ["batch.npy"],
            "batch.npy: input 'image': 2 inputs in one file; give each a file of its own, of shape (3, 160",
        ),
        (["depth.npy"], "depth.npy: input 'image': shape (5, 160, 320) instead of (3, 160, 320)"),
        (["range.npy"], "range.npy: input 'image': values 256..256 outside 0..255"),
        (["float.npy"], "float.npy: input 'image': float64 values instead of integers"),
        (["pickle.npy"], "pickle.npy: no file of numbers"),
        (["text.npz"], "text.npz: no file of numbers"),
        (["a.png", "--on", "sim", "--nodes", "/"], "--on sim takes no --nodes (allowed with qemu, uio, ssh)"),
        (["a.png", "--on", "ssh"], "--on ssh needs the machine: --remote [USER@]HOST"),
        (["a.png", "--on", "ssh", "--remote=-oProxyCommand=x"], "is no [USER@]HOST"),
        (["a.png", "--on", "qemu"], "has no standalone program for riscv64"),
    ],
)
def test_errors_are_one_line(
    detector: Package, folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    Path("text.png").write_text("no picture")
    Path("empty").mkdir()
    Path("text.npz").write_text("no numbers")
    np.save("wrong.npy", np.zeros(4, np.uint8))
    np.save("batch.npy", np.zeros((2, 3, 160, 320), np.uint8))
    np.save("depth.npy", np.zeros((5, 160, 320), np.uint8))
    np.save("range.npy", np.full((3, 160, 320), 256))
    np.save("float.npy", np.zeros((3, 160, 320)))
    np.save("pickle.npy", np.array([{}], object), allow_pickle=True)
    before = sorted(path.name for path in folder.iterdir())
    assert run(detector, *arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("hetero-run: ")
    assert message in captured.err
    assert sorted(path.name for path in folder.iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: PHOTO"),
        (["a.png", "--on", "moon"], "argument --on: invalid choice: 'moon'"),
        (["a.png", "--deadline", "soon"], "argument --deadline: 'soon' is no number of seconds above 0"),
        (["a.png", "--deadline", "-1"], "'-1' is no number of seconds"),
        (["a.png", "--threads", "two"], "argument --threads: invalid int value: 'two'"),
        (["a.png", "--colour"], "unrecognized arguments: --colour"),
    ],
)
def test_calls_that_cannot_be_understood_are_one_line(
    detector: Package, folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as raised:
        run(detector, *arguments)
    captured = capsys.readouterr()
    assert (raised.value.code, captured.out, captured.err.count("\n")) == (2, "", 1)
    assert captured.err.startswith("hetero-run: ") and message in captured.err
    assert captured.err.endswith("(see hetero-run --help)\n")


def test_an_edited_package_is_not_run(
    detector: Package, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(detector.root, tmp_path / "edited")
    library = next((tmp_path / "edited" / "bin").glob("*/libhetero.so"))
    library.write_bytes(library.read_bytes() + b"\0")
    assert cli.main([str(tmp_path / "edited"), "a.png"]) == 2
    captured = capsys.readouterr()
    assert "libhetero.so' was edited after compilation" in captured.err
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interruption_cleans_up(package: Package, folder: Path, number: signal.Signals) -> None:
    np.save("x.npy", fake.frames(2)[0])
    command = [sys.executable, "-m", "host.cli", str(package.root), *["x.npy"] * 20000, "--json"]
    environment = {**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[1])}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as child:
        assert child.stdout
        assert child.stderr
        assert child.stdout.readline().startswith('{"file"')
        child.send_signal(number)
        child.stdout.read()
        assert child.stderr.read() == "hetero-run: interrupted\n"
        assert child.wait() == 130
    end = time.monotonic() + 30
    while list(memory_folder().glob(f"hetero-{child.pid}-*")):
        assert time.monotonic() < end
        time.sleep(0.01)
