"""The extensions on the real HeteroCL v0.5, by its public `register_primitive`; imported where it is installed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import heterocl as hcl
from hcl_mlir.dialects import hcl as hcl_d
from hcl_mlir.ir import InsertionPoint, IntegerAttr, IntegerType, UnitAttr
from heterocl.ast import ast
from heterocl.ast.ir_builder import IRBuilder


def alloc(shape: Sequence[int], name: str, dtype: Any, doc: str = "") -> Any:
    """An uninitialised on-chip memory: the operation a placeholder is, appended to the current region."""
    tensor = hcl.placeholder(tuple(shape), name, dtype)
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
            sch.outline(group)


def dataflow_regions(s: Any, links: Sequence[tuple[Any, Any, int]], groups: Sequence[Sequence[Any]]) -> None:
    """Declares every stream `(tensor, s[stage], depth)`, then outlines each group of stages as one function."""
    s.dataflow_regions(links, groups)
