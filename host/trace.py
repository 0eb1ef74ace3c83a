"""Time lines: what each side did for which frame, from the time stamps of the C scheduler.

Written in the Trace Event Format, which chrome://tracing and Perfetto show.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any, Literal

from host.plan import Plan
from host.transport import RawSpan

Row = Literal["frames", "CPU", "FPGA", "DMA"]
ROWS: tuple[Row, ...] = ("frames", "CPU", "FPGA", "DMA")


@dataclass(frozen=True)
class Span:
    """Something that took from ``begin`` to ``end`` (nanoseconds of the monotonic clock) for a frame.

    Rows: what the CPU computed, what the accelerator computed, buffers handed over between the two (cache maintenance),
    and the frames themselves from entry to exit, which overlap; spans of any other row do not.
    """

    row: Row
    name: str
    frame: int
    begin: int
    end: int


# hc_span_kind of runtime/hc_trace.h: the row, and what the index names.
KINDS: Mapping[int, tuple[Row, str]] = {
    0: ("frames", "frame"),
    1: ("CPU", "{step}"),
    2: ("FPGA", "{step}"),
    3: ("CPU", "{step} in place of the accelerator"),
    4: ("DMA", "to device: {tensor}"),
    5: ("DMA", "to CPU: {tensor}"),
}


def named_spans(raw: Sequence[RawSpan], plan: Plan, frame: int) -> list[Span]:
    """The spans of a frame with the names of steps and buffers."""
    steps = [step.name for step in plan.steps]
    tensors = [buffer.tensor for buffer in plan.buffers]
    found = []
    for begin, end, kind, which in raw:
        row, text = KINDS[kind]
        name = text.format(tensor=tensors[which]) if row == "DMA" else text.format(step=steps[which])
        found.append(Span(row, name, frame, begin, end))
    return found


def write_trace(stream: IO[str], spans: Iterable[Span], title: str) -> None:
    """JSON with times in microseconds from the first span on; frames as asynchronous events, since they overlap."""
    spans = sorted(spans, key=lambda span: span.begin)
    start = spans[0].begin if spans else 0
    events: list[dict[str, Any]] = [_meta("process_name", 0, title)]
    for number, row in enumerate(ROWS):
        events += [_meta("thread_name", number, row), _meta("thread_sort_index", number, number)]
    for span in spans:
        common = {"name": span.name, "cat": span.row, "pid": 1, "tid": ROWS.index(span.row)}
        begin, end = (span.begin - start) / 1000, (span.end - start) / 1000
        if span.row == "frames":
            named = common | {"name": f"frame {span.frame}", "id": span.frame}
            events += [named | {"ph": "b", "ts": begin}, named | {"ph": "e", "ts": end}]
        else:
            events.append(common | {"ph": "X", "ts": begin, "dur": end - begin, "args": {"frame": span.frame}})
    json.dump({"displayTimeUnit": "ms", "traceEvents": events}, stream)


def _meta(kind: str, row: int, value: str | int) -> dict[str, Any]:
    key = "sort_index" if kind == "thread_sort_index" else "name"
    return {"ph": "M", "name": kind, "pid": 1, "tid": row, "args": {key: value}}
