"""Every network of the zoo on two boards: its placement is the one on record, and `sim` and `qemu` are exact.

Boards: one with vectors and a large fabric, one without and with a small fabric. `make test-full` takes all networks;
`make test` one of the quick ones on one board, the next one with every commit (their number chooses), so that what a
commit was tested with can be found again. Networks for ImageNet have pictures of 64x64.

``python -m pytest tests/flow/test_flow_zoo.py --write-placements`` writes the placements anew; ``-k NETWORK`` some.
`zoo_record` runs the same case by case, and writes down time and memory.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import zoo_networks
import zoo_record
from zoo_cases import BOARDS, CASES, PLACEMENTS, PLACES, Frame, first_difference, placement

from cpu_backend import toolchain
from frontend.zoo import ENTRIES, FAMILIES
from hetero_compile.board import load_board
from hetero_compile.flow import Compiled, compile_model, package

SMALL = [(name, board) for name, board in CASES if zoo_record.is_quick(zoo_record.read().get(f"{name} {board}", {}))]
"""What the sample is taken from; a network without a placement on record fails in `make test-full`."""


def commits() -> int:
    """How many commits led here; 0 where there is no repository to ask."""
    try:
        done = subprocess.run(
            ["git", "rev-list", "--count", "HEAD"], cwd=PLACEMENTS.parent, capture_output=True, text=True
        )
    except OSError:
        return 0
    return int(done.stdout) if done.returncode == 0 else 0


SAMPLE = SMALL[commits() % len(SMALL)]


def check_placement(compiled: Compiled, file: Path, write: bool) -> None:
    found = placement(compiled)
    command = f"python -m pytest tests/flow/test_flow_zoo.py --write-placements -k {file.stem}"
    if write:
        file.parent.mkdir(exist_ok=True)
        file.write_text(found)
        return
    if not file.is_file():
        pytest.fail(f"no placement on record; if this one is right, write it: {command}")
    if different := first_difference(file.read_text(), found):
        pytest.fail(f"another placement than {file.name}, first:\n{different}\nif it is right: {command}")


def check_execution(compiled: Compiled, folder: Path) -> None:
    """A frame of uniform values through the package, on `sim` and under the emulator."""
    frame = Frame.of(compiled)
    built = package(compiled, folder, {}, lambda _: None)
    for place in PLACES:
        assert not (wrong := frame.wrong(built, place)), wrong


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "board"),
    [pytest.param(*c, id="-".join(c), marks=[] if c == SAMPLE else pytest.mark.full) for c in CASES],
)
def test_network(name: str, board: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    write = request.config.getoption("--write-placements")
    file, options = zoo_networks.model_file(name, tmp_path)
    compiled = compile_model(file, load_board(BOARDS[board]), options, lambda _: None)
    check_placement(compiled, PLACEMENTS / f"{name}-{board}.txt", bool(write))
    if write:
        return
    try:
        toolchain.riscv_compiler()
        toolchain.emulator()
    except toolchain.ToolError as error:
        pytest.skip(str(error))
    check_execution(compiled, tmp_path / "package")


def test_the_table_of_the_documentation_is_the_record() -> None:
    """And what it says of a network is of a placement on record."""
    record = zoo_record.read()
    assert zoo_record.table(record) in (PLACEMENTS.parents[2] / "docs" / "zoo.md").read_text(), (
        "print it: python -m tests.flow.zoo_record --table"
    )
    assert {case.replace(" ", "-") for case in record} <= {file.stem for file in PLACEMENTS.glob("*.txt")}


@pytest.mark.full
def test_every_network_has_its_placements() -> None:
    """A file for each network and board, and none of networks that there are no more."""
    wanted = {f"{name}-{board}" for name, board in CASES}
    have = {file.stem for file in PLACEMENTS.glob("*.txt")}
    missing, left = sorted(wanted - have), sorted(have - wanted)
    assert not missing, f"write them: python -m pytest tests/flow/test_flow_zoo.py --write-placements (no {missing})"
    assert not left, f"of no network: {left}"
    assert len(wanted) == len(BOARDS) * (len(ENTRIES) + len(FAMILIES))
