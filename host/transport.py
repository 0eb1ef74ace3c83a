"""How `host.session` reaches the C scheduler: in this process (`host.native`) or through pipes (`host.piped`)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from host.device import Device


@dataclass(frozen=True)
class Setting:
    """What a transport needs to know.

    ``device`` is where commands go; ``deadline`` is in seconds; ``output_bytes`` are the sizes of the plain outputs;
    ``steps`` and ``frames`` (in flight) are the plan's; ``threads`` are at most as many as the package is made for, 0
    for as many of these as there are cores; with ``trace`` spans of time are kept; ``notify`` is told, as one line,
    what happened that is no error.
    """

    device: Device
    deadline: float
    output_bytes: tuple[int, ...]
    steps: int
    frames: int
    threads: int
    trace: bool
    notify: Callable[[str], None]

    @property
    def deadline_ms(self) -> int:
        return max(1, round(self.deadline * 1000))


class RawSpan(NamedTuple):
    """``hc_span`` of runtime/hc_trace.h: nanoseconds of the monotonic clock, kind, step or buffer."""

    begin: int
    end: int
    kind: int
    which: int


SPAN = struct.Struct("<QQII")


class Transport(Protocol):
    """Frames in, outputs out, as bytes of the plain tensors in the manifest's order; RunError where that fails."""

    def begin(self, inputs: Sequence[bytes]) -> bool:
        """Takes a frame; False if all frames in flight are taken."""
        ...

    def finish(self) -> list[bytes]:
        """The outputs of the oldest frame, worked for until they are there."""
        ...

    def spans(self) -> list[RawSpan]:
        """Of the frame that `finish` gave last; none without ``trace``."""
        ...

    def times(self) -> list[tuple[int, int]]:
        """(runs, busy nanoseconds) of each step of the plan; not while frames are in flight."""
        ...

    def close(self) -> None: ...
