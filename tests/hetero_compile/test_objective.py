"""What the command line and the board file say of the objective, and the plot of the front."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hetero_compile.board import BoardError, load_board
from hetero_compile.front import Front, FrontError, table
from hetero_compile.objective import Objective, ObjectiveError
from ir.target import Resources
from partition.pareto import Point

TARGET = load_board("zu3eg-rvv")


@pytest.mark.parametrize(
    ("text", "objective", "rate"),
    [("throughput", "throughput", None), ("latency", "latency", None), ("area=2.5", "area", 2.5)],
)
def test_an_objective_replaces_the_boards(text: str, objective: str, rate: float | None) -> None:
    rated = replace(TARGET, objective="area", frames_per_second=7.0)
    for target in (TARGET, rated):
        applied = Objective.parse(text).applied(target)
        assert (applied.objective, applied.frames_per_second) == (objective, rate)
    assert Objective.parse("area").applied(rated).frames_per_second == 7.0


@pytest.mark.parametrize(
    "text", ["speed", "latency=3", "area=", "area=fast", "area=0", "area=-1", "area=inf", "area=nan"]
)
def test_a_wrong_objective_is_one_line(text: str) -> None:
    with pytest.raises(ObjectiveError, match=rf"^--objective {text}: .*\(allowed: [^\n]*\)$"):
        Objective.parse(text)


def test_an_area_needs_a_rate(tmp_path: Path) -> None:
    with pytest.raises(ObjectiveError, match="zu3eg-rvv names none"):
        Objective.parse("area").applied(TARGET)
    text = (Path(__file__).parents[2] / "hetero_compile" / "boards" / "zu3eg-rvv.yaml").read_text()
    board = tmp_path / "board.yaml"
    board.write_text(text.replace("objective: throughput", "objective: area"))
    with pytest.raises(BoardError, match="frames_per_second, the rate to be kept, go together"):
        load_board(str(board))
    board.write_text(text.replace("objective: throughput", "objective: area\nframes_per_second: 30"))
    assert load_board(str(board)).frames_per_second == 30


def test_the_front_is_drawn_and_listed(tmp_path: Path) -> None:
    points = [Point(100.0, 0.5, Resources(dsp=7), 3), Point(20.0, 0.1, Resources(dsp=1), 1)]
    for name in ("front.svg", "front.png"):
        Front.of(tmp_path / name).draw("a network", points)
        assert (tmp_path / name).stat().st_size > 1000
    assert table(points).row_count == 2
    for wrong in (tmp_path / "front.gif", tmp_path / "nowhere" / "front.svg"):
        with pytest.raises(FrontError, match=r"^--pareto "):
            Front.of(wrong)
