"""Values and memories that nothing uses disappear."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.affine import ApplyOp, LoadOp
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.memref import GetGlobalOp
from xdsl.dialects.memref import LoadOp as MemrefLoadOp
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter
from xdsl.traits import Pure

from ..accesses import WRITES
from ..dialect import AllocOp, ScalarOp

_REMOVABLE = (ApplyOp, LoadOp, MemrefLoadOp, GetGlobalOp, AllocOp, ScalarOp)


@dataclass(frozen=True)
class EraseDead(ModulePass):
    """Erases registers that are never read, and operations without effect whose result has no use."""

    name = "erase-dead"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for inner in reversed(list(op.walk())):
            if isinstance(inner, ScalarOp) and all(isinstance(use.operation, WRITES) for use in inner.memory.uses):
                for store in [use.operation for use in inner.memory.uses]:
                    Rewriter.erase_op(store)
            removable = isinstance(inner, _REMOVABLE) or inner.has_trait(Pure)
            if removable and inner.results and not any(result.uses for result in inner.results):
                Rewriter.erase_op(inner)
