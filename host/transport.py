"""How `host.session` reaches the C scheduler: in this process (`host.native`) or through pipes (`host.emulated`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Setting:
    """What a transport needs to know.

    ``shared_file`` is the simulated device's, None for a package without device regions; ``deadline`` is in seconds;
    ``output_bytes`` are the sizes of the plain outputs; ``steps`` and ``frames`` (in flight) are the plan's;
    ``threads`` are at most as many as the package is made for, 0 for as many of these as there are cores;
    ``check_device`` raises RunError if the device is dead.
    """

    shared_file: Path | None
    deadline: float
    output_bytes: tuple[int, ...]
    steps: int
    frames: int
    threads: int
    check_device: Callable[[], None]

    @property
    def deadline_ms(self) -> int:
        return max(1, round(self.deadline * 1000))


class Transport(Protocol):
    """Frames in, outputs out, as bytes of the plain tensors in the manifest's order; RunError where that fails."""

    def begin(self, inputs: Sequence[bytes]) -> bool:
        """Takes a frame; False if all frames in flight are taken."""
        ...

    def finish(self) -> list[bytes]:
        """The outputs of the oldest frame, worked for until they are there."""
        ...

    def times(self) -> list[tuple[int, int]]:
        """(runs, busy nanoseconds) of each step of the plan; not while frames are in flight."""
        ...

    def close(self) -> None: ...
