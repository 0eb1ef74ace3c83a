"""Every access stays inside its memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from xdsl.context import Context
from xdsl.dialects.affine import LoadOp, StoreOp
from xdsl.dialects.builtin import MemRefType, ModuleOp
from xdsl.ir import Operation
from xdsl.passes import ModulePass

from .. import dialect as ir
from ..accesses import Visits, reach, subscripts, visits
from ..errors import StageError
from ..ranges import Range, Ranges, affine_range
from .common import name_of, stage_of


@dataclass(frozen=True)
class CheckBounds(ModulePass):
    """Fails on an access that is certainly executed out of bounds; indices that depend on data are not judged."""

    name = "check-bounds"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        ranges = Ranges()
        for inner in op.walk():
            if isinstance(inner, LoadOp | StoreOp):
                _check(inner, ranges)


def _check(op: LoadOp | StoreOp, ranges: Ranges) -> None:
    assert isinstance(op.memref.type, MemRefType)
    shape = op.memref.type.get_shape()
    if _inside(op, shape, [ranges.of(index) for index in op.indices]):
        return
    within = reach(op, list(op.indices))
    if not within.decided or within.empty:
        return
    ends = [(within.domains[v].min(), within.domains[v].max()) for v in op.indices]
    if _inside(op, shape, [(int(lo), int(hi)) for lo, hi in ends]):
        return
    found = visits(within)
    columns = subscripts(op, found)
    assert columns is not None
    for dim, (column, extent) in enumerate(zip(columns, shape, strict=True)):
        outside = np.flatnonzero((column < 0) | (column >= extent))
        if outside.size:
            _fail(op, dim, int(column[outside[0]]), extent, found, int(outside[0]))


def _inside(op: LoadOp | StoreOp, shape: tuple[int, ...], variables: list[Range]) -> bool:
    intervals = [affine_range(op.map.data, d, variables) for d in range(len(shape))]
    return all(lo >= 0 and hi < extent for (lo, hi), extent in zip(intervals, shape, strict=True))


def _fail(op: LoadOp | StoreOp, dim: int, index: int, extent: int, found: Visits, at: int) -> None:
    where = ", ".join(f"{loop.label.data} = {found.each(found.point[loop.variable])[at]}" for loop in found.reach.loops)
    verb = "stores to" if isinstance(op, StoreOp) else "reads"
    arms = isinstance(op, LoadOp) and _in_select(op)
    hint = "select reads both alternatives: guard the read with if_" if arms else "guard it with if_"
    raise StageError(
        f"stage {stage_of(op)} {verb} {name_of(op.memref)} at index {index} of dimension {dim}, "
        f"which has {extent} elements (at {where or 'every iteration'}); {hint}"
    )


def _in_select(op: Operation) -> bool:
    users = [use.operation for result in op.results for use in result.uses]
    return any(isinstance(user, ir.SelectOp) or (isinstance(user, ir.CastOp) and _in_select(user)) for user in users)
