"""Which values are written where they are used, and which get a line of their own."""

from __future__ import annotations

from collections.abc import Iterator

from xdsl.dialects.affine import ApplyOp
from xdsl.dialects.affine import LoadOp as AffineLoadOp
from xdsl.dialects.memref import GetGlobalOp
from xdsl.dialects.memref import LoadOp as MemrefLoadOp
from xdsl.ir import Block, Operation, SSAValue

from .. import dialect as ir
from ..accesses import WRITES

LOADS = (AffineLoadOp, MemrefLoadOp)
FREE = (ir.ConstantOp, ApplyOp, GetGlobalOp)
DEEPEST = 32  # operations inside one another in a printed expression
PURE = (ir.BinaryOp, ir.CompareOp, ir.SelectOp, ir.CastOp)


def inlined(block: Block) -> set[Operation]:
    """Operations of a block whose value is written inside the expression of its only user.

    A read of a memory or stream may move down to its user only if nothing in between changes what it reads.
    """
    chosen: set[Operation] = set()
    anchors: dict[Operation, Operation] = {}
    levels: dict[Operation, int] = {}
    order = {op: i for i, op in enumerate(block.ops)}
    for op in reversed(list(block.ops)):
        if isinstance(op, FREE):
            chosen.add(op)
            continue
        if not isinstance(op, (*PURE, *LOADS, ir.ReadOp)):
            continue
        users = [use.operation for use in op.results[0].uses]
        if len(users) != 1 or users[0].parent is not block:
            continue
        level = levels.get(users[0], 0) + 1
        if level > DEEPEST:
            continue
        anchor = anchors.get(users[0], users[0]) if users[0] in chosen else users[0]
        if isinstance(op, ir.ReadOp) and _conditional(op.result, chosen):
            continue
        if not isinstance(op, PURE) and any(_disturbs(op, other) for other in _between(op, anchor, order)):
            continue
        chosen.add(op)
        anchors[op], levels[op] = anchor, level
    return chosen


def _conditional(value: SSAValue, chosen: set[Operation]) -> bool:
    """Whether C++ may skip a value inside the expression it is written in: the arms of `?:`, the right side of `&&`."""
    while True:
        user = next(iter(value.uses)).operation
        if (isinstance(user, ir.SelectOp) and user.condition is not value) or (
            isinstance(user, ir.AndOp) and user.lhs is not value
        ):
            return True
        if user not in chosen:
            return False
        value = user.results[0]


def _between(op: Operation, anchor: Operation, order: dict[Operation, int]) -> Iterator[Operation]:
    current = op.next_op
    while current is not None and order[current] < order[anchor]:
        yield current
        current = current.next_op


def _disturbs(op: Operation, other: Operation) -> bool:
    """Whether executing `other` first changes what `op` reads."""
    return any(_writes(inner, op.operands[0]) for inner in other.walk())


def _writes(op: Operation, source: SSAValue) -> bool:
    if isinstance(op, WRITES):
        return op.operands[1] is source
    return isinstance(op, ir.ReadOp | ir.WriteOp) and isinstance(source.type, ir.StreamType)
