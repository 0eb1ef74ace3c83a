"""The UIO device on files that stand for its nodes, natively and as a riscv64 program, served by the device process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from host.errors import RunError
from host.package import Package
from host.places import Where
from host.plan import make_plan
from host.session import Session
from ir.layouts import Words
from tests.host import fake
from tests.host import test_host_regions as many
from tests.host.conftest import build
from tests.host.nodes import PAGE, Nodes

ROOT = Path(__file__).parents[2]


@pytest.fixture
def nodes(spared_riscv: Package, tmp_path: Path) -> Iterator[Nodes]:
    with Nodes(tmp_path / "root", spared_riscv) as tree:
        yield tree


def assert_right(frames: list[fake.Array], answers: list[dict[str, fake.Array]]) -> None:
    assert len(answers) == len(frames)
    for frame, answer in zip(frames, answers, strict=True):
        for name, expected in fake.meaning(frame).items():
            np.testing.assert_array_equal(answer[name], expected, err_msg=name)


@pytest.mark.parametrize("on", ["uio", "board", "qemu"])
def test_frames_and_cache_maintenance(spared_riscv: Package, nodes: Nodes, on: Where) -> None:
    """Every buffer of the pool is written back before the device reads it and dropped before the processor does."""
    frames = fake.frames(20)
    said: list[str] = []
    plan = make_plan(spared_riscv.manifest)
    places = {b.tensor: (b.offset, -(-b.bytes // 64) * 64) for b in plan.buffers if b.in_pool}
    with Session(spared_riscv, on=on, nodes=nodes.root, notify=said.append) as session:
        assert_right(frames, list(session.run_all(frames)))
    assert said == []
    for way, tensor in (("device", "small"), ("cpu", "wide")):
        offset, size = places[tensor]
        expected = [(PAGE + number % plan.frames * plan.pool_bytes + offset, size) for number in range(len(frames))]
        assert nodes.synced(way) == expected


@pytest.mark.parametrize("on", ["uio", "qemu"])
def test_interrupts_are_waited_for(spared_riscv: Package, nodes: Nodes, on: Where) -> None:
    board = replace(spared_riscv.manifest.board, completion="interrupt")
    waiting = replace(spared_riscv, manifest=replace(spared_riscv.manifest, board=board))
    frames = fake.frames(20)
    with Session(waiting, on=on, nodes=nodes.root) as session:
        assert_right(frames, list(session.run_all(frames)))
    assert nodes.raised(len(frames)) == len(frames)


def test_nodes_are_opened_with_the_least_rights(spared_riscv: Package, nodes: Nodes) -> None:
    """What is open while a session runs, by the kernel's word: sync files to be written only, registers and memory to
    be mapped; nothing else, and nothing that a child would inherit."""
    with Session(spared_riscv, on="uio", nodes=nodes.root) as session:
        session.run(fake.frames(3)[2])
        found: dict[str, list[str]] = {}
        for entry in Path("/proc/self/fd").iterdir():
            target = entry.readlink() if entry.is_symlink() else Path()
            if target.is_relative_to(nodes.root) and int(entry.name) not in nodes.descriptors:
                text = (Path("/proc/self/fdinfo") / entry.name).read_text()
                flags = int(text.split("flags:")[1].split()[0], 8)
                assert flags & os.O_CLOEXEC
                access = {os.O_RDONLY: "r", os.O_WRONLY: "w", os.O_RDWR: "rw"}[flags & os.O_ACCMODE]
                uncached = " uncached" if flags & os.O_SYNC == os.O_SYNC else ""
                found.setdefault(target.name, []).append(access + uncached)
    assert {name: sorted(rights) for name, rights in found.items()} == {
        "uio0": ["rw"], "udmabuf0": ["rw", "rw uncached"], "sync_for_device": ["w"], "sync_for_cpu": ["w"]
    }  # fmt: skip


def test_coherent_memory_needs_no_rights_on_sync_files(tmp_path: Path) -> None:
    package = build(tmp_path / "p", fake.manifest(driver="uio"))
    frames = fake.frames(5)
    with Nodes(tmp_path / "root", package) as tree:
        for way in ("device", "cpu"):
            (tree.root / f"sys/class/u-dma-buf/udmabuf0/sync_for_{way}").unlink()
        with Session(package, on="uio", nodes=tree.root) as session:
            assert_right(frames, list(session.run_all(frames)))


def test_a_process_killed_in_a_frame_and_restarted(spared_riscv: Package, nodes: Nodes, tmp_path: Path) -> None:
    """The device outlives its host; the next one resets it and gets its own frames."""
    np.save(tmp_path / "x.npy", fake.frames(2)[1])
    command = [sys.executable, "-m", "host.cli", str(spared_riscv.root), *[str(tmp_path / "x.npy")] * 20000, "--json"]
    command += ["--on", "uio", "--nodes", str(nodes.root)]
    for _ in range(2):
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as child:
            assert child.stdout and child.stdout.readline().startswith('{"file"')
            child.send_signal(signal.SIGKILL)
        nodes.synced("device"), nodes.synced("cpu")
        frames = fake.frames(6)
        with Session(spared_riscv, on="uio", nodes=nodes.root) as session:
            assert_right(frames, list(session.run_all(frames)))


def test_two_processes_do_not_share_a_device(spared_riscv: Package, nodes: Nodes) -> None:
    """Locks are of processes: the second one is the riscv64 program."""
    frame = fake.frames(3)[2]
    with Session(spared_riscv, on="uio", nodes=nodes.root) as session:
        with (
            pytest.raises(RunError, match=r"in use: .*dev/uio0: another process runs on it"),
            Session(spared_riscv, on="qemu", nodes=nodes.root) as second,
        ):
            second.run(frame)
        assert_right([frame], [session.run(frame)])


def test_a_device_process_that_dies_and_returns(spared_riscv: Package, nodes: Nodes) -> None:
    """Registers keep what a dead process has left, so the deadline tells; after a restart the device serves again."""
    said: list[str] = []
    frames = fake.frames(3)
    with Session(spared_riscv, on="uio", nodes=nodes.root, deadline=0.3, notify=said.append) as session:
        assert_right(frames[:1], [session.run(frames[0])])
        nodes.process.kill()
        nodes.process.wait()
        assert_right(frames[1:2], [session.run(frames[1])])
        nodes.start()
        while len(said) < 2:
            assert_right(frames[2:], [session.run(frames[2])])
            nodes.synced("device"), nodes.synced("cpu")
    assert said[0].startswith("region 'scale', frame 1: the device did not finish before the deadline")
    assert said[1].endswith("the device serves again")


@pytest.mark.parametrize("on", ["uio", "qemu"])
@pytest.mark.parametrize("way", ["device", "cpu"])
def test_cache_maintenance_that_fails_is_an_error(spared_riscv: Package, nodes: Nodes, on: Where, way: str) -> None:
    """What one side has written, the other may not see: there is nothing that the CPU could go on from."""
    file = nodes.root / f"sys/class/u-dma-buf/udmabuf0/sync_for_{way}"
    file.unlink()
    file.symlink_to("/dev/full")
    step = "pack small" if way == "device" else "unpack wide"
    with (
        pytest.raises(RunError, match=f"^region '{step}', frame 0: cache maintenance failed") as caught,
        Session(spared_riscv, on=on, nodes=nodes.root) as session,
    ):
        session.run(fake.frames(3)[2])
    assert caught.value.code == "sync"


def test_an_output_that_the_device_wrote_itself_is_seen_or_an_error(tmp_path: Path) -> None:
    """No step of the CPU follows that would notice: its words are as plain as the CPU's."""
    one: many.Network = {"only": ("device", ("x",), "y")}
    package = build(tmp_path / "p", *many.described("uio", one, Words(1, 8, 1)))
    (frame,) = many.frames(3)[2:]
    with Nodes(tmp_path / "root", package) as there:
        with Session(package, on="uio", nodes=there.root) as session:
            many.assert_right([frame], [session.run(frame)], one)
        file = there.root / "sys/class/u-dma-buf/udmabuf0/sync_for_cpu"
        file.unlink()
        file.symlink_to("/dev/full")
        with (
            pytest.raises(RunError, match="frame 0: cache maintenance failed"),
            Session(package, on="uio", nodes=there.root) as session,
        ):
            session.run(frame)


def remove(name: str) -> object:
    return lambda root: (root / name).unlink()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (remove("dev/uio0"), "the device cannot be opened: .*/dev/uio0: No such file or directory"),
        (remove("sys/class/uio/uio0/name"), "/sys/class/uio: no device named 'hetero'"),
        (remove("sys/class/u-dma-buf/udmabuf0/size"), "/sys/class/u-dma-buf: no buffer"),
        (remove("sys/class/u-dma-buf/udmabuf0/phys_addr"), "udmabuf0: its phys_addr cannot be read"),
        (remove("sys/class/u-dma-buf/udmabuf0/sync_for_cpu"), "sync_for_cpu: No such file or directory"),
        (
            lambda root: (root / "sys/class/u-dma-buf/udmabuf0/size").write_text("4096\n"),
            "not enough DMA memory: udmabuf0 has 4096 bytes, [0-9]+ are needed",
        ),
    ],
)
def test_what_is_missing_is_named(spared_riscv: Package, nodes: Nodes, spoil: object, message: str) -> None:
    assert callable(spoil)
    spoil(nodes.root)
    with pytest.raises(RunError, match=message):
        Session(spared_riscv, on="uio", nodes=nodes.root)
