"""The extensions on the real HeteroCL v0.5, by its public `register_primitive`; imported where it is installed.

Its program is always called `top`, and its stages `Stage_<tag>`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import heterocl as hcl
from hcl_mlir.dialects import hcl as hcl_d
from hcl_mlir.ir import InsertionPoint, IntegerAttr, IntegerType, UnitAttr
from heterocl.ast import ast
from heterocl.ast.ir_builder import IRBuilder
from heterocl.context import UniqueName, get_context, get_location

from .errors import ScheduleError


def alloc(shape: Sequence[int], name: str, dtype: Any, doc: str = "") -> Any:
    """An uninitialised on-chip memory: the operation a placeholder is, appended to the current region.

    Its name is one among those of scalars too: v0.5 tells the two apart when it makes names unique, and not later.
    """
    tensor = hcl.placeholder(tuple(shape), UniqueName.get(name, "scalar"), dtype)
    tensor.level = len(ast.scope)
    ast.scope.get().append(tensor)
    return tensor


def note(text: str) -> None:
    """Nothing: v0.5 carries no comments."""


@hcl.register_primitive()
class DataflowRegions(hcl.Primitive):  # type: ignore[misc]
    """Declare all streams first, then outline each group: v0.5 allows no stream on an outlined stage."""

    name = "dataflow_regions"

    @staticmethod
    def apply(sch: Any, links: Sequence[tuple[Any, Any, int]], groups: Sequence[Sequence[Any]]) -> None:
        with get_context(), get_location():  # as HeteroCL's own primitives do; what is made below needs both
            builder = IRBuilder(sch._ast)
            end = InsertionPoint.at_block_terminator(sch.top_func.entry_block)
            i32 = IntegerType.get_signless(32)
            sch._ast.top_func.ir_op.attributes["dataflow"] = UnitAttr.get()
            for tensor, stage, depth in links:
                op = ast.InterKernelToOp(tensor, stage.stage_handle, depth, ast.Location("dataflow_regions", 0))
                sch.ast.top_func.body.append(op)
                if tensor.result is None:
                    tensor.result = tensor.prev_result
                builder.build_visitor(op.stage, end)
                op.ir_op = hcl_d.InterKernelToOp(
                    tensor.result, op.stage.result, fifo_depth=IntegerAttr.get(i32, depth), ip=end
                )
        for group in groups:
            sch.outline(list(group))


def dataflow_regions(s: Any, links: Sequence[tuple[Any, Any, int]], groups: Sequence[Sequence[Any]]) -> None:
    """Declares every stream `(tensor, s[stage], depth)`, then outlines each group of stages as one function."""
    s.dataflow_regions(links, groups)


def loop_of(stage: Any, name: str) -> Any:
    """The loop that a tagged `for_` calls `name`, or the nearest around it that runs more than once.

    v0.5 renames a loop whose name is taken in the program, and drops loops of one iteration with their pragmas.

    Raises:
        ScheduleError: the stage has no such loop.
    """
    named = [path for path in _paths(stage._ast_op) if re.fullmatch(rf"{name}(_\d+)?", path[-1].name)]
    if len(named) != 1:
        raise ScheduleError(f"stage {stage.name} has {len(named)} loops that are called {name}")
    repeated = [loop for loop in named[0] if loop.high - loop.low > loop.step]
    return getattr(stage, (repeated or named[0])[-1].name)


def _paths(loop: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every loop that v0.5 has a handle of, after the loops around it."""
    path = (*above, loop)
    yield path
    for op in loop.body:
        if isinstance(op, ast.ForOp):
            yield from _paths(op, path)
