"""What is written differently here and in `real.py`: `alloc`, `dataflow_regions`, `loop_of`, `note`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .dialect import CommentOp, ForOp
from .errors import ScheduleError
from .schedule import Schedule
from .tensor import Loop, Stage, Tensor
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


def loop_of(stage: Stage, name: str) -> Loop:
    """The loop that a tagged `for_` calls `name`, or the nearest around it that runs more than once.

    HeteroCL renames a loop whose name is taken in the program, and drops loops of one iteration with their pragmas.

    Raises:
        ScheduleError: the stage has no such loop.
    """
    found = {id(loop.op): loop for loop in stage.axis}
    named = [loop for loop in stage.axis if loop.label == name]
    if len(named) != 1:
        raise ScheduleError(f"stage {stage.stage_name} has {len(named)} loops that are called {name}")
    op = named[0].op
    while len(op.domain) == 1 and isinstance(parent := op.parent_op(), ForOp):
        op = parent
    return found[id(op)]
