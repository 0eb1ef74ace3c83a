"""Frames through the C scheduler: here, under qemu, and when something goes wrong."""

from __future__ import annotations

import mmap
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from host.device import Link, SimulatedDevice, memory_folder
from host.errors import InputError, RunError
from host.manifest import Program
from host.package import Package
from host.places import Where
from host.session import Session
from tests.host import fake
from tests.host.conftest import build


def assert_right(package: Package, on: Where, count: int) -> None:
    frames = fake.frames(count)
    with Session(package, on=on) as session:
        answers = list(session.run_all(frames))
        times = session.times()
    assert len(answers) == count
    for frame, answer in zip(frames, answers, strict=True):
        for name, expected in fake.meaning(frame).items():
            np.testing.assert_array_equal(answer[name], expected, err_msg=name)
    assert {(t.name, t.runs) for t in times} == {
        (name, count) for name in ("head", "pack small", "scale", "unpack wide", "tail")
    }


def test_sim_without_coherent_memory(package: Package) -> None:
    assert_right(package, "sim", 50)


def test_sim_with_coherent_memory(riscv_package: Package) -> None:
    assert_right(riscv_package, "sim", 50)


def test_qemu(riscv_package: Package) -> None:
    assert_right(riscv_package, "qemu", 20)


def test_a_session_serves_many_calls(package: Package) -> None:
    with Session(package) as session:
        for frame in fake.frames(5):
            np.testing.assert_array_equal(session.run({"x": frame})["y"], fake.meaning(frame)["y"])


def test_a_forgotten_flush_gives_wrong_results(tmp_path: Path) -> None:
    """What makes the tests above mean something: the simulated memory really is not coherent."""
    package = build(tmp_path / "p", fake.manifest(coherent=False))
    schedule = package.root / "runtime" / "hc_frames.c"
    flush = "status = f->device->ops->clean(f->device, hc_pool_offset(f, frame, buffer), bytes);"
    text = schedule.read_text()
    assert text.count(flush) == 1
    schedule.write_text(text.replace(flush, "(void)bytes;"))
    subprocess.run(["make", "-s", "-C", package.root, "library", "WARNINGS=-Wall -Wextra -Werror"], check=True)
    frame = fake.frames(3)[2]
    with Session(package) as session:
        assert (session.run(frame)["wide"] != fake.meaning(frame)["wide"]).any()


def test_bad_frames_leave_the_session_usable(package: Package) -> None:
    good = fake.frames(2)[1]
    with Session(package) as session:
        for bad, message in (
            (good[:4], "shape"),
            (good.astype(np.int32) + 1, "outside 0..255"),
            (good.astype(np.float32), "float32 values instead of integers"),
            ({"z": good}, "z given, x expected"),
        ):
            with pytest.raises(InputError, match=message):
                list(session.run_all([good, bad]))
        np.testing.assert_array_equal(session.run(good)["y"], fake.meaning(good)["y"])


def test_frames_are_taken_ahead(package: Package) -> None:
    """Two more frames are in flight before the first is answered; no more are loaded than can be used."""
    taken: list[int] = []

    def feed() -> Iterator[fake.Array]:
        for index, frame in enumerate(fake.frames(8)):
            taken.append(index)
            yield frame

    with Session(package) as session:
        for answered, _ in enumerate(session.run_all(feed())):
            assert answered + 3 <= len(taken) + (answered >= 5) * 3
            assert len(taken) <= answered + 4


def test_a_consumer_may_stop_early(package: Package) -> None:
    frames = fake.frames(6)
    with Session(package) as session:
        first = next(session.run_all(frames))
        np.testing.assert_array_equal(first["y"], fake.meaning(frames[0])["y"])
        np.testing.assert_array_equal(session.run(frames[5])["y"], fake.meaning(frames[5])["y"])


@pytest.mark.parametrize("on", ["sim", "qemu"])
def test_a_killed_device_is_an_error(riscv_package: Package, on: Where, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[SimulatedDevice] = []
    real = SimulatedDevice.__init__

    def remember(self: SimulatedDevice, package: Package) -> None:
        real(self, package)
        started.append(self)

    monkeypatch.setattr(SimulatedDevice, "__init__", remember)
    with Session(riscv_package, on=on, deadline=60.0) as session:
        answers = session.run_all(fake.frames(100))
        next(answers)
        os.kill(started[0].process.pid, signal.SIGKILL)
        start = time.monotonic()
        with pytest.raises(RunError, match="device process was killed by signal 9") as caught:
            list(answers)
        assert caught.value.code == "device_lost"
        assert time.monotonic() - start < 30  # long before the deadline
        with pytest.raises(RunError, match="closed"):
            session.run(fake.frames(2)[0])
    assert not started[0].file.exists()


def slow_manifest_files() -> dict[str, str]:
    """The device region never ends on a frame whose first value is 7; the tail fails on one whose first is 9."""
    hang = "    while ((*static_cast<const volatile uint32_t *>(inputs[0]) & 15) == 15) {}\n"
    scale = fake.SCALE.replace("    for (int pixel", hang + "    for (int pixel", 1)
    tail = fake.TAIL.replace("    for (int i", "    if (rest[0] == 3) {\n        return 77;\n    }\n    for (int i", 1)
    assert scale != fake.SCALE
    assert tail != fake.TAIL
    return {**fake.FILES, "regions/scale/scale.cpp": scale, "regions/tail/tail.c": tail}


@pytest.fixture(scope="module")
def moody_package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return build(tmp_path_factory.mktemp("moody") / "p", fake.manifest(), slow_manifest_files())


def test_a_silent_device_misses_the_deadline(moody_package: Package) -> None:
    frame = np.full(fake.SHAPE, 7, np.uint8)  # 7 % 16 - 8 is -1, which is 15 in four bits
    with Session(moody_package, deadline=0.3) as session, pytest.raises(RunError) as caught:
        session.run(frame)
    assert caught.value.code == "deadline"


def test_a_failing_region_is_named_with_its_code(moody_package: Package) -> None:
    with (
        Session(moody_package) as session,
        pytest.raises(RunError, match=r"^region 'tail', frame 0: the region failed with code 77$") as caught,
    ):
        session.run(np.full(fake.SHAPE, 9, np.uint8))
    assert caught.value.code == "run"


def test_a_device_of_another_package_is_refused(package: Package, moody_package: Package) -> None:
    (foreign,) = (p for p in moody_package.seal.programs if p.kind == "device")
    relative = os.path.relpath(moody_package.root / foreign.path, package.root)
    programs = tuple(p for p in package.seal.programs if p.kind != "device")
    swapped = replace(
        package, seal=replace(package.seal, programs=(*programs, Program("device", foreign.machine, relative)))
    )
    with pytest.raises(RunError, match="another package") as caught:
        Session(swapped)
    assert caught.value.code == "hash"


def test_a_region_with_other_ports_is_named(tmp_path: Path) -> None:
    files = {**fake.FILES, "regions/tail/tail.c": fake.TAIL.replace(f"{{{fake.PIXELS * 8 * 4}}}", "{12}")}
    package = build(tmp_path / "p", fake.manifest(), files)
    with pytest.raises(RunError, match="tail") as caught:
        Session(package)
    assert caught.value.code == "region"


# runtime/hc_regs.h and hc_ring.h, written down a second time.
COMMAND_RING, COMPLETION_RING, POOL = 0x1000, 0x1800, 0x2000
STATUS, RESET_DONE, RESET, DOORBELL, COMMANDS, COMPLETIONS, POOL_BASE, POOL_BYTES = 16, 20, 24, 28, 32, 40, 48, 56
BAD_DESCRIPTOR = 13


def fnv(data: bytes) -> int:
    total = 2166136261
    for (word,) in struct.iter_unpack("<I", data):
        total = (total ^ word) * 16777619 % (1 << 32)
    return total


def wait_for(memory: mmap.mmap, offset: int, value: int) -> None:
    end = time.monotonic() + 30
    while struct.unpack_from("<I", memory, offset)[0] != value:
        assert time.monotonic() < end, "the device does not answer"
        time.sleep(0.001)


def test_the_device_refuses_damaged_commands(package: Package) -> None:
    """A host written in Python: speaks registers and rings to the device process itself."""
    simulated = SimulatedDevice(package)
    try:
        end = time.monotonic() + 30
        while not simulated.file.exists() or simulated.file.stat().st_size < POOL + 2304:
            assert time.monotonic() < end
            time.sleep(0.001)
        with simulated.file.open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
            wait_for(memory, STATUS, 1)
            for register, value in ((COMMANDS, COMMAND_RING), (COMPLETIONS, COMPLETION_RING), (POOL_BASE, POOL)):
                struct.pack_into("<Q", memory, register, value)
            struct.pack_into("<I", memory, POOL_BYTES, 2304)
            struct.pack_into("<I", memory, RESET, 1)
            wait_for(memory, RESET_DONE, 1)

            def status_of(sequence: int, region: int, offsets: list[int], damage: int = 0) -> int:
                body = struct.pack("<QIHH8x24I", 5, region, 1, 1, *offsets, *[0] * (24 - len(offsets)))
                checksum = fnv(struct.pack("<II", sequence, 0) + body) ^ damage
                struct.pack_into("<II120s", memory, COMMAND_RING + 128 * (sequence % 16), sequence, checksum, body)
                struct.pack_into("<I", memory, DOORBELL, sequence)
                slot = COMPLETION_RING + 64 * (sequence % 16)
                wait_for(memory, slot, sequence)
                content = memory[slot : slot + 64]
                assert fnv(content[:4] + bytes(4) + content[8:]) == struct.unpack_from("<I", content, 4)[0]
                return int(struct.unpack_from("<I", content, 20)[0])

            assert status_of(1, 1, [576, 0]) == 0
            assert status_of(2, 1, [576, 0], damage=1) == BAD_DESCRIPTOR
            assert status_of(3, 0, [576, 0]) == BAD_DESCRIPTOR  # a region of the CPU
            assert status_of(4, 1, [4, 0]) == BAD_DESCRIPTOR  # not aligned
            assert status_of(5, 1, [576, 2304]) == BAD_DESCRIPTOR  # behind the pool
            assert status_of(6, 1, [576, 0xFFFFFFC0]) == BAD_DESCRIPTOR
            assert status_of(7, 1, [576, 0]) == 0
    finally:
        simulated.close()


@pytest.mark.parametrize(
    ("way", "code"),
    [
        ("id", "version"),
        ("version", "version"),
        ("checksum", "bad_status"),
        ("status", "bad_status"),
        ("pending", "bad_status"),
        ("busy", "bad_status"),
        ("frame", "bad_status"),
        ("region", "bad_status"),
        ("hash_low", "hash"),
        ("hash_high", "hash"),
    ],
)
def test_a_rogue_device_is_an_error(
    package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, code: str
) -> None:
    script = Path(__file__).with_name("rogue_device.py")

    def start(self: SimulatedDevice, package: Package) -> None:
        self.file = tmp_path / "shared"
        self.link = Link(shared=self.file)
        self._errors = (tmp_path / "errors").open("w+b")
        self.process = subprocess.Popen([sys.executable, script, self.file, package.seal.plan, way])

    monkeypatch.setattr(SimulatedDevice, "__init__", start)
    with pytest.raises(RunError) as caught, Session(package, deadline=30.0) as session:
        session.run(fake.frames(2)[0])
    assert caught.value.code == code


def test_a_library_of_another_package_is_refused(package: Package) -> None:
    other = replace(package, seal=replace(package.seal, plan="0123456789abcdef"))
    with pytest.raises(RunError, match="another package"):
        Session(other)


def test_the_device_goes_when_its_parent_is_killed(package: Package) -> None:
    program = (
        "import sys, os\n"
        "from host.session import Session\n"
        "s = Session(sys.argv[1])\n"
        "print(os.getpid(), flush=True)\n"
        "sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", program, str(package.root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        pid = child.stdout.readline().strip()
        assert list(memory_folder().glob(f"hetero-{pid}-*"))
        child.kill()
    end = time.monotonic() + 30
    while list(memory_folder().glob(f"hetero-{pid}-*")):
        assert time.monotonic() < end, "the device process lives on"
        time.sleep(0.01)


def test_board_says_what_is_missing(package: Package) -> None:
    with pytest.raises(RunError, match="no driver is known for board 'fake'"):
        Session(package, on="board")
