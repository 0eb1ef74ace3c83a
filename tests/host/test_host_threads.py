"""Threads of CPU regions: as many as the board has cores, fewer on demand, refused beyond."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from host import cli
from host.errors import PackageError, RunError
from host.manifest import Manifest, Region, Tensor
from host.package import Package
from host.session import Session, Where
from ir.engine import Port
from ir.layouts import Plain
from ir.types import TensorType
from tests.host import fake
from tests.host.conftest import build

BOARD_THREADS = 3
# Every tile waits, for a second at most, until as many have begun as there are; its result is how many had.
MEET = f"""
#include <time.h>

#include "hc_parallel.h"
#include "hc_region.h"

static uint32_t begun;

static void meet(const void *context, uint32_t tile, uint32_t worker) {{
    const time_t start = time(0);
    uint8_t *const *y = context;
    __atomic_add_fetch(&begun, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&begun, __ATOMIC_SEQ_CST) < {BOARD_THREADS} && time(0) - start < 2) {{}}
    (*y)[tile] = (uint8_t)(worker < {BOARD_THREADS} ? __atomic_load_n(&begun, __ATOMIC_SEQ_CST) : 255);
}}

static int32_t run(const void *const *inputs, void *const *outputs, void *arena) {{
    (void)inputs, (void)arena;
    begun = 0;
    hc_parallel(meet, outputs, {BOARD_THREADS}, {BOARD_THREADS});
    return 0;
}}

static const uint32_t input_bytes[] = {{1}};
static const uint32_t output_bytes[] = {{{BOARD_THREADS}}};
const hc_region hc_region_meet = {{"meet", HC_REGION_ABI, 1, 1, input_bytes, output_bytes, 0, run}};
"""
FILES = {"regions/meet/meet.c": MEET}
TOGETHER, ONE_AFTER_ANOTHER = [3, 3, 3], [1, 2, 3]


def manifest(threads: int = BOARD_THREADS) -> Manifest:
    tensors = (
        Tensor.of("x", TensorType.of_range((1, 1, 1), 0, 1)),
        Tensor.of("y", TensorType.of_range((BOARD_THREADS, 1, 1), 0, 255)),
    )
    region = Region("meet", "cpu", (Port("x", Plain()),), (Port("y", Plain()),), tuple(FILES))
    return Manifest("meet", fake.board(threads=threads), tensors, ("x",), ("y",), (region,))


@pytest.fixture(scope="module")
def meeting(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """With the RISC-V program where its compiler is installed."""
    riscv = importlib.util.find_spec("ziglang") and importlib.util.find_spec("qemu")
    compiler = f"{sys.executable} -m ziglang cc" if riscv else None
    return build(tmp_path_factory.mktemp("threads") / "p", manifest(), FILES, compiler)


def answers(package: Package, on: Where, threads: int | None, frames: int = 3) -> list[list[int]]:
    frame = np.zeros((1, 1, 1), np.uint8)
    with Session(package, on=on, threads=threads) as session:
        return [answer["y"].ravel().tolist() for answer in session.run_all([frame] * frames)]


@pytest.mark.parametrize("on", ["sim", "qemu"])
def test_as_many_as_asked_for(meeting: Package, on: Where) -> None:
    if on == "qemu" and len(meeting.seal.programs) < 2:
        pytest.skip("the RISC-V compiler or emulator is not installed")
    assert answers(meeting, on, BOARD_THREADS) == [TOGETHER] * 3
    assert answers(meeting, on, 1, 1) == [ONE_AFTER_ANOTHER]


def test_by_default_the_boards_where_there_are_cores(meeting: Package) -> None:
    together = (os.cpu_count() or 1) >= BOARD_THREADS
    assert (answers(meeting, "sim", None, 1) == [TOGETHER]) == together


@pytest.mark.parametrize("threads", [0, 4, -1])
def test_more_than_the_board_has_are_refused(meeting: Package, threads: int) -> None:
    with pytest.raises(RunError, match=f"{threads} threads: the package is made for 1..3"):
        Session(meeting, threads=threads)


def test_option(meeting: Package, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "x.npy", np.zeros((1, 1, 1), np.uint8))
    arguments = [str(meeting.root), str(tmp_path / "x.npy"), "--json", "--threads"]
    assert cli.main([*arguments, "3"]) == 0
    assert capsys.readouterr().err == ""
    assert cli.main([*arguments, "4"]) == 2
    assert capsys.readouterr().err == "hetero-run: 4 threads: the package is made for 1..3\n"


def test_a_board_has_at_least_one(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match=r"board.threads: 0 is not in 1..256"):
        build(tmp_path / "p", manifest(0), FILES)
