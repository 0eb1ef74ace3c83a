"""Each group of stages becomes a function of its own, with its memories inside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import MemRefType, ModuleOp
from xdsl.dialects.func import CallOp, FuncOp, ReturnOp
from xdsl.dialects.memref import GetGlobalOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter

from .. import dialect as ir
from ..errors import StageError
from .common import move, name_of, root, stage_of, top


@dataclass(frozen=True)
class OutlineStages(ModulePass):
    """Moves the stages of each group into a function; memories that only they use move with them."""

    name = "outline-stages"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        function = top(op)
        groups: dict[int, list[ir.ForOp]] = {}
        for inner in function.body.block.ops:
            if isinstance(inner, ir.ForOp) and inner.group is not None:
                groups.setdefault(inner.group.data, []).append(inner)
        for stages in groups.values():
            _outline(op, function, stages)


def _outline(module: ModuleOp, function: FuncOp, stages: Sequence[ir.ForOp]) -> None:
    captured = _captured(stages)
    inside = {id(stage) for stage in stages}
    local = [v for v in captured if _is_local(v, inside)]
    shared = [v for v in captured if v not in local and not isinstance(v.owner, GetGlobalOp)]
    constants = [(v, v.owner) for v in captured if isinstance(v.owner, GetGlobalOp)]
    for value in shared:
        _check_shared(value, stages)
    name = "_".join(stage.stage.data for stage in stages if stage.stage)
    body = FuncOp(name, ([v.type for v in shared], []))
    block = body.body.block
    module.body.block.insert_op_before(body, function)
    call = CallOp(name, shared, [])
    function.body.block.insert_op_before(call, stages[-1])
    for value, argument in zip(shared, block.args, strict=True):
        argument.name_hint = value.name_hint
        _rebind(value, argument, inside)
    for value, owner in constants:
        get = GetGlobalOp(owner.name_, value.type)
        get.memref.name_hint = value.name_hint
        block.add_op(get)
        _rebind(value, get.memref, inside)
        if not list(value.uses):
            Rewriter.erase_op(owner)
    for value in local:
        assert isinstance(value.owner, Operation)
        for op in _with_comments(value.owner):
            move(op, block)
    for stage in stages:
        for op in _with_comments(stage):
            move(op, block)
        stage.group = None
    block.add_op(ReturnOp())


def _captured(stages: Sequence[ir.ForOp]) -> list[SSAValue]:
    """Values that stages use and do not define, in order of first use."""
    found: dict[SSAValue, None] = {}
    for stage in stages:
        defined = {id(stage)}
        for op in stage.walk():
            defined.add(id(op))
            for value in op.operands:
                owner = value.owner
                holder = owner if isinstance(owner, Operation) else owner.parent_op()
                if holder is None or id(holder) not in defined:
                    found[value] = None
    return list(found)


def _is_local(value: SSAValue, inside: set[int]) -> bool:
    return isinstance(value.owner, ir.AllocOp) and all(id(root(use.operation)) in inside for use in value.uses)


def _check_shared(value: SSAValue, stages: Sequence[ir.ForOp]) -> None:
    name, stage = name_of(value), stage_of(stages[0])
    if isinstance(value.type, MemRefType):
        if value.type.get_shape() == (1,):
            raise StageError(f"{name} of shape (1,) is lost in outlined stage {stage} in HeteroCL: give it shape (2,)")
        if not ir.to_dtype(ir.element_of(value)).signed and isinstance(value.owner, ir.AllocOp):
            raise StageError(
                f"array {name} of {ir.to_dtype(ir.element_of(value))} crosses outlined stage {stage}: HeteroCL's C++ "
                "does not type it; use Int at array boundaries, or make it a stream"
            )
    elif not isinstance(value.type, ir.StreamType):
        raise StageError(f"outlined stage {stage} uses a value computed outside of it: compute it inside")


def _rebind(old: SSAValue, new: SSAValue, inside: set[int]) -> None:
    old.replace_uses_with_if(new, lambda use: id(root(use.operation)) in inside)


def _with_comments(op: Operation) -> list[Operation]:
    """`op` and the comments directly before it."""
    found = [op]
    previous = op.prev_op
    while isinstance(previous, ir.CommentOp):
        found.insert(0, previous)
        previous = previous.prev_op
    return found
