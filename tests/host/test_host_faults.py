"""A device that fails: no frame is lost or mixed up, and what happened is said once, with region, frame and cause."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from host.device import Link, SimulatedDevice, last_line
from host.errors import RunError
from host.package import Package
from host.places import Where
from host.session import FailoverWarning, Session
from tests.host import fake
from tests.host.conftest import build

STAND_IN = Path(__file__).with_name("stand_in.py")
COUNT = 12

Start = Callable[[str, int], list["StandIn"]]


class StandIn:
    """In the place of `SimulatedDevice`: a process of stand_in.py."""

    def __init__(self, package: Package, folder: Path, way: str, number: int) -> None:
        self.file = folder / "shared"
        self.link = Link(shared=self.file)
        self._errors = (folder / "errors").open("w+b")
        self._plan = package.seal.plan
        self.process = self.start(way, number)

    def start(self, way: str, number: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, str(STAND_IN), str(self.file), self._plan, way, str(number)]
        self.process = subprocess.Popen(command, stderr=self._errors)
        return self.process

    def ended(self) -> str:
        status = self.process.poll()
        return "" if status is None else f"it ended with status {status} {last_line(self._errors)}".strip()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._errors.close()


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    """(way, command) -> a list that holds the device once a session has started it."""

    def prepare(way: str, number: int) -> list[StandIn]:
        started: list[StandIn] = []

        def make(package: Package) -> StandIn:
            started.append(StandIn(package, tmp_path, way, number))
            return started[-1]

        monkeypatch.setattr("host.places.SimulatedDevice", make)
        return started

    return prepare


@pytest.fixture(scope="module")
def spared(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """A package with CPU code for its device region, on a board whose memory is not coherent."""
    folder = tmp_path_factory.mktemp("spared") / "p"
    return build(folder, fake.manifest(coherent=False, failover=True), fake.FAILOVER_FILES)


def assert_right(frames: list[fake.Array], answers: list[dict[str, fake.Array]]) -> None:
    assert len(answers) == len(frames)
    for number, (frame, answer) in enumerate(zip(frames, answers, strict=True)):
        for name, expected in fake.meaning(frame).items():
            np.testing.assert_array_equal(answer[name], expected, err_msg=f"frame {number}, {name}")


# Way -> the cause that is said, and the code of the error where there is nothing to fall back on.
CAUSES = {
    "hang": ("the device did not finish before the deadline", "deadline"),
    "late": ("the device did not finish before the deadline", "deadline"),
    "wrong_status": ("the device answered with a damaged completion", "bad_status"),
    "wrong_frame": ("the device answered with a damaged completion", "bad_status"),
    "failed_region": ("the region failed with code 5", "run"),
    "bad_descriptor": ("the device refused a damaged command", "bad_descriptor"),
    "fault": ("the device reports a fault", "device_fault"),
    "die": ("the device went away", "device_lost"),
}
ON_THE_CPU = "; the CPU computes the accelerator's regions from here on"


@pytest.mark.parametrize("way", CAUSES)
def test_no_frame_is_lost(spared: Package, stand_in: Start, way: str) -> None:
    stand_in(way, 4)
    frames, said = fake.frames(COUNT), list[str]()
    deadline = 0.3 if way in ("hang", "late") else 30.0
    with Session(spared, deadline=deadline, notify=said.append) as session:
        assert_right(frames, list(session.run_all(frames)))
    assert said == [f"region 'scale', frame 3: {CAUSES[way][0]}{ON_THE_CPU}"]


@pytest.mark.parametrize("way", CAUSES)
def test_without_cpu_code_the_error_names_region_frame_and_cause(package: Package, stand_in: Start, way: str) -> None:
    stand_in(way, 4)
    deadline = 0.3 if way in ("hang", "late") else 30.0
    with Session(package, deadline=deadline) as session, pytest.raises(RunError) as caught:
        list(session.run_all(fake.frames(COUNT)))
    cause, code = CAUSES[way]
    assert str(caught.value).startswith(f"region 'scale', frame 3: {cause}")
    assert caught.value.code == code


def test_a_command_completed_twice(spared: Package, stand_in: Start) -> None:
    """The second completion carries the next command's number; its frame gives it away."""
    stand_in("twice", 4)
    frames, said = fake.frames(COUNT), list[str]()
    with Session(spared, notify=said.append) as session:
        assert_right(frames, list(session.run_all(frames)))
    assert said in ([], [f"region 'scale', frame 4: the device answered with a damaged completion{ON_THE_CPU}"])


def test_a_device_dies_and_returns(spared: Package, stand_in: Start) -> None:
    """Frames that begin once it is back go to the device again; none is mixed up on either way."""
    started = stand_in("die", 3)
    frames, said, answers = fake.frames(200), list[str](), list[dict[str, fake.Array]]()

    def feed() -> Iterator[fake.Array]:
        for number, frame in enumerate(frames):
            if number == 10:
                started[0].process.wait()
                started[0].start("die", 1 << 30)
            time.sleep(0.02 if number > 10 else 0)
            yield frame

    with Session(spared, notify=said.append) as session:
        answers = list(session.run_all(feed()))
        runs = {step.name: step.runs for step in session.times()}
    assert_right(frames, answers)
    assert said[0] == f"region 'scale', frame 2: the device went away{ON_THE_CPU}"
    assert len(said) == 2 and said[1].endswith(": the device serves again")
    assert runs["scale"] == len(frames)


def test_a_late_answer_meets_nobody(spared: Package, stand_in: Start) -> None:
    """It comes while the CPU computes, writes to memory that nobody reads, and is forgotten by the reset."""
    stand_in("late", 2)
    frames, said = fake.frames(150), list[str]()

    def feed() -> Iterator[fake.Array]:
        for frame in frames:
            time.sleep(0.02)
            yield frame

    with Session(spared, deadline=0.2, notify=said.append) as session:
        assert_right(frames, list(session.run_all(feed())))
    assert said[0].startswith("region 'scale', frame 1: the device did not finish before the deadline")
    assert said[1].endswith(": the device serves again") and len(said) == 2


def test_it_is_a_warning_unless_somebody_listens(spared: Package, stand_in: Start) -> None:
    stand_in("die", 1)
    frame = fake.frames(3)[2]
    with Session(spared) as session, pytest.warns(FailoverWarning, match="region 'scale', frame 0: the device went"):
        assert_right([frame], [session.run(frame)])


def test_the_cpu_alone(spared: Package, package: Package) -> None:
    frames = fake.frames(5)
    with Session(spared, on="cpu") as session:
        assert_right(frames, list(session.run_all(frames)))
    with pytest.raises(RunError, match="no CPU code for the accelerator's regions"):
        Session(package, on="cpu")


@pytest.mark.parametrize("on", ["sim", "qemu"])
def test_the_real_device_process_is_killed(spared_riscv: Package, on: Where, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[SimulatedDevice] = []

    def make(package: Package) -> SimulatedDevice:
        started.append(SimulatedDevice(package))
        return started[-1]

    monkeypatch.setattr("host.places.SimulatedDevice", make)
    frames, said = fake.frames(40), list[str]()
    answers = []
    with Session(spared_riscv, on=on, notify=said.append) as session:
        for number, answer in enumerate(session.run_all(frames)):
            answers.append(answer)
            if number == 10:
                os.kill(started[0].process.pid, signal.SIGKILL)
    assert_right(frames, answers)
    (line,) = said
    assert line.startswith("region 'scale', frame 1") and line.endswith(f"the device went away{ON_THE_CPU}")


def test_failover_code_with_other_ports_is_named(tmp_path: Path) -> None:
    wrong = fake.SCALE_CPU.replace(f"{{{fake.PIXELS * fake.CHANNELS * 2}}}", "{12}")
    files = {**fake.FAILOVER_FILES, "regions/scale_cpu/scale.c": wrong}
    built = build(tmp_path / "p", fake.manifest(failover=True), files)
    with pytest.raises(RunError, match="does not have the ports that the plan states: scale"):
        Session(built)
