"""ONNX files through both command lines: plain tensors in, the model's own outputs out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parents[1] / "frontend"))

import qonnx_reference
from onnx_build import Network

from hetero_compile.command import command
from host.package import load_package
from ir.types import Array


def hetero_compile(*arguments: object) -> str:
    result = CliRunner().invoke(command, [*map(str, arguments)], standalone_mode=False)
    assert result.return_value == 0, result.output
    return result.output


def hetero_run(*arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "host.cli", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def outputs(path: Path) -> dict[str, Array]:
    with np.load(path) as arrays:
        return dict(arrays)


def test_a_quantised_network_on_a_board_without_fabric(tmp_path: Path) -> None:
    """Reals in the file's shape go in and come out; integers of the network's own shape go in as they are."""
    rng = np.random.default_rng(2)
    net = Network((1, 3, 8, 8))
    x = net.quant("x", 0.125, 6)
    weights = net.quant(net.constant(rng.normal(0, 0.4, (8, 3, 3, 3))), np.full((8, 1, 1, 1), 0.1), 4, narrow=1)
    y = net.add("Conv", x, weights, kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[1, 1], dilations=[1, 1], group=1)
    y = net.quant(net.add("Relu", y), 0.3, 4, signed=0)
    flat = net.add("Flatten", y, axis=1)
    last = net.quant(net.constant(rng.normal(0, 0.3, (512, 5))), 0.2, 3, narrow=1)
    path = net.save(tmp_path, net.add("MatMul", flat, last))
    (tmp_path / "labels.txt").write_text("a\nb\nc\nd\ne\n")
    build = tmp_path / "build"
    hetero_compile(path, "--board", "bananapi-f3", "-o", build, "-q", "--labels", tmp_path / "labels.txt")
    package = load_package(build)
    assert package.manifest.shapes == {"x": (1, 3, 8, 8), package.manifest.outputs[0]: (1, 5)}
    reals = [rng.normal(0, 2, (1, 3, 8, 8)) for _ in range(3)]
    for i, real in enumerate(reals):
        np.save(tmp_path / f"in{i}.npy", real)
        np.save(tmp_path / f"int{i}.npy", package.manifest.quantise["x"].integers(real[0]))
    hetero_run(build, *(tmp_path / f"in{i}.npy" for i in range(3)), "-o", tmp_path / "out")
    hetero_run(build, tmp_path / "int1.npy", "-o", tmp_path / "single.npz")
    for i, real in enumerate(reals):
        expected = qonnx_reference.evaluate(path, real)[package.manifest.outputs[0]].numpy()
        (got,) = outputs(tmp_path / f"out/in{i}.outputs.npz").values()
        assert (got.shape, got.dtype) == ((1, 5), np.float32)
        assert np.allclose(got, expected, rtol=1e-6)
        if i == 1:
            assert np.array_equal(next(iter(outputs(tmp_path / "single.npz").values())), got)
        line = json.loads(hetero_run(build, tmp_path / f"in{i}.npy", "--json"))
        assert line["classes"][0]["label"] == "abcde"[int(expected.argmax())]


@pytest.mark.slow
def test_an_integer_network(shared_data: Path, tmp_path: Path) -> None:
    """Floats that hold integers, as such files and their vectors do."""
    folder = shared_data / "integer_onnx/mlperf/AnomalyDetection"
    hetero_compile(folder / "network.onnx", "--input", "uint8", "--board", "bananapi-f3", "-o", tmp_path / "b", "-q")
    with np.load(folder / "inputs.npz") as inputs, np.load(folder / "outputs.npz") as results:
        np.save(tmp_path / "x.npy", inputs["input_0"].astype(np.float32))
        expected = results["output_0"]
    hetero_run(tmp_path / "b", tmp_path / "x.npy", "-o", tmp_path / "y.npz")
    assert np.array_equal(outputs(tmp_path / "y.npz")["output"], expected)


@pytest.mark.full
@pytest.mark.parametrize("case", ["tfc", "kws", "mlperf/KeywordSpotting", "mlperf/ImageClassification"])
def test_networks_on_every_executor(case: str, shared_data: Path, tmp_path: Path) -> None:
    """The accelerator's simulator, its C++ under ap_int, portable C and RISC-V C: `--check` compares them all."""
    if case.startswith("mlperf"):
        path = shared_data / "integer_onnx" / case / "network.onnx"
        with np.load(path.with_name("inputs.npz")) as arrays:
            first = arrays["input_0"]
        rng = np.random.default_rng(0)
        frames, more = [first, *(rng.integers(0, 256, first.shape) for _ in range(2))], ("--input", "uint8")
    else:
        path = shared_data / f"qonnx/{'tfc_2w2a' if case == 'tfc' else 'kwsmlp_w3a3'}.onnx"
        vectors = np.load(shared_data / f"qonnx/{'tfc' if case == 'tfc' else 'kwsmlp_w3a3'}_input.npy")
        frames, more = [vectors[:1] * scale for scale in (1, 1.2, -0.5)], ()
    checks: list[object] = []
    for i, frame in enumerate(frames):
        np.save(tmp_path / f"{i}.npy", frame)
        checks += ["--check", tmp_path / f"{i}.npy"]
    text = hetero_compile(path, *more, "--board", "zu3eg-rvv", "-o", tmp_path / "build", *checks)
    assert "3 frames: no difference between reference executor" in text
