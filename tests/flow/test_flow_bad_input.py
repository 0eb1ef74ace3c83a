"""Bad input: one clear line, exit status 2, nothing half-written."""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from hetero_compile.command import run as run_compile
from host.cli import main as run_package


@dataclass(frozen=True)
class Done:
    """What a command line left behind."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def hetero(capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Runs a command line in this process, as its entry point does: hetero("compile" or "run", arguments...)."""

    def call(tool: str, *arguments: object) -> Done:
        status = {"compile": run_compile, "run": run_package}[tool]([str(a) for a in arguments])
        captured = capsys.readouterr()
        return Done(status, captured.out, captured.err)

    return call


def assert_refused(done: Done, *words: str) -> None:
    assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in lines[0], lines[0]


class Malicious:
    """Unpickling this would create a file."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (os.system, (f"touch {self.trace}",))


def test_models(hetero: Callable[..., Done], tmp_path: Path, shared_data: Path) -> None:
    output, trace = tmp_path / "out" / "package", tmp_path / "trace"
    good = shared_data / "detectors/ultranet_4w4a.pt"
    cut = tmp_path / "cut.pt"
    cut.write_bytes(good.read_bytes()[:700_000])
    evil_zip, evil_plain = tmp_path / "zip.pt", tmp_path / "plain.pt"
    torch.save({"model": Malicious(trace)}, evil_zip)
    evil_plain.write_bytes(pickle.dumps(Malicious(trace)))
    foreign = tmp_path / "foreign.npz"
    with np.load(shared_data / "detectors/skynet_float.npz") as arrays:
        np.savez(foreign, **{f"net.{key}": arrays[key] for key in arrays.files})
    onnx = tmp_path / "model.onnx"
    onnx.write_bytes(b"\x08\x07")
    for model, words in {
        tmp_path / "missing.pt": ("missing.pt", "no such file"),
        cut: ("cut.pt", "truncated"),
        foreign: ("matches no known network", "--arch", "ultranet_bypass"),
        evil_zip: ("refused", "system"),
        evil_plain: ("refused", "system"),
        onnx: ("model.onnx",),
        shared_data / "dacsdc/photos/000.jpg": ("000.jpg", "not a PyTorch checkpoint"),
    }.items():
        assert_refused(hetero("compile", model, "--board", "zu3eg-rvv", "-o", output), *words)
    assert not trace.exists()
    assert not list(output.parent.glob("*")), "something was left behind"


def test_boards_and_options(hetero: Callable[..., Done], tmp_path: Path, shared_data: Path) -> None:
    good, board = shared_data / "detectors/ultranet_4w4a.pt", tmp_path / "board.yaml"
    board.write_text(
        "name: mine\ncpu: {isa: rv64gcv, vlen: 256, cores: 4, clock_mhz: 1600, role: host}\n"
        "memory: {dma_pool_mib: 64, bandwith_gb_s: 4.2, cache_line_bytes: 64, coherent: true}\n"
    )
    output = tmp_path / "package"
    refused = hetero("compile", good, "--board", board, "-o", output)
    assert_refused(refused, "board.yaml", "memory.bandwith_gb_s", "bandwidth_gb_s")
    assert_refused(hetero("compile", good, "--board", "zu9", "-o", output), "zu9", "zu3eg-rvv")
    assert_refused(hetero("compile", good, "--board", "zu3eg-rvv", "--no-such-option"), "no-such-option")
    assert_refused(hetero("compile", good), "--board")
    wrong = hetero("compile", good, "--board", "zu3eg-rvv", "--arch", "ultranet_bypass", "-o", output)
    assert_refused(wrong, "layers_p1.0.weight", "missing")
    assert not output.exists()


def test_output_that_cannot_be_written(hetero: Callable[..., Done], tmp_path: Path, shared_data: Path) -> None:
    good = shared_data / "detectors/ultranet_4w4a.pt"
    file = tmp_path / "file"
    file.write_text("not a folder")
    assert_refused(hetero("compile", good, "--board", "zu3eg-rvv", "-o", file / "package"), "cannot be written")
    other = tmp_path / "other"
    other.mkdir()
    (other / "precious").write_text("mine")
    assert_refused(hetero("compile", good, "--board", "zu3eg-rvv", "-o", other), "is no package")
    assert (other / "precious").read_text() == "mine"
    if os.geteuid():
        closed = tmp_path / "closed"
        closed.mkdir(mode=0o500)
        assert_refused(hetero("compile", good, "--board", "zu3eg-rvv", "-o", closed / "package"), "cannot be written")


def test_photos_and_packages(
    hetero: Callable[..., Done], tmp_path: Path, shared_data: Path, package_of: Callable[[str], Path]
) -> None:
    photo, package = shared_data / "dacsdc/photos/000.jpg", package_of("ultranet")
    fake, drawn = tmp_path / "fake.jpg", tmp_path / "out.png"
    fake.write_text("no picture")
    assert_refused(hetero("run", package, fake, "-o", drawn), "fake.jpg", "no picture")
    assert_refused(hetero("run", package, tmp_path / "none.jpg", "-o", drawn), "none.jpg", "no such file")
    assert_refused(hetero("run", tmp_path / "nowhere", photo, "-o", drawn), "nowhere")
    edited = tmp_path / "edited"
    shutil.copytree(package, edited)
    source = next(edited.glob("regions/fpga0/*.cpp"))
    source.write_text(source.read_text() + "\n")
    assert_refused(hetero("run", edited, photo, "-o", drawn), source.name)
    assert not drawn.exists()


@pytest.mark.slow
def test_a_failing_check_writes_nothing(hetero: Callable[..., Done], tmp_path: Path, shared_data: Path) -> None:
    import numpy as np

    golden = np.load(shared_data / "golden/ultranet_first8.npz")
    frame, head = tmp_path / "frame.npy", tmp_path / "head.npz"
    np.save(frame, golden["img_bgr_160x320"][0].transpose(2, 0, 1))
    wrong = golden["raw_int32_36x10x20"][0].copy()
    wrong[5, 3, 7] += 1
    np.savez(head, layers_28=wrong)
    output = tmp_path / "package"
    model = shared_data / "detectors/ultranet_4w4a.pt"
    done = hetero("compile", model, "--board", "bananapi-f3", "-o", output, "--check", frame, "--expect", head, "-q")
    assert done.returncode == 1, done.stderr
    assert "'layers_28' differs first at (5, 3, 7)" in done.stderr and "1 of 7200" in done.stderr
    assert not output.exists()
