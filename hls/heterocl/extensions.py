"""What HeteroCL's public extension points add, here and in `real.py`: `alloc`, `dataflow_regions`, `note`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .dialect import CommentOp
from .schedule import Schedule
from .tensor import Tensor
from .trace import current
from .types import DType


def alloc(shape: Sequence[int], name: str, dtype: DType, doc: str = "") -> Tensor:
    """An uninitialised on-chip memory at the current place; `doc` becomes a comment in the printed code."""
    if doc:
        note(doc)
    return current().alloc(Tensor(name, tuple(shape), dtype))


def note(text: str) -> None:
    """A comment in the printed code, at the current place."""
    current().emit(CommentOp(text))


def dataflow_regions(s: Schedule, links: Sequence[tuple[Any, Any, int]], groups: Sequence[Sequence[Any]]) -> None:
    """Declares every stream `(tensor, s[stage], depth)`, then outlines each group of stages as one function."""
    s.dataflow_regions(links, groups)
