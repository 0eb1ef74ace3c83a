"""What no single operation can verify: names that must exist, and the two ends of every stream."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.affine import LoadOp, StoreOp
from xdsl.dialects.builtin import MemRefType, ModuleOp
from xdsl.dialects.func import CallOp, FuncOp
from xdsl.dialects.memref import GetGlobalOp, GlobalOp
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass
from xdsl.traits import SymbolTable

from .. import dialect as ir
from ..errors import StageError
from .common import name_of, stage_of


@dataclass(frozen=True)
class CheckModule(ModulePass):
    """Fails on an undeclared memory, an access of the wrong rank, or a stream without one reader and one writer."""

    name = "check-module"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for inner in op.walk():
            if isinstance(inner, GetGlobalOp):
                _check_constant(inner)
            elif isinstance(inner, LoadOp | StoreOp):
                _check_rank(inner)
            elif isinstance(inner, ir.StreamOp):
                _check_ends(inner)


def _check_constant(op: GetGlobalOp) -> None:
    found = SymbolTable.lookup_symbol(op, op.name_)
    name = op.name_.root_reference.data
    if not isinstance(found, GlobalOp):
        raise StageError(f"constant memory {name} is not declared")
    if found.type != op.memref.type:
        raise StageError(f"constant memory {name} is {found.type}, not {op.memref.type}")


def _check_rank(op: LoadOp | StoreOp) -> None:
    assert isinstance(op.memref.type, MemRefType)
    rank, given = op.memref.type.get_num_dims(), len(op.map.data.results)
    if rank != given:
        raise StageError(f"{name_of(op.memref)} has {rank} dimensions and is accessed with {given} subscripts")


def _check_ends(op: ir.StreamOp) -> None:
    for kind, verb in ((ir.WriteOp, "writers"), (ir.ReadOp, "readers")):
        ends = sorted(_ends(op.stream, kind))
        if len(ends) != 1:
            names = f" ({', '.join(ends)})" if ends else ""
            raise StageError(f"stream {op.label.data} has {len(ends)} {verb}{names}; it needs exactly one")


def _ends(stream: SSAValue, kind: type[ir.WriteOp] | type[ir.ReadOp]) -> set[str]:
    """Stages and functions that read or write a stream."""
    found: set[str] = set()
    for use in stream.uses:
        user = use.operation
        if isinstance(user, kind):
            found.add(stage_of(user))
        elif isinstance(user, CallOp):
            callee = SymbolTable.lookup_symbol(user, user.callee)
            if isinstance(callee, FuncOp) and _ends(callee.body.block.args[use.index], kind):
                found.add(callee.sym_name.data)
    return found
