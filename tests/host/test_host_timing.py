"""The table of times, and how far a run is."""

from __future__ import annotations

import io
import sys
from dataclasses import replace

import pytest

from host.manifest import Region, Stage
from host.progress import Progress
from host.session import StepTime
from host.timing import table
from tests.host import fake

STAGES = (Stage("first", 30_000, ""), Stage("second", 50_000, ""), Stage("third", 20_000, ""))


def estimates(region: Region, stages: bool = True) -> list[str]:
    """What stands in the table's last column for ``scale``, its stages included where they are asked for."""
    plain = fake.manifest()
    regions = tuple(replace(region, name=r.name) if r.name == "scale" else r for r in plain.regions)
    step = StepTime("scale", "device" if region.side == "device" else "cpu", 10, 0.5)
    lines = table(replace(plain, regions=regions), [step], (), 10, 1.0, "sim", stages).splitlines()[2:]
    return [line.split("  ")[-1].strip() for line in lines]


def region(**facts: object) -> Region:
    (scale,) = (r for r in fake.manifest().regions if r.name == "scale")
    return replace(scale, stages=STAGES, clock_mhz=100.0, **facts)  # type: ignore[arg-type]


def test_a_pipelines_rate_is_its_slowest_stages() -> None:
    head, *stages = estimates(region())
    assert head == "50,000 cycles, 2000 frames/s at 100 MHz, by second"
    assert stages == ["30,000 cycles", "50,000 cycles", "20,000 cycles"]
    assert estimates(region(), stages=False) == [head]


def test_layers_of_a_cpu_follow_each_other() -> None:
    assert estimates(region(side="cpu")) == ["100,000 cycles, 1000 frames/s at 100 MHz, most by second"]
    assert estimates(replace(region(side="cpu"), stages=STAGES[:1])) == ["30,000 cycles, 3333 frames/s at 100 MHz"]
    assert estimates(replace(region(side="cpu"), clock_mhz=0.0)) == ["100,000 cycles, most by second"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, total: int, lines: int, note: str = "") -> str:
    """What a run of `total` pictures shows; its results go to a terminal, too."""
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(sys, "stdout", Terminal())
    with Progress(total, "pictures", lines) as progress:
        for _ in range(total):
            progress.note = note
            with progress.paused():
                pass
    return stream.getvalue()


def test_a_terminal_has_one_line_that_is_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(monkeypatch, Terminal(), 3, 20, "top-1 50.0 %")
    assert "\n" not in text and text.endswith("\r\x1b[K")
    parts = [part for part in text.replace("\x1b[K", "").split("\r") if part]
    assert parts == [f"{i} of 3 pictures, top-1 50.0 %" for i in (1, 2, 3)]
    assert "3 of 3 pictures, " in shown(monkeypatch, Terminal(), 3, 0) and shown(monkeypatch, Terminal(), 1, 20) == ""


@pytest.mark.parametrize(
    ("total", "lines", "counts"), [(7, 3, [3, 6, 7]), (4, 20, [1, 2, 3, 4]), (7, 0, []), (1, 5, [])]
)
def test_elsewhere_there_are_a_few_lines(
    monkeypatch: pytest.MonkeyPatch, total: int, lines: int, counts: list[int]
) -> None:
    text = shown(monkeypatch, io.StringIO(), total, lines, "top-1 50.0 %")
    assert text.splitlines() == [f"{count} of {total} pictures, top-1 50.0 %" for count in counts]
