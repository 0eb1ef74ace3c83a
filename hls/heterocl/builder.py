"""Expressions become IR: each tree where the statement that first needs it stands, with v0.5's conversions.

An expression object used by several statements is computed once, at its first use, as in HeteroCL.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from xdsl.dialects.affine import ApplyOp
from xdsl.dialects.affine import LoadOp as AffineLoadOp
from xdsl.dialects.builtin import AffineMapAttr, IndexType
from xdsl.dialects.memref import LoadOp as MemrefLoadOp
from xdsl.ir import Block, Operation, SSAValue
from xdsl.ir.affine import AffineExpr, AffineMap

from . import dialect as ir
from . import expr as ex
from .errors import APIError
from .ranges import Ranges
from .tensor import Tensor
from .types import DType, Index, Int, UInt, integer


class ExpressionBuilder(ABC):
    """Emits operations into the innermost open block."""

    def __init__(self, block: Block) -> None:
        self.blocks = [block]
        self._ranges = Ranges()
        self._done: dict[int, tuple[ex.Expr, SSAValue, int]] = {}
        self._stored: dict[int, int] = {}  # id of a tensor -> statement that stored to it last
        self._statement = 0
        self._variables: dict[int, tuple[ex.LoopVar, SSAValue]] = {}

    @property
    def block(self) -> Block:
        """The innermost open block."""
        return self.blocks[-1]

    def emit(self, op: Operation) -> None:
        """Appends an operation."""
        self.block.add_op(op)

    @abstractmethod
    def require_stage(self, what: str) -> None:
        """Raises APIError unless a stage is open."""

    @abstractmethod
    def build_reduce(self, expr: ex.Reduce) -> SSAValue:
        """A sum: a register, a loop nest, and the register's last value."""

    # -- memories -----------------------------------------------------------------------------------------------

    def access(self, tensor: Tensor, indices: tuple[ex.Expr, ...]) -> tuple[SSAValue, list[SSAValue], AffineMap | None]:
        """The memory and its subscripts: an affine map of loop variables, or without a map the computed subscripts."""
        if tensor.value is None or self._block_of(tensor.value) not in self.blocks:
            raise APIError(f"{tensor.name} is used outside of the block or program it is declared in")
        forms = [ex.linear(index) for index in indices]
        for form, extent, index in zip(forms, tensor.shape, indices, strict=True):
            if form is not None and not form.terms and not 0 <= form.constant < extent:
                raise APIError(f"{tensor.name} has {extent} elements along an axis indexed with {form.constant}")
            if form is None and ex.affine_in_heterocl(index) and not isinstance(index.dtype, Index):
                raise APIError(
                    f"HeteroCL leaves out the casts in an index of {tensor.name}, which change its value: "
                    "hold the index in an hcl.scalar"
                )
            if form is None and isinstance(index.dtype, Index):
                raise APIError(
                    f"an index of {tensor.name} is no sum of loop variables times constants: split the loops, "
                    "or hold the index in an hcl.scalar of type Int"
                )
            if form is None and not index.dtype.signed:
                raise APIError(
                    f"HeteroCL sign-extends an index of type {index.dtype} into {tensor.name}: "
                    f"cast it to Int({index.dtype.bits + 1})"
                )
        if tensor.rank0:
            return tensor.value, [], AffineMap(0, 0, ())
        if all(form is not None for form in forms):
            return tensor.value, *self._map([form for form in forms if form is not None])
        subscripts = [
            self._apply(form) if form is not None else self._cast(self.value(index), Index())
            for form, index in zip(forms, indices, strict=True)
        ]
        return tensor.value, subscripts, None

    def _block_of(self, value: SSAValue) -> Block | None:
        owner = value.owner
        return owner if isinstance(owner, Block) else owner.parent_block()

    # -- linear forms -------------------------------------------------------------------------------------------

    def _map(self, forms: Sequence[ex.Linear]) -> tuple[list[SSAValue], AffineMap]:
        """Loop variables and the map from them to the values of `forms`."""
        variables = list({id(var): var for form in forms for var, _ in form.terms}.values())
        position = {id(var): i for i, var in enumerate(variables)}
        results = []
        for form in forms:
            total = AffineExpr.constant(0)
            for var, factor in form.terms:
                total = total + AffineExpr.dimension(position[id(var)]) * factor
            results.append(total + form.constant)
        return [self._variable(var) for var in variables], AffineMap(len(variables), 0, tuple(results))

    def _variable(self, var: ex.LoopVar) -> SSAValue:
        if id(var) not in self._variables:
            raise APIError(f"axis {var.name} is used outside of its loop")
        value = self._variables[id(var)][1]
        block = value.owner
        assert isinstance(block, Block)
        if block not in self.blocks:
            raise APIError(f"loop variable {var.name} is used outside of its loop")
        return value

    def _apply(self, form: ex.Linear) -> SSAValue:
        variables, affine_map = self._map([form])
        op = ApplyOp(variables, AffineMapAttr(affine_map))
        self.emit(op)
        return op.result

    # -- expressions --------------------------------------------------------------------------------------------

    def value(self, expr: ex.Expr) -> SSAValue:
        """The value of `expr`, computed now unless an enclosing block has it already."""
        if isinstance(expr, ex.LoopVar):
            return self._variable(expr)
        known = self._done.get(id(expr))
        if known is not None:
            if self._block_of(known[1]) not in self.blocks:
                raise APIError(
                    "an expression first computed inside a loop or branch is used again outside of it: "
                    "hold it in an hcl.scalar"
                )
            self._check_reads(expr, known[2])
            return known[1]
        if ex.is_index_arithmetic(expr):
            form = ex.linear(expr)
            assert form is not None
            result = self._apply(form)
            if not isinstance(expr.dtype, Index):
                result = self._cast(result, expr.dtype)
        else:
            result = _BUILDERS[type(expr)](self, expr)
        self._done[id(expr)] = (expr, result, self._statement)
        return result

    def _check_reads(self, expr: ex.Expr, since: int) -> None:
        """v0.5 reads again at every use: the same value of a scalar until it is stored to, the next one of a stream."""
        for load in ex.loads(expr):
            last = self._stored.get(id(load.tensor), 0) if load.tensor.rank0 else self._statement
            if last > since:
                raise APIError(
                    f"an expression that reads {load.tensor.name} is used again in a later statement, where HeteroCL "
                    "reads again: hold it in an hcl.scalar"
                )

    def count_statement(self, tensor: Tensor) -> None:
        """A statement stores to `tensor`."""
        self._statement += 1
        self._stored[id(tensor)] = self._statement

    def _cast(self, value: SSAValue, dtype: DType, explicit: bool = False) -> SSAValue:
        if value.type == ir.to_ir(dtype):
            return value
        op = ir.CastOp(value, dtype, explicit)
        self.emit(op)
        return op.result

    def _binary(self, op: str, lhs: SSAValue, rhs: SSAValue, dtype: DType) -> SSAValue:
        built = ir.BINARY[op](lhs, rhs, dtype)
        self.emit(built)
        return built.result

    def _const(self, value: int, dtype: DType) -> SSAValue:
        op = ir.ConstantOp(dtype.wrap(value), dtype)
        self.emit(op)
        return op.result

    def convert(self, expr: ex.Expr, dtype: DType, explicit: bool = False) -> SSAValue:
        """`expr` cast to `dtype` as v0.5 casts: a one-bit value or a left shift is extended with zeros."""
        value = self.value(expr)
        return self._cast(self._zero_extended(expr, value, dtype), dtype, explicit)

    def _zero_extended(self, expr: ex.Expr, value: SSAValue, dtype: DType) -> SSAValue:
        source = expr.dtype
        shifted = isinstance(expr, ex.Binary) and expr.op == "<<"
        if source.signed and dtype.bits > source.bits and (shifted or source.bits == 1):
            return self._cast(value, UInt(source.bits))
        return value

    def _operand(self, expr: ex.Expr, dtype: DType) -> SSAValue:
        """An operand of an operation computed in `dtype`: as it is, unless v0.5 extends it in its own way."""
        value = self.value(expr)
        extended = self._zero_extended(expr, value, dtype)
        return value if extended is value and not isinstance(value.type, IndexType) else self._cast(extended, dtype)

    def build_const(self, expr: ex.Const) -> SSAValue:
        return self._const(expr.value, expr.dtype)

    def build_load(self, expr: ex.Load) -> SSAValue:
        self.require_stage(f"the read of {expr.tensor.name}")
        memory, subscripts, affine_map = self.access(expr.tensor, expr.indices)
        load: Operation
        if affine_map is not None:
            load = AffineLoadOp(memory, subscripts, AffineMapAttr(affine_map))
        else:
            load = MemrefLoadOp.get(memory, subscripts)
        self.emit(load)
        return load.results[0]

    def build_binary(self, expr: ex.Binary) -> SSAValue:
        if expr.op in ("<<", ">>"):
            return self._shift(expr)
        dtype = _plain(expr.dtype)
        lhs, rhs = self._operand(expr.lhs, dtype), self._operand(expr.rhs, dtype)
        return self._binary(expr.op, lhs, rhs, dtype)

    def _shift(self, expr: ex.Binary) -> SSAValue:
        """v0.5 truncates the amount to the left operand's type and shifts everything out from the width on."""
        dtype = _plain(expr.dtype)
        lhs, amount = self.convert(expr.lhs, dtype), self.value(expr.rhs)
        least, most = self._ranges.of(amount)
        if least != most and not (least >= 0 and most in UInt(dtype.bits)):
            amount = self._cast(self._cast(amount, dtype), UInt(dtype.bits))
        elif least == most:
            if expr.op == ">>" and least >= dtype.bits:
                raise APIError(
                    f"a {dtype} is shifted right by {least}: HeteroCL's result is undefined from the width on; "
                    "cast it to a wider type first"
                )
            least = most = UInt(dtype.bits).wrap(least)
            if least >= dtype.bits:
                return self._const(0, dtype)
            amount = self._const(least, Int(32))
        if expr.op == "<<" and dtype == UInt(2):
            raise APIError(
                "a UInt(2) is shifted left: HeteroCL's C++ makes it 0; shift a wider word and cast the result"
            )
        if expr.op == "<<" and dtype.wrap(dtype.bits) < 0:  # v0.5 compares the amount with a width that itself wrapped
            return self._const(0, dtype)
        return self._binary(expr.op, lhs, amount, dtype)

    def build_compare(self, expr: ex.Compare) -> SSAValue:
        common = expr.operand_type
        op = ir.CompareOp(expr.op, *(self._compared(side, common) for side in (expr.lhs, expr.rhs)))
        self.emit(op)
        return op.result

    def _compared(self, expr: ex.Expr, common: DType) -> SSAValue:
        if ex.is_index_arithmetic(expr):
            form = ex.linear(expr)
            assert form is not None
            return self.value(expr) if isinstance(expr, ex.LoopVar) else self._apply(form)
        return self._operand(expr, common)

    def build_and(self, expr: ex.LogicalAnd) -> SSAValue:
        return self._binary("&", self.value(expr.lhs), self.value(expr.rhs), UInt(1))

    def build_select(self, expr: ex.Select) -> SSAValue:
        condition = self.convert(expr.condition, UInt(1))
        on_true, on_false = (self._operand(side, expr.dtype) for side in (expr.on_true, expr.on_false))
        op = ir.SelectOp(condition, on_true, on_false, _plain(expr.dtype))
        self.emit(op)
        return op.result

    def build_cast(self, expr: ex.Cast) -> SSAValue:
        return self.convert(expr.operand, expr.dtype, explicit=True)

    def build_negate(self, expr: ex.Negate) -> SSAValue:
        value = self.value(expr.operand)
        zero = self._const(0, _plain(expr.dtype))
        value = self._cast(value, _plain(expr.dtype))
        wide = integer(expr.dtype.signed, expr.dtype.bits + 1)
        return self._cast(self._binary("-", zero, value, wide), expr.dtype)

    def build_slice(self, expr: ex.BitSlice) -> SSAValue:
        value = self.convert(expr.operand, _plain(expr.operand.dtype))
        if expr.low:
            value = self._binary(">>", value, self._const(expr.low, Int(32)), ir.to_dtype(value.type))
        return self._cast(value, expr.dtype, explicit=True)

    def forget(self, expr: ex.Expr) -> None:
        """Makes the next use of `expr` compute it, and all it is made of, afresh."""
        self._done.pop(id(expr), None)
        for child in vars(expr).values():
            for part in child if isinstance(child, tuple) else (child,):
                if isinstance(part, ex.Expr):
                    self.forget(part)


def _plain(dtype: DType) -> DType:
    """A loop variable in arithmetic that is not linear is a 32-bit unsigned value, as in the typing rules."""
    return UInt(32) if isinstance(dtype, Index) else dtype


_BUILDERS: dict[type[ex.Expr], Callable[[ExpressionBuilder, Any], SSAValue]] = {
    ex.Const: ExpressionBuilder.build_const,
    ex.Load: ExpressionBuilder.build_load,
    ex.Binary: ExpressionBuilder.build_binary,
    ex.Compare: ExpressionBuilder.build_compare,
    ex.LogicalAnd: ExpressionBuilder.build_and,
    ex.Select: ExpressionBuilder.build_select,
    ex.Cast: ExpressionBuilder.build_cast,
    ex.Negate: ExpressionBuilder.build_negate,
    ex.BitSlice: ExpressionBuilder.build_slice,
    ex.Reduce: lambda builder, expr: builder.build_reduce(expr),
}
