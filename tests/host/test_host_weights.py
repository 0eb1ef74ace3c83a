"""Ports that bring weights: written into the device's pool once, named in every command, refused where none can."""

from __future__ import annotations

import mmap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from host import checks
from host.errors import PackageError, RunError
from host.manifest import Manifest
from host.package import Package
from host.plan import make_plan
from host.session import Session
from ir.engine import WeightPort
from tests.host import fake
from tests.host.conftest import build
from tests.host.nodes import PAGE, Nodes

FIRST, SECOND = list(range(-10, 10)), [7, -(1 << 40), 1 << 62]
SOURCE = f"""
#include <stdint.h>

static const int32_t first[] = {{{", ".join(map(str, FIRST))}}};
static const int64_t second[] = {{{", ".join(map(str, SECOND))}}};
extern const void *const hc_weights_scale[];
const void *const hc_weights_scale[] = {{first, second}};
"""
PATH = "regions/scale/weights.c"
FILES = {**fake.FAILOVER_FILES, PATH: SOURCE}
PORTS = (WeightPort("a_memory", 80, 1), WeightPort("b_memory", 24, 1))


def manifest(ports: tuple[WeightPort, ...] = PORTS) -> Manifest:
    plain = fake.manifest(coherent=False, failover=True, driver="uio")
    fed = tuple(replace(r, weights=ports, weight_source=PATH) if r.side == "device" else r for r in plain.regions)
    return replace(plain, regions=fed)


@pytest.fixture(scope="module")
def fed(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return build(tmp_path_factory.mktemp("fed") / "p", manifest(), FILES)


def test_they_lie_behind_the_frames() -> None:
    plain, plan = make_plan(fake.manifest(coherent=False)), make_plan(manifest())
    assert [(w.port, w.offset, w.bytes) for w in plan.weights] == [("a_memory", 0, 80), ("b_memory", 128, 24)]
    assert plan.dma_bytes == plain.dma_bytes + 192
    with pytest.raises(PackageError, match="3 frames in flight and weights need 2496 bytes of DMA memory"):
        make_plan(replace(manifest(), board=fake.board(pool_bytes=2400)))


def test_written_once_and_named_in_every_command(fed: Package, tmp_path: Path) -> None:
    """The device process refuses commands whose weights are not in its memory; what it serves is right."""
    frames, said = fake.frames(10), list[str]()
    plan = make_plan(fed.manifest)
    with (
        Nodes(tmp_path / "root", fed) as nodes,
        Session(fed, on="uio", nodes=nodes.root, notify=said.append) as session,
    ):
        for frame, answer in zip(frames, session.run_all(frames), strict=True):
            np.testing.assert_array_equal(answer["y"], fake.meaning(frame)["y"])
        start = PAGE + plan.frames * plan.pool_bytes
        held = nodes.memory.read_bytes()[start:]
        assert held[:80] == np.array(FIRST, "<i4").tobytes()
        assert held[128:152] == np.array(SECOND, "<i8").tobytes()
        assert nodes.synced("device")[:2] == [(start, 128), (start + 128, 64)]
        assert said == []
        with nodes.memory.open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
            memory[start] ^= 1
        np.testing.assert_array_equal(session.run(frames[3])["y"], fake.meaning(frames[3])["y"])
    assert len(said) == 1 and "the device refused a damaged command" in said[0]


def test_written_again_when_the_device_returns(fed: Package, tmp_path: Path) -> None:
    """A board that was configured anew has lost what lay in its memory."""
    frames, said = fake.frames(3), list[str]()
    plan = make_plan(fed.manifest)
    with (
        Nodes(tmp_path / "root", fed) as nodes,
        Session(fed, on="uio", nodes=nodes.root, deadline=0.3, notify=said.append) as session,
    ):
        session.run(frames[0])
        nodes.process.kill()
        nodes.process.wait()
        np.testing.assert_array_equal(session.run(frames[1])["y"], fake.meaning(frames[1])["y"])
        start = PAGE + plan.frames * plan.pool_bytes
        with nodes.memory.open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
            memory[start:] = bytes(len(memory) - start)
        nodes.start()
        while len(said) < 2:
            np.testing.assert_array_equal(session.run(frames[2])["y"], fake.meaning(frames[2])["y"])
            nodes.synced("device"), nodes.synced("cpu")
        for frame in frames:
            np.testing.assert_array_equal(session.run(frame)["y"], fake.meaning(frame)["y"])
        assert nodes.memory.read_bytes()[start : start + 80] == np.array(FIRST, "<i4").tobytes()
    assert len(said) == 2 and said[1].endswith("the device serves again")


def test_simulated_too(fed: Package) -> None:
    frames, said = fake.frames(5), list[str]()
    with Session(fed, notify=said.append) as session:
        for frame, answer in zip(frames, session.run_all(frames), strict=True):
            np.testing.assert_array_equal(answer["wide"], fake.meaning(frame)["wide"])
    assert said == []


def test_streamed_weights_are_refused_on_boards(tmp_path: Path) -> None:
    ports = (PORTS[0], replace(PORTS[1], repeats=50))
    package = build(tmp_path / "p", manifest(ports), FILES)
    frame = fake.frames(3)[2]
    for on in ("uio", "board", "ssh"):
        with pytest.raises(RunError, match="port 'b_memory' brings its weights 50 times a frame; boards"):
            Session(package, on=on, remote="board" if on == "ssh" else None)  # type: ignore[arg-type]
    with Session(package, on="sim") as session:
        np.testing.assert_array_equal(session.run(frame)["y"], fake.meaning(frame)["y"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": ()}, "need a source of them, and a device"),
        ({"weight_source": ""}, "need a source of them, and a device"),
        ({"side": "cpu", "failover": (), "sources": ("regions/head/head.c",)}, "need a source of them, and a device"),
        ({"weights": (WeightPort("a", 0, 1),)}, "brings 0 bytes 1 times a frame"),
        ({"weights": (WeightPort("a", 1, 1),) * 23}, "23 ports for weights"),
        ({"weight_source": "../x.c"}, "no plain relative path"),
    ],
)
def test_contradictions(changes: dict[str, object], message: str) -> None:
    good = manifest()
    regions = tuple(replace(r, **changes) if r.name == "scale" else r for r in good.regions)  # type: ignore[arg-type]
    with pytest.raises(PackageError, match=message):
        checks.check(replace(good, regions=regions))
