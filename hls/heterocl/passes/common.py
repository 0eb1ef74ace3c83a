"""What the passes share: names of memories and of the stage an operation belongs to."""

from __future__ import annotations

from collections.abc import Iterator

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import CallOp, FuncOp
from xdsl.ir import Block, Operation, SSAValue
from xdsl.traits import SymbolTable

from ..accesses import WRITES
from ..dialect import ForOp, WriteOp


def functions(module: ModuleOp) -> Iterator[FuncOp]:
    """Functions of a module; the last one is the top."""
    return (op for op in module.ops if isinstance(op, FuncOp))


def top(module: ModuleOp) -> FuncOp:
    """The function the others are called from."""
    return list(functions(module))[-1]


def root(op: Operation) -> Operation:
    """The operation of the function's own block that contains `op`."""
    current = op
    while not isinstance(parent := current.parent_op(), FuncOp):
        assert parent is not None
        current = parent
    return current


def stage_of(op: Operation) -> str:
    """Name of the stage that contains `op`."""
    outermost = root(op)
    return outermost.stage.data if isinstance(outermost, ForOp) and outermost.stage else "the top level"


def name_of(memory: SSAValue) -> str:
    """The program's name of a memory or stream."""
    return memory.name_hint or "a memory"


def set_type(function: FuncOp) -> None:
    """Makes the type of a function follow its arguments."""
    function.update_function_type()  # type: ignore[no-untyped-call]


def move(op: Operation, block: Block) -> None:
    """Moves an operation to the end of a block."""
    op.detach()  # type: ignore[no-untyped-call]
    block.add_op(op)


def is_written(memory: SSAValue) -> bool:
    """Whether a function, or one it calls, stores into a memory or stream."""
    for use in memory.uses:
        user = use.operation
        if isinstance(user, (*WRITES, WriteOp)):
            return True
        if isinstance(user, CallOp):
            callee = SymbolTable.lookup_symbol(user, user.callee)
            if isinstance(callee, FuncOp) and is_written(callee.body.block.args[use.index]):
                return True
    return False
