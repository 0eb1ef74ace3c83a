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
from ..accesses import Visits, subscripts, visits
from ..errors import StageError
from ..ranges import affine_range, ranges_of
from .common import name_of, stage_of


@dataclass(frozen=True)
class CheckBounds(ModulePass):
    """Fails on an access that is certainly executed out of bounds; indices that depend on data are not judged."""

    name = "check-bounds"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for inner in op.walk():
            if isinstance(inner, LoadOp | StoreOp):
                _check(inner)


def _check(op: LoadOp | StoreOp) -> None:
    assert isinstance(op.memref.type, MemRefType)
    shape = op.memref.type.get_shape()
    ranges = [ranges_of(index) for index in op.indices]
    intervals = [affine_range(op.map.data, d, ranges) for d in range(len(shape))]
    if all(lo >= 0 and hi < extent for (lo, hi), extent in zip(intervals, shape, strict=True)):
        return
    found = visits(op, list(op.indices))
    if not found.decided or not found.count:
        return
    columns = subscripts(op, found.point, found.count)
    assert columns is not None
    for dim, (column, extent) in enumerate(zip(columns, shape, strict=True)):
        outside = np.flatnonzero((column < 0) | (column >= extent))
        if outside.size:
            _fail(op, dim, int(column[outside[0]]), extent, found, int(outside[0]))


def _fail(op: LoadOp | StoreOp, dim: int, index: int, extent: int, found: Visits, at: int) -> None:
    where = ", ".join(f"{loop.label.data} = {found.point[loop.variable][at]}" for loop in found.loops)
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
