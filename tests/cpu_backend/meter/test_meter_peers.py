"""benchmarks.peers: other compilers' objects, where HETERO_PEERS (default: this interpreter) has their wheels."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from benchmarks.peers import build, iree, network, table, tvm
from benchmarks.peers.case import TYPES, Case
from benchmarks.riscv import TYPES as OUR_TYPES
from benchmarks.riscv import Tables
from benchmarks.shapes import RESNET20, Shape
from cpu_backend import toolchain
from cpu_backend.meter.machine import load_machine
from cpu_backend.meter.meter import INCLUDE, build_meter

PYTHON = os.environ.get("HETERO_PEERS", sys.executable)
SHAPES = (
    Shape("conv", 16, 32, 8, 3),
    Shape("pointwise", 16, 32, 8, 1),
    Shape("depthwise", 16, 16, 8, 3, depthwise=True),
    Shape("dense", 64, 32, 1, 1),
    Shape("strided", 3, 16, 4, 3, stride=2),
)
HAL = """
  %cmd = hal.command_buffer.create device(%d : !hal.device) bindings(%c4) : !hal.command_buffer
  hal.command_buffer.fill_buffer<%cmd : !hal.command_buffer> target(%c3 : index)[%c0, %c96] pattern(%c7_i8 : i8)
  hal.command_buffer.execution_barrier<%cmd : !hal.command_buffer> flags("None")
  %f = hal.executable.lookup.function target(%e : !hal.executable) function(@a::@b::@layer_0) : i64
  hal.command_buffer.dispatch<%cmd : !hal.command_buffer> target(%e : !x)[%f] workgroups([%c14, %c2, %c1]) bindings([
    (%c0 : index)[%c0, %c64],
    (%c3 : index)[%c32, %c64]
  ]) flags("None")
  hal.command_buffer.finalize<%cmd : !hal.command_buffer>
  %buffer = hal.buffer_view.buffer<%arg0 : !hal.buffer_view> : !hal.buffer
  %buffer_0 = hal.buffer_view.buffer<%arg1 : !hal.buffer_view> : !hal.buffer
  %out = hal.device.queue.alloca<%d : !hal.device> flags("None") : !hal.buffer{%c64}
  %temporary = hal.device.queue.alloca<%d : !hal.device> flags("None") : !hal.buffer{%c96}
  hal.device.queue.execute.indirect<%d : !hal.device> commands(%m) bindings([
    (%buffer : !hal.buffer)[%c0, %c64],
    (%buffer_0 : !hal.buffer)[%c0, %c9],
    (%out : !hal.buffer)[%c0, %c64],
    (%temporary : !hal.buffer)[%c0, %c96]
  ]) flags("None")
  %view = hal.buffer_view.create buffer(%out : !hal.buffer)[%c0, %c64] shape([%c1])
"""


@pytest.fixture(params=table.PEERS, ids=lambda peer: peer.name)
def peer(request: pytest.FixtureRequest) -> table.Peer:
    found: table.Peer = request.param
    if found.version(PYTHON) is None:
        pytest.skip(f"{PYTHON} has no {found.wheel} (set HETERO_PEERS)")
    return found


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_expected(shape: Shape) -> None:
    """numpy's result against the definition, element by element at a corner and in the middle."""
    case = Case(shape, "int8")
    x, w = (operand.astype(np.int64) for operand in case.operands())
    y, pad, size = case.expected(), shape.kernel // 2, shape.size
    assert y.shape == case.y_shape and y.dtype == np.int32
    x, y = x.reshape(size * shape.stride, size * shape.stride, -1), y.reshape(size, size, -1)
    w = w.reshape(shape.kernel, shape.kernel, -1, 1 if shape.depthwise else shape.filters)
    for row, column in ((0, 0), (size // 2, size // 2)):
        total = 0
        for i in range(shape.kernel):
            for j in range(shape.kernel):
                r, c = row * shape.stride + i - pad, column * shape.stride + j - pad
                if 0 <= r < len(x) and 0 <= c < len(x):
                    total += x[r, c, 3] * w[i, j, 3, 0] if shape.depthwise else int(x[r, c] @ w[i, j, :, 3])
        assert y[row, column, 3] == total
    assert case.agrees(case.expected()) and not case.agrees(case.expected() + 1)


def test_schedule() -> None:
    """The steps and buffers of a command buffer; a command that is not known is refused."""
    schedule = iree.read_schedule(HAL)
    assert schedule.steps == (
        iree.Step(None, (1, 1, 1), ((3, 0, 96),), 7),
        iree.Step("layer_0", (14, 2, 1), ((0, 0, 64), (3, 32, 64))),
    )
    assert schedule.buffers[2:] == ("(uint8_t *)y", 96)
    with pytest.raises(build.PeerError, match="copy_buffer"):
        iree.read_schedule(HAL.replace("command_buffer.finalize", "command_buffer.copy_buffer"))


def test_shims_compile(riscv_tools: None, tmp_path: Path) -> None:
    """Both shims and the program around them, without any peer."""
    (tmp_path / "peer_schedule.h").write_text(iree.read_schedule(HAL).header())
    tvm_flags = [f"-DHC_{name}_SHAPE=1,8" for name in "XWY"] + ["-DHC_CODE=0", "-DHC_BITS=8", "-DHC_WORKSPACE=64"]
    for shim, flags in ((tvm.SHIM, tvm_flags), (iree.SHIM, [])):
        assert toolchain.compile_objects([shim], tmp_path, toolchain.SCALAR, [INCLUDE, tmp_path], flags)


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
@pytest.mark.parametrize("type_", TYPES)
def test_peer(peer: table.Peer, type_: str, shape: Shape, riscv_tools: None, tmp_path: Path) -> None:
    """A peer's object gives numpy's result (`measure` refuses others) and executes vector instructions."""
    case = Case(shape, type_)
    program = build.link(case, peer.build(PYTHON, case, 256, tmp_path), tmp_path)
    counts = build.measure(build_meter(tmp_path), case, program, 256, tmp_path)
    assert counts.entries == 1 and counts.arithmetic_beats(256, 128) > 0


def test_missing(riscv_tools: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that is not installed keeps its place in table and JSON, with how to install it."""
    absent = table.Peer("absent", "absent-wheel", lambda python: build.ask(python, "no_such_module", "1"), tvm.build)
    monkeypatch.setattr(table, "PEERS", (absent,))
    machine = load_machine("generic")
    (found,) = table.find(machine, [(SHAPES, (256,))], sys.executable, {})
    assert found.version is None and not found.rows
    assert any("not installed: pip install absent-wheel" in line for line in table.lines([found], ("w8a8",)))
    printed = json.loads(json.dumps(asdict(Tables(machine.name, [], [found], network.resnet20({}, [found], (256,))))))
    assert [(peer["version"], peer["rows"], peer["problem"]) for peer in printed["peers"]] == [
        (None, [], found.problem)
    ]


def test_rows(riscv_tools: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that fails on a layer says so in the row; ratios are this project's cycles over the peer's."""

    def fail(python: str, case: Case, vlen: int, folder: Path) -> build.Parts:
        raise build.PeerError("does not compile")

    monkeypatch.setattr(table, "PEERS", (table.Peer("failing", "wheel", lambda python: "1.0", fail),))
    (found,) = table.find(load_machine("generic"), [(SHAPES[:1], (128, 256))], sys.executable, {})
    assert [(row.type, row.vlen, row.problem) for row in found.rows] == [
        (type_, vlen, "does not compile") for type_ in TYPES for vlen in (128, 256)
    ]
    row = table.PeerRow("conv", "int8", 256, 1.0, 1.0, 0.5, 2.0, {"w8a8": 0.25})
    (_, line, note) = table.lines([table.Found("some", "wheel", "1.0", "", (row,))], ("w8a8",))
    assert line.split()[:4] == ["some", "conv", "int8", "256"] and line.split()[-1] == "0.250"
    assert note == table.NOTE


def test_network() -> None:
    """A frame is every layer as often as it occurs: 40.55 million multiply-accumulates, counted by hand per stage."""
    macs = (
        32 * 32 * 9 * (3 * 16 + 6 * 16 * 16) + 16 * 16 * 9 * 32 * (16 + 5 * 32) + 8 * 8 * 9 * 64 * (32 + 5 * 64) + 640
    )
    ours = {(shape.name, 256): dict.fromkeys(OUR_TYPES, 0.5) for shape, _ in RESNET20}
    rows = tuple(table.PeerRow(shape.name, "int8", 256, 1.0, 1.0, 1.0, 2.0, {}) for shape, _ in RESNET20)
    found = network.resnet20(ours, [table.Found("some", "wheel", "1.0", "", rows)], (256,))
    assert {row.cycles for row in found if row.by == "this project"} == {macs / 2}
    int8, float32 = (row for row in found if row.by == "some")
    assert int8.cycles == macs * 2 and float32.cycles is None and "not measured" in float32.problem
    assert any("not measured" in line for line in network.lines(found))
