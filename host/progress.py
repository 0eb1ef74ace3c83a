"""A line on the terminal that says how far a run is; nothing where there is no terminal, or only one frame."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

EVERY_SECONDS = 0.2


class Progress:
    """A context manager; `paused` clears the line while something is printed, and counts one frame more."""

    def __init__(self, total: int) -> None:
        self._total, self._done = total, 0
        self._shown = total > 1 and sys.stderr.isatty()
        self._start = self._last = time.monotonic()

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._clear()

    @contextmanager
    def paused(self) -> Iterator[None]:
        if sys.stdout.isatty():
            self._clear()
        yield
        self._done += 1
        now = time.monotonic()
        if self._shown and (sys.stdout.isatty() or now > self._last + EVERY_SECONDS):
            self._last = now
            rate = self._done / max(now - self._start, 1e-9)
            sys.stderr.write(f"\r{self._done} of {self._total} frames, {rate:.1f} frames/s\x1b[K")
            sys.stderr.flush()

    def _clear(self) -> None:
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
