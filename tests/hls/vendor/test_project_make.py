"""The vendor project's Makefile: messages where tools are missing, their order where they are there, real vectors."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hetero_compile.board import load_board
from hls.csim import CSimulationError, _compile, ap_headers
from hls.engine import DataflowEngine
from hls.vendor.project import system_files
from hls.vendor.project_ultra96 import Accelerator
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


def lowered_block() -> Accelerator:
    block = lowered("ultra96-v2").interface
    assert isinstance(block, Accelerator)
    return block


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
    """Two regions: both are synthesised, then built into one; again after a change, and of that region only."""
    other = tmp_path / "regions/fpga1"
    shutil.copytree(vendor.parent, other)
    (other / "vendor/run_hls.tcl").write_text("# of fpga1\n")
    block = lowered_block()
    files = system_files([block, replace(block, name="fpga1")], load_board("ultra96-v2"))
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    tools, log = tmp_path / "tools", tmp_path / "log"
    tools.mkdir()
    for name in ("vitis_hls", "vivado"):
        made = "" if name == "vitis_hls" else "mkdir -p ../out && touch ../out/system.bit"
        (tools / name).write_text(f'#!/bin/sh\necho "${{PWD#{tmp_path}/}} {name} $*" >> {log}\n{made}\n')
        (tools / name).chmod(0o755)
    system = tmp_path / "hardware"
    assert "'no-vivado' is not on the PATH" in make(system, "bit", "HLS=true", "VIVADO=no-vivado").stderr
    assert make(vendor, "clean").returncode == make(other / "vendor", "clean").returncode == 0
    done = make(system, "bit", tools=tools)
    assert done.returncode == 0, done.stderr
    synthesis = [f"regions/{name}/vendor/build vitis_hls -f ../run_hls.tcl" for name in ("fpga0", "fpga1")]
    build = [
        "hardware/build vivado -mode batch -nojournal -source ../block_design.tcl",
        "hardware/build vivado -mode batch -nojournal -source ../bitstream.tcl",
    ]
    assert log.read_text().splitlines() == synthesis + build
    log.write_text("")
    assert make(system, "bit", tools=tools).returncode == 0 and log.read_text() == ""
    later = time.time() + 5
    os.utime(other / "accelerator.cpp", (later, later))
    os.utime(system / "out/system.bit", (later - 1000, later - 1000))
    assert make(system, "bit", tools=tools).returncode == 0
    assert log.read_text().splitlines() == synthesis[1:] + build
    assert make(system, "clean").returncode == make(vendor, "clean").returncode == 0
    assert not any(folder.exists() for folder in (system / "build", system / "out", vendor / "build"))


@pytest.mark.slow
def test_the_vectors_pass_the_testbench(vendor: Path, artifact: Artifact, tmp_path: Path) -> None:
    """What `make csim` hands the tool: random frames within the ranges, answered alike by ap_int C++."""
    try:
        ap_headers()
    except CSimulationError as error:
        pytest.skip(str(error))
    done = make(vendor, "vectors")
    assert done.returncode == 0, done.stderr
    words = np.fromfile(vendor / "build/vectors/input0.bin", np.uint8)
    port = artifact.inputs[0].layout
    values = port.unpack(words.tobytes(), region().inputs["input"])
    assert (values.min(), values.max()) == (0, 12)
    program = _compile(artifact, tmp_path)
    vectors = [str(vendor / f"build/vectors/{name}.bin") for name in ("input0", "output0")]
    passed = subprocess.run([program, *vectors], capture_output=True, text=True, check=False)
    assert (passed.returncode, passed.stdout) == (0, "all words equal\n")
    data = bytearray(Path(vectors[1]).read_bytes())
    data[0] ^= 1
    Path(vectors[1]).write_bytes(data)
    assert subprocess.run([program, *vectors], capture_output=True, check=False).returncode == 1
