"""Loops whose iterations only add to memories and registers that stand outside of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.dialects.affine import LoadOp as AffineLoadOp
from xdsl.dialects.affine import StoreOp as AffineStoreOp
from xdsl.dialects.builtin import AffineMapAttr
from xdsl.ir import Block, Operation, SSAValue
from xdsl.ir.affine import AffineMap

from .. import dialect as ir
from ..types import result_type

REGISTER = AffineMapAttr(AffineMap(0, 0, ()))
"""Subscripts of a register: none."""

Term = tuple[SSAValue, int]
"""A value, and 1 or -1: added or subtracted."""


@dataclass(frozen=True)
class Sum:
    """What the iterations add to one element: read by `load`, written back by `store`."""

    load: AffineLoadOp
    store: AffineStoreOp
    terms: tuple[Term, ...]

    def finish(self, part: SSAValue, block: Block) -> None:
        """Appends the addition of all terms at once: exact, for the element wraps around."""
        dtype = ir.to_dtype(ir.element_of(self.load.memref))
        load, added = self.load.clone(), AffineLoadOp(part, [], REGISTER)
        types = (ir.to_dtype(value.type) for value in (load.results[0], added.result))
        total = ir.AddOp(load.results[0], added.result, result_type("+", *types))
        cast = ir.CastOp(total.result, dtype)
        store = AffineStoreOp(cast.result, self.store.memref, list(self.store.indices), self.store.map)
        block.add_ops([load, added, total, cast, store])


def sums_of(loop: ir.ForOp, body: Sequence[Operation]) -> list[Sum] | None:
    """The sums of a loop, an element of a memory or a register each; None where it does anything else."""
    found: dict[tuple[object, ...], Sum] = {}
    loads: set[Operation] = set()
    for store in (op for op in body if isinstance(op, AffineStoreOp)):
        taken = _Terms(store)
        if not taken.take(store.value) or taken.load is None:
            return None
        owner = store.memref.owner
        if loop.variable in store.indices or (isinstance(owner, Operation) and loop.is_ancestor(owner)):
            return None
        if any(isinstance(index.owner, Operation) for index in store.indices):
            return None
        loads.add(taken.load)
        key = (store.memref, store.map, *store.indices)
        before = found[key].terms if key in found else ()
        found[key] = Sum(taken.load, store, (*before, *taken.terms))
    memories = {total.store.memref for total in found.values()}
    others = (op for op in body if not isinstance(op, AffineStoreOp) and op not in loads)
    if any(operand in memories for op in others for operand in op.operands):
        return None
    return list(found.values())


class _Terms:
    """The terms of a stored value `element + term - term + ...`, computed in no less than the element's width."""

    def __init__(self, store: AffineStoreOp) -> None:
        self.store = store
        self.bits = ir.to_dtype(store.value.type).bits
        self.load: AffineLoadOp | None = None
        self.terms: list[Term] = []

    def take(self, value: SSAValue) -> bool:
        """Whether `value` is the element and terms added to it."""
        owner = value.owner
        if self.bits > 32 or ir.to_dtype(value.type).bits < self.bits or len(list(value.uses)) != 1:
            return False
        match owner:
            case AffineLoadOp():
                same = owner.memref is self.store.memref and owner.map == self.store.map
                if not same or tuple(owner.indices) != tuple(self.store.indices):
                    return False
                self.load = owner
                return True
            case ir.CastOp():
                return self.take(owner.source)
            case ir.AddOp():
                for side, other in ((owner.lhs, owner.rhs), (owner.rhs, owner.lhs)):
                    if self.take(side):
                        self.terms.append((other, 1))
                        return True
            case ir.SubOp():
                if self.take(owner.lhs):
                    self.terms.append((owner.rhs, -1))
                    return True
        return False
