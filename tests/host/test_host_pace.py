"""Both sides busy, and a device that is too slow: regions that wait for each other, or sleep as long as it says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from host.errors import RunError
from host.manifest import Manifest, Region, Tensor
from host.package import Package
from host.session import Session
from host.trace import Span
from ir.engine import Port
from ir.layouts import Plain, Words
from ir.types import DType
from tests.host import fake
from tests.host.conftest import build

SHAPE = (1, 1, 32)
COUNT = 32
DEVICE, CPU, SPARE = range(3)
"""Which element of a frame says for how many milliseconds each sleeps; the last is the CPU in the device's place."""


def source(symbol: str, place: int, meaning: str) -> str:
    return f"""
#include <time.h>

#include "hc_region.h"

static int32_t run(const void *const *inputs, void *const *outputs, void *arena) {{
    const uint8_t *x = inputs[0];
    uint8_t *y = outputs[0];
    const struct timespec pause = {{0, x[{place}] * 1000000L}};
    (void)arena;
    nanosleep(&pause, 0);
    for (int i = 0; i < {COUNT}; i++) {{
        y[i] = (uint8_t)(i < 3 ? x[i] : {meaning});
    }}
    return 0;
}}

static const uint32_t bytes[] = {{{COUNT}}};
const hc_region hc_region_{symbol} = {{"{symbol}", HC_REGION_ABI, 1, 1, bytes, bytes, 0, run}};
"""


FILES = {
    "regions/far/far.c": source("far", DEVICE, "x[i] * 5 + 1"),
    "regions/far_cpu/far.c": source("far_cpu", SPARE, "x[i] * 5 + 1"),
    "regions/near/near.c": source("near", CPU, "x[i] ^ 0x55"),
}
BYTES = Words(1, 8, 1)
"""As plain as `Plain` for uint8: the network's input lies in the device's pool."""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """x -> [far, on the device] -> y -> [near] -> z."""
    far = Region(
        "far", "device", (Port("x", BYTES),), (Port("y", BYTES),), ("regions/far/far.c",),
        failover=("regions/far_cpu/far.c",),
    )  # fmt: skip
    near = Region("near", "cpu", (Port("y", Plain()),), (Port("z", Plain()),), ("regions/near/near.c",))
    tensors = tuple(Tensor(name, SHAPE, DType("uint", 8), 0, 255) for name in "xyz")
    manifest = Manifest("pace", fake.board(coherent=False), tensors, ("x",), ("z",), (far, near))
    return build(tmp_path_factory.mktemp("pace") / "p", manifest, FILES)


def frames(count: int, *pauses: int) -> list[fake.Array]:
    made = np.random.default_rng(3).integers(0, 256, (count, *SHAPE), np.uint8)
    made[..., :3] = pauses
    return list(made)


def assert_right(fed: list[fake.Array], answers: list[dict[str, fake.Array]]) -> None:
    assert len(answers) == len(fed)
    for frame, answer in zip(fed, answers, strict=True):
        expected = ((frame.astype(int) * 5 + 1) % 256) ^ 0x55
        expected[..., :3] = frame[..., :3]
        np.testing.assert_array_equal(answer["z"], expected)


def meeting(folder: Path, symbol: str, mine: str, other: str, step: int, place: int) -> str:
    """A region that leaves a mark for its frame (element 0) and waits for the other side's of the frame ``step`` from
    it; element ``place`` says whether that came."""
    return f"""
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "hc_region.h"

static const struct timespec millisecond = {{0, 1000000L}};

static int32_t run(const void *const *inputs, void *const *outputs, void *arena) {{
    const uint8_t *x = inputs[0];
    uint8_t *y = outputs[0];
    char path[4096];
    (void)arena;
    snprintf(path, sizeof path, "{folder}/{mine}%d", x[0]);
    FILE *mark = fopen(path, "w");
    if (!mark || fclose(mark)) {{
        return 1;
    }}
    snprintf(path, sizeof path, "{folder}/{other}%d", x[0] + ({step}));
    int tries = {TRIES};
    while (access(path, F_OK) && --tries) {{
        nanosleep(&millisecond, 0);
    }}
    for (int i = 0; i < {COUNT}; i++) {{
        y[i] = i == {place} ? tries > 0 : x[i];
    }}
    return 0;
}}

static const uint32_t bytes[] = {{{COUNT}}};
const hc_region hc_region_{symbol} = {{"{symbol}", HC_REGION_ABI, 1, 1, bytes, bytes, 0, run}};
"""


TRIES = 50_000
"""Milliseconds to wait for somebody who never comes."""


def test_the_cpu_works_on_one_frame_while_the_device_works_on_the_next(package: Package, tmp_path: Path) -> None:
    """Neither finishes its frame before the other has begun its own, so nothing depends on how fast they are."""
    files = {
        "regions/far/far.c": meeting(tmp_path, "far", "device", "cpu", -1, DEVICE_MET),
        "regions/near/near.c": meeting(tmp_path, "near", "cpu", "device", +1, CPU_MET),
    }
    far, near = package.manifest.regions
    manifest = replace(package.manifest, regions=(replace(far, failover=()), near))
    fed = list(np.zeros((12, *SHAPE), np.uint8))
    for number, frame in enumerate(fed):
        frame[..., 0] = number + 1
    for mark in ("cpu0", f"device{len(fed) + 1}"):  # there is no frame before the first and none behind the last
        (tmp_path / mark).touch()
    with Session(build(tmp_path / "p", manifest, files), trace=True) as session:
        answers = list(session.run_all(fed))
        spans = {(s.row, s.frame): s for s in session.spans() if s.row in ("CPU", "FPGA")}
    assert [answer["z"].ravel()[:3].tolist() for answer in answers] == [[n + 1, 1, 1] for n in range(len(fed))]
    assert len(spans) == 2 * len(fed)
    assert all(_overlap(spans["CPU", n], spans["FPGA", n + 1]) for n in range(len(fed) - 1))


DEVICE_MET, CPU_MET = 1, 2


def _overlap(a: Span, b: Span) -> bool:
    return a.begin < b.end and b.begin < a.end


def test_the_deadline_is_one_commands_and_not_the_queues(package: Package) -> None:
    """The device always has a command, for longer than one may take."""
    fed, said = frames(40, 60, 0, 0), list[str]()
    with Session(package, deadline=1.5, notify=said.append) as session:
        assert_right(fed, list(session.run_all(fed)))
    assert said == []


def test_a_device_that_is_always_too_late(package: Package) -> None:
    """It is given up and tried again while the CPU has frames of its own: neither takes the other's."""
    fed, said, answers = frames(2000, 30, 0, 4), list[str](), list[dict[str, fake.Array]]()
    with Session(package, deadline=0.003, notify=said.append) as session:
        for answer in session.run_all(fed):
            answers.append(answer)
            if len(said) >= 5:
                break
    assert_right(fed[: len(answers)], answers)
    late, returned = "the device did not finish before the deadline", "the device serves again"
    for number, text in enumerate(said):
        assert (returned if number % 2 else late) in text


def chained(package: Package, *failover: str) -> Manifest:
    """Both regions on the device."""
    far, near = package.manifest.regions
    ports = {"inputs": (Port("y", BYTES),), "outputs": (Port("z", BYTES),)}
    second = replace(near, side="device", failover=failover, **ports)  # type: ignore[arg-type]
    return replace(package.manifest, regions=(far, second))


def test_what_the_device_has_done_is_kept(package: Package, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The first region's result is in the device's memory alone when the second one is late."""
    spare = "regions/near_cpu/near.c"
    files = FILES | {spare: source("near_cpu", SPARE, "x[i] ^ 0x55")}
    both = build(tmp_path_factory.mktemp("both") / "p", chained(package, spare), files)
    fed, said = frames(3, 0, 250, 0), list[str]()
    with Session(both, deadline=0.1, notify=said.append) as session:
        assert_right(fed, list(session.run_all(fed)))
        runs = {step.name: step.runs for step in session.times()}
    assert len(said) == 1 and "the device did not finish before the deadline" in said[0]
    assert runs == {"far": 3, "near": 3}


def test_half_of_the_cpu_code_is_none(package: Package, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Two device regions, and CPU code for the first: the device alone can run them."""
    manifest = chained(package)
    assert not manifest.has_failover
    half = build(tmp_path_factory.mktemp("half") / "p", manifest, FILES)
    fed = frames(4, 0, 0, 0)
    with Session(half) as session:
        assert_right(fed, list(session.run_all(fed)))
    with pytest.raises(RunError, match="no CPU code for the accelerator's regions"):
        Session(half, on="cpu")
    late = frames(4, 250, 0, 0)
    with Session(half, deadline=0.05) as session, pytest.raises(RunError, match=r"^region 'far', frame 0: the device"):
        list(session.run_all(late))
