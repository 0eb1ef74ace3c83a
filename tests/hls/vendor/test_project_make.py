"""The vendor project's Makefile: messages where tools are missing, their order where they are there, real vectors."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from hetero_compile.board import load_board
from hls.csim import CSimulationError, _compile, ap_headers
from hls.engine import DataflowEngine
from ir.engine import Artifact, Prepared
from ir.graph import Graph, Node
from ir.ops import Conv2d, MultiplyShift
from ir.types import TensorType

RUNTIME = Path(__file__).parents[3] / "host/runtime"

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def region() -> Graph:
    """A convolution of a range that does not fill its type, requantised to signed values."""
    rng = np.random.default_rng(0)
    constants = {
        "w": rng.integers(-7, 8, (4, 2, 3, 3)),
        "mul": np.array([3, -5, 7, 2]),
        "add": np.array([9, 0, -100, 30]),
    }
    nodes = (
        Node("conv", Conv2d(padding=(1, 1, 1, 1)), ("input", "w")),
        Node("act", MultiplyShift(6, -8, 7), ("conv", "mul", "add")),
    )
    return Graph("fpga0", {"input": TensorType.of_range((2, 6, 5), 0, 12)}, nodes, ("act",), constants).verify()


def lowered(board: str) -> Artifact:
    target, graph, engine = load_board(board), region(), DataflowEngine()
    choices = {}
    for view in graph.views():
        prepared = engine.prepare(view, target)
        assert isinstance(prepared, Prepared)
        choices[view.name] = engine.candidates(prepared, target)[0]
    return engine.lower(graph, choices, target)


@pytest.fixture(scope="module")
def artifact() -> Artifact:
    return lowered("ultra96-v2")


@pytest.fixture
def vendor(artifact: Artifact, tmp_path: Path) -> Path:
    for path, text in artifact.files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    shutil.copytree(RUNTIME, tmp_path / "runtime")
    return tmp_path / "regions/fpga0/vendor"


def make(vendor: Path, *targets: str, tools: Path | None = None) -> subprocess.CompletedProcess[str]:
    path = f"{tools}:{os.environ['PATH']}" if tools else os.environ["PATH"]
    return subprocess.run(
        ["make", "-C", str(vendor), *targets],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.skipif(shutil.which("vitis_hls") is not None, reason="Vitis is installed")
def test_missing_tools_are_named(vendor: Path) -> None:
    done = make(vendor, "hls")
    assert done.returncode != 0
    assert "'vitis_hls' is not on the PATH: install Vitis and source its settings64.sh" in done.stderr
    assert "'vitis-run' is not on the PATH" in make(vendor, "hls", "HLS=vitis-run --mode hls --tcl").stderr


def test_a_bitstream_is_built_in_order(vendor: Path, tmp_path: Path) -> None:
    tools, log = tmp_path / "tools", tmp_path / "log"
    tools.mkdir()
    for name in ("vitis_hls", "vivado"):
        (tools / name).write_text(f'#!/bin/sh\necho "$(basename "$PWD") {name} $*" >> {log}\nmkdir -p ../out\n')
        (tools / name).chmod(0o755)
    assert make(vendor, "bit", tools=tools).returncode == 0
    assert log.read_text().splitlines() == [
        "work vitis_hls -f ../run_hls.tcl",
        "work vivado -mode batch -nojournal -source ../block_design.tcl",
        "work vivado -mode batch -nojournal -source ../bitstream.tcl",
    ]
    assert make(vendor, "clean").returncode == 0
    assert not (vendor / "work").exists() and not (vendor / "out").exists()


def test_boards_without_a_block_design_say_so(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text(lowered("zu3eg-rvv").files["regions/fpga0/vendor/Makefile"])
    done = make(tmp_path, "bit")
    assert done.returncode != 0 and "no block design for board zu3eg-rvv" in done.stderr


@pytest.mark.slow
def test_the_vectors_pass_the_testbench(vendor: Path, artifact: Artifact, tmp_path: Path) -> None:
    """What `make csim` hands the tool: random frames within the ranges, answered alike by ap_int C++."""
    try:
        ap_headers()
    except CSimulationError as error:
        pytest.skip(str(error))
    done = make(vendor, "vectors")
    assert done.returncode == 0, done.stderr
    words = np.fromfile(vendor / "work/vectors/input0.bin", np.uint8)
    port = artifact.inputs[0].layout
    values = port.unpack(words.tobytes(), region().inputs["input"])
    assert (values.min(), values.max()) == (0, 12)
    program = _compile(artifact, tmp_path)
    vectors = [str(vendor / f"work/vectors/{name}.bin") for name in ("input0", "output0")]
    passed = subprocess.run([program, *vectors], capture_output=True, text=True, check=False)
    assert (passed.returncode, passed.stdout) == (0, "all words equal\n")
    data = bytearray(Path(vectors[1]).read_bytes())
    data[0] ^= 1
    Path(vectors[1]).write_bytes(data)
    assert subprocess.run([program, *vectors], capture_output=True, check=False).returncode == 1
