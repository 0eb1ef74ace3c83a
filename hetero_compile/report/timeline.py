"""What is expected to happen when: the plan's steps for some frames in a row, by their estimated times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hetero_compile.report.svg import Svg
from host.plan import Plan, Step

FRAMES = 5
ROWS = (("cpu", "CPU"), ("device", "FPGA"))
LEFT, ROW, WIDTH = 48.0, 34.0, 860.0


@dataclass(frozen=True)
class Span:
    """A step of one frame, in milliseconds from the start of the first."""

    step: Step
    frame: int
    start: float
    end: float

    @property
    def row(self) -> str:
        return "device" if self.step.kind == "device" else "cpu"


def expected(plan: Plan, duration: Mapping[str, float], frames: int = FRAMES) -> list[Span]:
    """Each side does one thing at a time; a frame starts when one of ``plan.frames`` places is free. ``duration``: ms.

    Whatever can start first does, of an earlier frame where two can: what the runtime's scheduler does.
    """
    done: dict[tuple[int, int], float] = {}
    free = {"cpu": 0.0, "device": 0.0}
    spans: list[Span] = []
    waiting = [(frame, index) for frame in range(frames) for index in range(len(plan.steps))]
    while waiting:
        ready = []
        for frame, index in waiting:
            step = plan.steps[index]
            if any((frame, before) not in done for before in step.after):
                continue
            leaver = frame - plan.frames
            if leaver >= 0 and any((leaver, i) not in done for i in range(len(plan.steps))):
                continue
            place = max((done[leaver, i] for i in range(len(plan.steps))), default=0.0) if leaver >= 0 else 0.0
            row = "device" if step.kind == "device" else "cpu"
            start = max([place, free[row], *(done[frame, before] for before in step.after)])
            ready.append((start, frame, index, row))
        start, frame, index, row = min(ready)
        end = start + duration[plan.steps[index].name]
        done[frame, index] = free[row] = end
        spans.append(Span(plan.steps[index], frame, start, end))
        waiting.remove((frame, index))
    return spans


def draw_timeline(spans: Sequence[Span]) -> str:
    """One row for each side that does anything, frames told apart by shade."""
    rows = [(key, label) for key, label in ROWS if any(span.row == key for span in spans)]
    end = max((span.end for span in spans), default=0.0) or 1.0
    scale = WIDTH / end
    svg = Svg(LEFT + WIDTH + 30, len(rows) * ROW + 34, "expected time line")
    for number, (key, label) in enumerate(rows):
        y = number * ROW + 4
        svg.text(0, y + 18, label, "name")
        for span in spans:
            if span.row != key:
                continue
            x, width = LEFT + span.start * scale, (span.end - span.start) * scale
            title = f"frame {span.frame}, {span.step.name}: {span.start:.3f} to {span.end:.3f} ms"
            svg.rect(x, y, width, ROW - 10, f"span {key} shade{span.frame % 2}", title)
            if width > 16 and span.step.kind in ("cpu", "device"):
                svg.text(x + width / 2, y + 16, str(span.frame), "on", "middle")
    base = len(rows) * ROW + 2
    svg.line([(LEFT, base), (LEFT + WIDTH, base)], "axis")
    for tick in range(6):
        x = LEFT + WIDTH * tick / 5
        svg.line([(x, base), (x, base + 5)], "axis")
        svg.text(x, base + 18, f"{end * tick / 5:.3g}{' ms' if tick == 5 else ''}", "small", "middle")
    return str(svg)
