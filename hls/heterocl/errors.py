"""What the language refuses. The names are HeteroCL's, so that a program may catch them under either implementation."""

from __future__ import annotations


class HeteroCLError(Exception):
    """Base of every error this package raises."""


class APIError(HeteroCLError):
    """A construct outside the supported subset, or misused; the message names what to write instead."""


class DTypeError(HeteroCLError):
    """A value, tensor or array of the wrong element type."""


class ScheduleError(HeteroCLError):
    """A schedule primitive that cannot apply: unknown loop, second stream on a stage, partition of a constant, ..."""


class StageError(HeteroCLError):
    """The program is no legal stage program: index out of bounds, stream out of order, array between functions, ..."""


class BuildError(HeteroCLError):
    """Printing, compiling or calling the program failed: no compiler, too wide for the target, wrong argument."""
