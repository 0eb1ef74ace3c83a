"""The one kind of error a user's model file can cause."""

from __future__ import annotations


class ModelError(ValueError):
    """A model file that cannot be compiled; the message is one line that says what, where and what is allowed."""
