"""The stage dialect refuses what is not a legal program, whoever built it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from xdsl.context import Context
from xdsl.dialects.affine import LoadOp
from xdsl.dialects.builtin import AffineMapAttr, IntegerType, MemRefType, ModuleOp, Signedness
from xdsl.dialects.func import CallOp, FuncOp, ReturnOp
from xdsl.dialects.memref import GetGlobalOp
from xdsl.ir import Operation, SSAValue
from xdsl.ir.affine import AffineMap
from xdsl.utils.exceptions import VerifyException

from hls.heterocl import dialect as ir
from hls.heterocl.errors import StageError
from hls.heterocl.passes import CheckBounds, CheckModule
from hls.heterocl.rom import rom, rom_values
from hls.heterocl.types import Int, UInt

SI8, UI4 = IntegerType(8, Signedness.SIGNED), IntegerType(4, Signedness.UNSIGNED)


def _function(*ops: Operation, name: str = "top", arguments: tuple[ir.StreamType, ...] = ()) -> FuncOp:
    function = FuncOp(name, (arguments, ()))
    function.body.block.add_ops([*ops, ReturnOp()])
    return function


def _end(stream: SSAValue, write: bool) -> list[Operation]:
    if not write:
        return [ir.ReadOp(stream)]
    constant = ir.ConstantOp(1, Int(8))
    return [constant, ir.WriteOp(stream, constant.result)]


def _ends(writers: int, readers: int) -> ModuleOp:
    """A stream handed to so many functions that write it, and that read it."""
    module = ModuleOp([])
    stream = ir.StreamOp("link", SI8, 2, 1)
    calls: list[Operation] = []
    for k in range(writers + readers):
        callee = FuncOp(f"stage{k}", ((stream.stream.type,), ()))
        callee.body.block.add_ops([*_end(callee.body.block.args[0], k < writers), ReturnOp()])
        module.body.block.add_op(callee)
        calls.append(CallOp(f"stage{k}", [stream.stream], []))
    module.body.block.add_op(_function(stream, *calls))
    module.verify()
    return module


def test_one_writer_and_one_reader() -> None:
    CheckModule().apply(Context(), _ends(1, 1))
    with pytest.raises(StageError, match=r"stream link has 2 readers \(stage1, stage2\); it needs exactly one"):
        CheckModule().apply(Context(), _ends(1, 2))
    with pytest.raises(StageError, match="2 writers"):
        CheckModule().apply(Context(), _ends(2, 1))
    with pytest.raises(StageError, match="0 readers"):
        CheckModule().apply(Context(), _ends(1, 0))


def test_undeclared_memory() -> None:
    module = ModuleOp([_function(GetGlobalOp("weights", MemRefType(SI8, (4,))))])
    with pytest.raises(StageError, match="weights is not declared"):
        CheckModule().apply(Context(), module)
    declared = ModuleOp([rom("weights", Int(8), (4,), [1, 2, 3, -128]), module.body.block.first_op.clone()])  # type: ignore[union-attr]
    CheckModule().apply(Context(), declared)


def test_constant_of_another_type() -> None:
    weights = rom("weights", Int(8), (2, 2), [1, 2, 3, -128])
    assert rom_values(weights) == (1, 2, 3, -128)
    module = ModuleOp([weights, _function(GetGlobalOp("weights", MemRefType(SI8, (4,))))])
    with pytest.raises(StageError, match="weights is memref<2x2xsi8>, not memref<4xsi8>"):
        CheckModule().apply(Context(), module)


def _load(subscripts: AffineMap, extent: int = 4) -> ModuleOp:
    alloc, loop = ir.AllocOp("M", Int(8), (extent,)), ir.ForOp("i", 0, 4, stage="t")
    loop.body.block.add_op(LoadOp(alloc.memory, [loop.variable] * subscripts.num_dims, AffineMapAttr(subscripts), SI8))
    return ModuleOp([_function(alloc, loop)])


def test_rank_and_bounds() -> None:
    with pytest.raises(StageError, match="M has 1 dimensions and is accessed with 2 subscripts"):
        CheckModule().apply(Context(), _load(AffineMap.identity(2)))
    with pytest.raises(StageError, match="stage t reads M at index 4"):
        CheckBounds().apply(Context(), _load(AffineMap.from_callable(lambda i: (i + 1,))))
    CheckBounds().apply(Context(), _load(AffineMap.identity(1)))


def _value(bits: int = 8, signed: bool = True) -> SSAValue:
    return ir.ConstantOp(0, Int(bits) if signed else UInt(bits)).result


WRONG: dict[str, tuple[Callable[[], Operation], str]] = {
    "sum of the wrong type": (
        lambda: ir.AddOp(_value(), _value(), Int(12)),
        r"Int\(8\) \+ Int\(8\) is Int\(9\), not Int\(12\)",
    ),
    "shift of another type": (lambda: ir.ShlOp(_value(), _value(4), Int(4)), "<<"),
    "constant too large": (lambda: _constant(200), "200 does not fit si8"),
    "empty loop": (lambda: ir.ForOp("i", 4, 4), "empty"),
    "loop downwards": (lambda: ir.ForOp("i", 0, 4, -1), "empty or does not count upwards"),
    "stream without a place": (lambda: ir.StreamOp("s", SI8, 0, 1), "the least is 1"),
    "write of another type": (lambda: ir.WriteOp(ir.StreamOp("s", SI8, 1, 1).stream, _value(4)), "a si4 is written"),
    "memory without elements": (lambda: ir.AllocOp("M", Int(8), (2, 0)), "empty shape"),
    "condition that is no bit": (lambda: ir.IfOp(_value()), "ui1"),
    "signless type": (lambda: ir.AddOp(_signless(), _signless(), Int(9)), "not a signed or unsigned"),
}


def _constant(value: int) -> Operation:
    op = ir.ConstantOp(0, Int(8))
    op.value = type(op.value)(value)
    return op


def _signless() -> SSAValue:
    return FuncOp("f", ((IntegerType(8),), ())).body.block.args[0]


@pytest.mark.parametrize("name", WRONG)
def test_verifiers(name: str) -> None:
    make, message = WRONG[name]
    with pytest.raises(VerifyException, match=message):
        make().verify()
