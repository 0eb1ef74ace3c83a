"""A line on standard error that says how far a run is."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

EVERY_SECONDS = 0.2


class Progress:
    """A context manager; `paused` clears the line while something is printed, and counts one more of ``noun``.

    On a terminal one line changes; elsewhere there are ``lines`` lines in all, the last when everything is done.
    Nothing is shown where there is only one. ``note`` stands at the end in place of the rate.
    """

    def __init__(self, total: int, noun: str = "frames", lines: int = 0) -> None:
        self._total, self._noun, self._done = total, noun, 0
        self._terminal = sys.stderr.isatty()
        self._every = -(-total // lines) if lines else 0
        self._start = self._last = time.monotonic()
        self.note = ""

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()

    @contextmanager
    def paused(self) -> Iterator[None]:
        if sys.stdout.isatty():
            self.clear()
        yield
        self._done += 1
        if self._total > 1 and self._is_due():
            self._last = time.monotonic()
            sys.stderr.write(f"\r{self._text()}\x1b[K" if self._terminal else f"{self._text()}\n")
            sys.stderr.flush()

    def _is_due(self) -> bool:
        if self._terminal:
            return sys.stdout.isatty() or time.monotonic() > self._last + EVERY_SECONDS
        return self._every > 0 and (self._done % self._every == 0 or self._done == self._total)

    def _text(self) -> str:
        rate = self._done / max(time.monotonic() - self._start, 1e-9)
        return f"{self._done} of {self._total} {self._noun}, {self.note or f'{rate:.1f} {self._noun}/s'}"

    def clear(self) -> None:
        """Takes the line away, so that something else can be printed."""
        if self._total > 1 and self._terminal:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
