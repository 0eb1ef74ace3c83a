"""Any number of regions on either side, side by side and one after another."""

from __future__ import annotations

import itertools
import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from host.device import SimulatedDevice
from host.manifest import Manifest, Region, Tensor
from host.package import Package
from host.session import Session
from host.trace import Span, write_trace
from ir.engine import Port
from ir.layouts import Plain, Words
from ir.types import DType
from tests.host import fake
from tests.host.conftest import build
from tests.host.nodes import Nodes

Array = fake.Array
SHAPE = (8, 6, 5)
COUNT = 8 * 6 * 5
NIBBLES = Words(2, 4, 1)

Network = Mapping[str, tuple[str, tuple[str, ...], str]]

# Region -> side, inputs, output; y = (a * x0 + b * x1 + ... + c) mod 16 with numbers of the region's own.
NETWORK: Network = {
    "entry": ("cpu", ("x",), "t0"),
    "left": ("device", ("t0",), "t1"),
    "right": ("device", ("t0", "x"), "t2"),
    "middle": ("cpu", ("t1",), "t3"),
    "deep": ("device", ("t2",), "t4"),
    "deeper": ("device", ("t4", "t3"), "t5"),
    "beside": ("cpu", ("t2", "x"), "t6"),
    "join": ("cpu", ("t5", "t6"), "t7"),
    "last": ("device", ("t7",), "y"),
}


def numbers(name: str) -> tuple[int, ...]:
    return tuple(ord(letter) % 15 + 1 for letter in name)


# More device regions side by side than the ring has slots for, with three frames in flight.
SIDE_BY_SIDE: Network = {
    "entry": ("cpu", ("x",), "t0"),
    **{name: ("device", ("t0",), f"t{i}") for i, name in enumerate(("one", "two", "three", "four", "five", "six"), 1)},
    "together": ("cpu", tuple(f"t{i}" for i in range(1, 7)), "y"),
}


def meaning(x: Array, network: Network = NETWORK) -> Array:
    values = {"x": x.astype(np.int64)}
    for name, (_, inputs, output) in network.items():
        k = numbers(name)
        values[output] = (sum(k[i] * values[t] for i, t in enumerate(inputs)) + k[-1]) % 16
    return values["y"]


def source(name: str, inputs: tuple[str, ...], symbol: str, packed: bool, pause_us: int = 0) -> str:
    k = numbers(name)
    read = "(in{0}[i / 2] >> 4 * (i % 2) & 15)" if packed else "in{0}[i]"
    total = " + ".join(f"{k[i]} * {read.format(i)}" for i in range(len(inputs)))
    pointers = "\n    ".join(f"const uint8_t *in{i} = inputs[{i}];" for i in range(len(inputs)))
    store = "out[i / 2] = (uint8_t)(i % 2 ? out[i / 2] | sum << 4 : sum);" if packed else "out[i] = (uint8_t)sum;"
    size = COUNT // 2 if packed else COUNT
    return f"""
#include <time.h>

#include "hc_region.h"

static int32_t run(const void *const *inputs, void *const *outputs, void *arena) {{
    {pointers}
    uint8_t *out = outputs[0];
    const struct timespec pause = {{0, {pause_us}000L}};
    (void)arena;
    if (pause.tv_nsec) {{
        nanosleep(&pause, 0);
    }}
    for (int i = 0; i < {COUNT}; i++) {{
        const int sum = ({total} + {k[-1]}) & 15;
        {store}
    }}
    return 0;
}}

static const uint32_t input_bytes[] = {{{", ".join([str(size)] * len(inputs))}}};
static const uint32_t output_bytes[] = {{{size}}};
const hc_region hc_region_{symbol} = {{
    "{symbol}", HC_REGION_ABI, {len(inputs)}, 1, input_bytes, output_bytes, 0, run}};
"""


def described(
    driver: Literal["none", "uio", "pynq"] = "none",
    network: Network = NETWORK,
    words: Words = NIBBLES,
    pause_us: int = 0,
) -> tuple[Manifest, dict[str, str]]:
    """The manifest and sources of a network; for pynq each device region is made from a file of its own. Device regions
    read and write ``words`` and wait for so many microseconds."""
    names = ("x", *(output for _, _, output in network.values()))
    tensors = tuple(Tensor(t, SHAPE, DType("uint", 4), 0, 15) for t in names)
    regions, files = [], dict[str, str]()
    for name, (side, inputs, output) in network.items():
        on_device = side == "device"
        layout = words if on_device else Plain()
        path, spare, made = f"regions/{name}/{name}.c", f"regions/{name}_cpu/{name}.c", f"regions/{name}/{name}.v"
        files[path] = source(name, inputs, name, layout == NIBBLES, pause_us if on_device else 0)
        if on_device:
            files |= {spare: source(name, inputs, f"{name}_cpu", False), made: f"module {name}; endmodule\n"}
        region = Region(
            name, "device" if on_device else "cpu", tuple(Port(t, layout) for t in inputs), (Port(output, layout),),
            (path,), failover=(spare,) if on_device else (), hardware=(made,) if on_device else (),
        )  # fmt: skip
        regions.append(region)
    board = fake.board(coherent=False, driver=driver)
    return Manifest("many", board, tensors, ("x",), ("y",), tuple(regions)), files


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return build(tmp_path_factory.mktemp("many") / "p", *described())


def frames(count: int) -> list[Array]:
    random = np.random.default_rng(7)
    extremes = [np.zeros(SHAPE, np.uint8), np.full(SHAPE, 15, np.uint8)]
    return [*extremes, *(random.integers(0, 16, SHAPE, np.uint8) for _ in range(count - 2))]


def assert_right(fed: list[Array], answers: list[dict[str, Array]], network: Network = NETWORK) -> None:
    assert len(answers) == len(fed)
    for frame, answer in zip(fed, answers, strict=True):
        np.testing.assert_array_equal(answer["y"], meaning(frame, network))


def test_every_region_runs_once_a_frame(network: Package) -> None:
    fed = frames(60)
    with Session(network) as session:
        assert_right(fed, list(session.run_all(fed)))
        runs = {step.name: step.runs for step in session.times() if step.kind in ("cpu", "device")}
    assert runs == dict.fromkeys(NETWORK, 60)


def test_more_commands_than_the_ring_has_slots_for(tmp_path: Path) -> None:
    """Eighteen are ready before the device has done the first, and sixteen fit."""
    package = build(tmp_path / "p", *described(network=SIDE_BY_SIDE, pause_us=3000))
    fed, said = frames(12), list[str]()
    with Session(package, notify=said.append) as session:
        assert_right(fed, list(session.run_all(fed)), SIDE_BY_SIDE)
        assert {step.runs for step in session.times()} == {12}
    assert said == []


def test_every_region_is_reached_through_uio(network: Package, tmp_path: Path) -> None:
    fed = frames(40)
    with Nodes(tmp_path / "root", network) as nodes, Session(network, on="uio", nodes=nodes.root) as session:
        assert_right(fed, list(session.run_all(fed)))
        runs = {step.name: step.runs for step in session.times() if step.kind == "device"}
    assert runs == {name: 40 for name, (side, _, _) in NETWORK.items() if side == "device"}


def test_a_batch_is_its_frames(network: Package) -> None:
    fed = np.stack(frames(9))
    with Session(network) as session:
        for batch in (fed, {"x": fed}):
            np.testing.assert_array_equal(session.run_batch(batch)["y"], np.stack([meaning(x) for x in fed]))
        empty = session.run_batch(fed[:0])["y"]
    assert (empty.shape, empty.dtype) == ((0, *SHAPE), np.uint8)


def test_the_device_dies_among_many_regions(network: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[SimulatedDevice] = []

    def make(package: Package) -> SimulatedDevice:
        started.append(SimulatedDevice(package))
        return started[-1]

    monkeypatch.setattr("host.places.SimulatedDevice", make)
    fed, said, answers = frames(80), list[str](), []
    with Session(network, notify=said.append) as session:
        for number, answer in enumerate(session.run_all(fed)):
            answers.append(answer)
            if number == 30:
                os.kill(started[0].process.pid, signal.SIGKILL)
    assert_right(fed, answers)
    assert len(said) == 1 and "the device went away" in said[0]


@pytest.mark.parametrize("count", [3000, pytest.param(100_000, marks=pytest.mark.full)])
def test_memory_is_constant(network: Package, count: int) -> None:
    """What the process holds does not grow from a tenth of the frames to all of them."""
    frame = frames(3)[2]

    def resident() -> int:
        return int(Path("/proc/self/status").read_text().split("VmRSS:")[1].split()[0])

    with Session(network, on="cpu") as session:
        for number, _ in enumerate(session.run_all(frame for _ in range(count))):
            if number == count // 10:
                before = resident()
        assert resident() - before < 512


@pytest.mark.parametrize("on", ["sim", "cpu"])
def test_time_lines_are_consistent(network: Package, on: str, tmp_path: Path) -> None:
    """Spans of a row never overlap; every frame has all of its steps, inside its own span, in the order of its plan."""
    fed = frames(40)
    with Session(network, on=on, trace=True) as session:  # type: ignore[arg-type]
        list(session.run_all(fed))
        spans = session.spans()
        assert session.spans() == []
        steps = {step.name: step for step in session.times()}
    for row in ("CPU", "FPGA", "DMA"):
        ordered = sorted((s for s in spans if s.row == row), key=lambda s: s.begin)
        assert all(a.end <= b.begin for a, b in itertools.pairwise(ordered)), row
    for frame in range(len(fed)):
        mine = [s for s in spans if s.frame == frame]
        (whole,) = [s for s in mine if s.row == "frames"]
        assert all(whole.begin <= s.begin <= s.end <= whole.end for s in mine)
        assert_complete(mine, set(steps), on)
        ends = {s.name.split(" in place")[0]: s for s in mine if s.row in ("CPU", "FPGA")}
        for name, (_, inputs, _) in NETWORK.items():
            for before, (_, _, output) in NETWORK.items():
                assert output not in inputs or ends[before].end <= ends[name].begin, (before, name)
    path = tmp_path / "trace.json"
    with path.open("w") as stream:
        write_trace(stream, spans, "many")
    events = json.loads(path.read_text())["traceEvents"]
    assert sum(event["ph"] == "X" for event in events) == sum(s.row != "frames" for s in spans)
    assert all(event["dur"] >= 0 and event["ts"] >= 0 for event in events if event["ph"] == "X")


def assert_complete(mine: list[Span], steps: set[str], on: str) -> None:
    on_device = {name for name, (side, _, _) in NETWORK.items() if side == "device"}
    fpga = {s.name for s in mine if s.row == "FPGA"}
    cpu = [s.name for s in mine if s.row == "CPU"]
    if on == "sim":
        assert fpga == on_device and set(cpu) == steps - on_device and len(cpu) == len(set(cpu))
        assert {s.name.split(":")[0] for s in mine if s.row == "DMA"} == {"to device", "to CPU"}
    else:
        assert not fpga and not any(s.row == "DMA" for s in mine)
        assert {f"{name} in place of the accelerator" for name in on_device} < set(cpu)


def test_a_programs_time_line_comes_through_the_pipe(spared_riscv: Package) -> None:
    fed = fake.frames(12)
    with Session(spared_riscv, on="qemu", trace=True) as session:
        list(session.run_all(fed))
        spans = session.spans()
    for frame in range(len(fed)):
        names = {(s.row, s.name) for s in spans if s.frame == frame}
        assert names == {
            ("frames", "frame"), ("CPU", "head"), ("CPU", "pack small"), ("FPGA", "scale"), ("CPU", "unpack wide"),
            ("CPU", "tail"), ("DMA", "to device: small"), ("DMA", "to CPU: wide"),
        }  # fmt: skip
