"""Every network of the zoo on two boards: its placement is the one on record, and `sim` and `qemu` are exact.

Boards: one with vectors and a large fabric, one without and with a small fabric. `make test-full` takes all networks;
`make test` one of the smaller ones on one board, the next one with every commit (their number chooses), so that what a
commit was tested with can be found again. Networks for ImageNet have pictures of 64x64.

``python -m pytest tests/flow/test_flow_zoo.py --write-placements`` writes the placements anew; ``-k NETWORK`` some.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
import zoo_networks
from zoo_networks import NAMES, REDUCED

from cpu_backend import toolchain
from frontend.zoo import ENTRIES, FAMILIES
from hetero_compile.board import load_board
from hetero_compile.flow import Compiled, compile_model, package
from host.session import Session
from ir.executor import execute
from ir.tolerance import tolerances

HERE = Path(__file__).parent
PLACEMENTS = HERE / "placements"
BOARDS = {"zu3eg-rvv": "zu3eg-rvv", "small-u54": str(HERE / "small-u54.yaml")}
CASES = [(name, board) for name in NAMES for board in BOARDS]
SMALL = [
    (name, board) for name, board in CASES if name not in REDUCED and (PLACEMENTS / f"{name}-{board}.txt").is_file()
]
"""What the sample is taken from; a network without a placement on record fails in `make test-full`."""


def commits() -> int:
    """How many commits led here; 0 where there is no repository to ask."""
    try:
        done = subprocess.run(["git", "rev-list", "--count", "HEAD"], cwd=HERE, capture_output=True, text=True)
    except OSError:
        return 0
    return int(done.stdout) if done.returncode == 0 else 0


SAMPLE = SMALL[commits() % len(SMALL)]


def placement(compiled: Compiled) -> str:
    """The table: node, operator, engine, cycles, and which of the engine's ways."""
    plan = compiled.plan
    regions = ", ".join(f"{r.name} ({len(r.graph.nodes)} nodes)" for r in plan.regions)
    used = ", ".join(f"{kind} {value}" for kind, value in vars(plan.resources).items() if value)
    lines = [
        f"{compiled.graph.name} on {compiled.target.name}",
        f"regions: {regions}",
        f"accelerator {plan.device_ms:.4f} ms, CPU {plan.cpu_ms:.4f} ms a frame; {used or 'no resources'}",
        "",
    ]
    choices = {name: choice for region in plan.regions for name, choice in region.choices.items()}
    for decision in plan.decisions:
        choice = choices.get(decision.node)
        way = " ".join(f"{k}={v}" for k, v in choice.configuration.items()) if choice else ""
        cycles = f"{choice.cycles:.0f}" if choice else "-"
        lines.append(f"{decision.node:32} {decision.operator:14} {decision.engine:4} {cycles:>10} {way}".rstrip())
    return "\n".join(lines) + "\n"


def check_placement(compiled: Compiled, file: Path, write: bool) -> None:
    found = placement(compiled)
    command = f"python -m pytest tests/flow/test_flow_zoo.py --write-placements -k {file.stem}"
    if write:
        file.parent.mkdir(exist_ok=True)
        file.write_text(found)
        return
    if not file.is_file():
        pytest.fail(f"no placement on record; if this one is right, write it: {command}")
    known = file.read_text()
    different = [(a, b) for a, b in zip(known.splitlines(), found.splitlines(), strict=False) if a != b]
    if known != found:
        first = "\n".join(different[0]) if different else "more or fewer nodes"
        pytest.fail(f"another placement than {file.name}, first:\n{first}\nif it is right: {command}")


def check_execution(compiled: Compiled, folder: Path) -> None:
    """A frame of uniform values through the package, on `sim` and under the emulator."""
    graph, rng = compiled.graph, np.random.default_rng(1)
    frame = {n: rng.integers(t.lo, t.hi + 1, t.shape) for n, t in graph.inputs.items()}
    values = execute(graph, frame)
    allowed = tolerances(graph, values) if compiled.kind == "float32" else {}
    built = package(compiled, folder, {}, lambda _: None)
    for place in ("sim", "qemu"):
        with Session(built, on=place, deadline=1200.0) as session:  # type: ignore[arg-type]
            result = session.run(frame)
        for name in graph.outputs:
            wrong = ~(np.abs(result[name] - values[name]) <= allowed.get(name, 0))
            assert not wrong.any(), f"{place}: '{name}' differs at {int(wrong.sum())} of {wrong.size}"


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


@pytest.mark.full
def test_every_network_has_its_placements() -> None:
    """A file for each network and board, and none of networks that there are no more."""
    wanted = {f"{name}-{board}" for name, board in CASES}
    have = {file.stem for file in PLACEMENTS.glob("*.txt")}
    missing, left = sorted(wanted - have), sorted(have - wanted)
    assert not missing, f"write them: python -m pytest tests/flow/test_flow_zoo.py --write-placements (no {missing})"
    assert not left, f"of no network: {left}"
    assert len(wanted) == len(BOARDS) * (len(ENTRIES) + len(FAMILIES))
