"""What can go wrong, each with one clear line."""

from __future__ import annotations

import re


class HostError(Exception):
    """Base of the errors that the user sees as one line and exit status 2; what a file put into it cannot break it."""

    def __init__(self, message: str) -> None:
        super().__init__(re.sub(r"[\x00-\x1f\x7f\x85\u2028\u2029]", lambda found: repr(found[0])[1:-1], message))


class PackageError(HostError):
    """The package is damaged, was edited, or states something impossible."""


class InputError(HostError):
    """A photo or tensor is not what the network takes."""


class BuildError(HostError):
    """A compiler is missing or refused the package's sources."""


class RunError(HostError):
    """The device or the program that drives it failed; ``code`` is the runtime's name for it (hc_status.h)."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
