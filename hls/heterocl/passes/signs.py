"""Where HeteroCL's C++ reads a value with the wrong sign.

Its emitter declares the result of every cast and of every select as signed, and gives a cast that keeps the width no
variable of its own. That matters where the value may have its top bit set and is widened, compared or shifted right.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.affine import LoadOp
from xdsl.dialects.builtin import IndexType, ModuleOp
from xdsl.dialects.memref import LoadOp as MemrefLoadOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass

from .. import dialect as ir
from ..accesses import WRITES
from ..errors import StageError
from ..ranges import Range, Ranges, fits, type_range
from .common import stage_of, top
from .streams import DATAFLOW

_VALUES = (ir.BinaryOp, ir.CompareOp, ir.SelectOp, ir.CastOp)


@dataclass(frozen=True)
class CheckSigns(ModulePass):
    """Fails on a value of a dataflow program whose sign HeteroCL's C++ gets wrong where it counts."""

    name = "check-signs"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        if DATAFLOW not in top(op).attributes:
            return
        ranges = HeldRanges()
        for inner in op.walk():
            if isinstance(inner, _VALUES):
                for value in inner.operands:
                    _check(value, inner, ranges)


class HeldRanges(Ranges):
    """Intervals that also follow values through registers: what a scalar may hold is what is stored to it."""

    def load(self, op: LoadOp | MemrefLoadOp) -> Range:
        memory = op.memref
        if not isinstance(memory.owner, ir.ScalarOp):
            return super().load(op)
        if memory not in self._known:
            whole = self._known[memory] = type_range(op.results[0])  # for a scalar that depends on itself
            stores = [use.operation for use in memory.uses if isinstance(use.operation, WRITES)]
            held = [self.of(value) for value in (memory.owner.init, *(store.operands[0] for store in stores))]
            lo, hi = min(lo for lo, _ in held), max(hi for _, hi in held)
            self._known[memory] = lo, hi
            assert fits((lo, hi), whole)
        return self._known[memory]


def _check(value: SSAValue, user: Operation, ranges: Ranges) -> None:
    if isinstance(value.type, IndexType):
        return
    dtype = ir.to_dtype(value.type)
    if declared_signed(value) == dtype.signed or not _depends_on_sign(value, user):
        return
    lo, hi = ranges.of(value)
    if lo >= 0 and hi < 1 << (dtype.bits - 1):
        return
    raise StageError(
        f"stage {stage_of(user)} widens, compares or shifts a {dtype} made by a cast or select, which HeteroCL's C++ "
        f"declares {'unsigned' if dtype.signed else 'signed'}: hold it in an hcl.scalar of that type first"
    )


def declared_signed(value: SSAValue) -> bool:
    """Whether v0.5's C++ declares the value as a signed integer."""
    owner, dtype = value.owner, ir.to_dtype(value.type)
    if dtype.bits == 1:
        return dtype.signed
    match owner:
        case ir.SelectOp():
            return True
        case ir.CastOp():
            source = owner.source
            kept = not isinstance(source.type, IndexType) and ir.to_dtype(source.type).bits == dtype.bits
            return declared_signed(source) if kept else True
        case ir.ConstantOp():
            return dtype.signed
    return dtype.signed


def _depends_on_sign(value: SSAValue, user: Operation) -> bool:
    """Whether the user's result changes with the sign that C++ sees."""
    if isinstance(user, ir.CompareOp):
        return True
    if isinstance(user, ir.ShrOp) and user.lhs is value:
        return True
    result = user.results[0].type
    return isinstance(result, IndexType) or ir.to_dtype(result).bits > ir.to_dtype(value.type).bits
