"""What the vendor flow refuses."""

from __future__ import annotations


class VendorError(ValueError):
    """A text, a plan or a project that the vendor flow cannot take; the message says what, where, what is allowed."""
