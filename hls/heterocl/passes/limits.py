"""What HeteroCL loses or breaks when it makes a function of a stage, found before it happens."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.affine import LoadOp
from xdsl.dialects.builtin import MemRefType, ModuleOp
from xdsl.dialects.memref import GetGlobalOp
from xdsl.dialects.memref import LoadOp as MemrefLoadOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass

from .. import dialect as ir
from ..accesses import WRITES
from ..errors import StageError
from .common import name_of, root, stage_of

_LOADS = (LoadOp, MemrefLoadOp, ir.ReadOp)
_STORES = (*WRITES, ir.WriteOp)


@dataclass(frozen=True)
class CheckOutlined(ModulePass):
    """Fails on what HeteroCL's outlining mistakes: which memories are a stage's own, and where an index is computed.

    It takes a memory that a stage stores to for an output; for its own where it is read too, or stored to once more.
    """

    name = "check-outlined"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        owners: dict[str, int] = {}
        for inner in list(op.walk()):
            if isinstance(inner, ir.ForOp) and inner.group is not None:
                _check_stage(inner, inner.group.data, owners)


def _check_stage(stage: ir.ForOp, group: int, roms: dict[str, int]) -> None:
    name = stage_of(stage)
    for op in stage.walk():
        if isinstance(op, ir.ScalarOp) and not any(isinstance(use.operation, _LOADS) for use in op.memory.uses):
            raise StageError(
                f"scalar {op.label.data} of outlined stage {name} is never read: HeteroCL loses it; drop it"
            )
        if isinstance(op, MemrefLoadOp) and not isinstance(op.memref.owner, GetGlobalOp):
            raise StageError(
                f"outlined stage {name} reads {name_of(op.memref)} at an index that depends on data, which HeteroCL "
                "computes outside of the loops: index memories by loop variables; only constants may be read by data"
            )
    _check_lone(stage, name)
    for memory in _memories(stage):
        if isinstance(owner := memory.owner, GetGlobalOp):
            constant = owner.name_.root_reference.data
            if roms.setdefault(constant, group) != group:
                raise StageError(f"constant {constant} is read by two outlined stages, {name} is one: declare it twice")
        elif isinstance(owner, ir.AllocOp) and owner.memory.type.get_shape() == (1,):
            raise StageError(
                f"{name_of(memory)} of shape (1,) is lost in outlined stage {name} in HeteroCL: give it shape (2,)"
            )
        elif not isinstance(owner, ir.ScalarOp):
            _check_target(memory, stage, group)


def _check_lone(stage: ir.ForOp, name: str) -> None:
    """HeteroCL's `getOutputMemRefs` looks for a stage's own memories only once it has found two."""
    read = {op.operands[0] for op in stage.walk() if isinstance(op, _LOADS)}
    read = {memory for memory in read if not isinstance(memory.owner, GetGlobalOp)}
    stored = next((_target(op) for op in stage.walk() if isinstance(op, (*_STORES, ir.ScalarOp))), None)
    if len(read) == 1 and stored in read:
        raise StageError(
            f"outlined stage {name} reads no memory but {name_of(stored)}, which it stores to first: HeteroCL then "
            "takes it for an argument; read another one, a source say"
        )


def _target(op: Operation) -> SSAValue:
    return op.memory if isinstance(op, ir.ScalarOp) else op.operands[0 if isinstance(op, ir.WriteOp) else 1]


def _check_target(memory: SSAValue, stage: ir.ForOp, group: int) -> None:
    if isinstance(memory.owner, ir.AllocOp) and all(_group(use.operation) == group for use in memory.uses):
        return
    inside = [use.operation for use in memory.uses if root(use.operation) is stage]
    stores = sum(isinstance(op, _STORES) for op in inside)
    if stores > 1 or (stores and any(isinstance(op, _LOADS) for op in inside)):
        also = "in two places" if stores > 1 else "and reads it"
        raise StageError(
            f"outlined stage {stage_of(stage)} stores to {name_of(memory)} {also}: HeteroCL then takes it for the "
            "stage's own memory; decide the value first and store it once"
        )


def _group(op: Operation) -> int | None:
    outermost = root(op)
    return outermost.group.data if isinstance(outermost, ir.ForOp) and outermost.group is not None else None


def _memories(stage: ir.ForOp) -> Iterable[SSAValue]:
    kinds = MemRefType | ir.StreamType
    return dict.fromkeys(value for op in stage.walk() for value in op.operands if isinstance(value.type, kinds))
