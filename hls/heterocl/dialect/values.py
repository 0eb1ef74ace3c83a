"""Operations with a value: constants, arithmetic, comparison, selection, conversion."""

from __future__ import annotations

from typing import ClassVar

from xdsl.dialects.builtin import IndexType, IntAttr, IntegerType, StringAttr, UnitAttr
from xdsl.ir import SSAValue
from xdsl.irdl import (
    IRDLOperation,
    base,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    prop_def,
    result_def,
    traits_def,
)
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from ..types import DType, result_type
from .types import UI1, to_dtype, to_ir


@irdl_op_definition
class ConstantOp(IRDLOperation):
    """An integer constant."""

    name = "stage.constant"
    value = prop_def(IntAttr)
    result = result_def(IntegerType)
    traits = traits_def(Pure())

    def __init__(self, value: int, dtype: DType) -> None:
        super().__init__(properties={"value": IntAttr(value)}, result_types=[to_ir(dtype)])

    def verify_(self) -> None:
        if self.value.data not in to_dtype(self.result.type):
            raise VerifyException(f"{self.value.data} does not fit {self.result.type}")


class BinaryOp(IRDLOperation):
    """`result = wrap(lhs symbol rhs)` into HeteroCL's result type, or into the type an operand already has."""

    SYMBOL: ClassVar[str]
    lhs = operand_def(IntegerType)
    rhs = operand_def(IntegerType | IndexType)
    result = result_def(IntegerType)
    traits = traits_def(Pure())

    def __init__(self, lhs: SSAValue, rhs: SSAValue, dtype: DType) -> None:
        super().__init__(operands=[lhs, rhs], result_types=[to_ir(dtype)])

    def verify_(self) -> None:
        lhs, rhs, result = (to_dtype(v.type) for v in (self.lhs, self.rhs, self.result))
        expected = result_type(self.SYMBOL, lhs, rhs)
        if result not in (expected, lhs, rhs) or (self.SYMBOL in ("<<", ">>") and result != lhs):
            raise VerifyException(f"{lhs} {self.SYMBOL} {rhs} is {expected}, not {result}")


@irdl_op_definition
class AddOp(BinaryOp):
    name = "stage.add"
    SYMBOL: ClassVar[str] = "+"


@irdl_op_definition
class SubOp(BinaryOp):
    name = "stage.sub"
    SYMBOL: ClassVar[str] = "-"


@irdl_op_definition
class MulOp(BinaryOp):
    name = "stage.mul"
    SYMBOL: ClassVar[str] = "*"


@irdl_op_definition
class AndOp(BinaryOp):
    name = "stage.and"
    SYMBOL: ClassVar[str] = "&"


@irdl_op_definition
class OrOp(BinaryOp):
    name = "stage.or"
    SYMBOL: ClassVar[str] = "|"


@irdl_op_definition
class XorOp(BinaryOp):
    name = "stage.xor"
    SYMBOL: ClassVar[str] = "^"


@irdl_op_definition
class ShlOp(BinaryOp):
    """Left shift; an amount of the width or more gives 0."""

    name = "stage.shl"
    SYMBOL: ClassVar[str] = "<<"


@irdl_op_definition
class ShrOp(BinaryOp):
    """Right shift, arithmetic on signed types; an amount of the width or more gives 0."""

    name = "stage.shr"
    SYMBOL: ClassVar[str] = ">>"


BINARY: dict[str, type[BinaryOp]] = {op.SYMBOL: op for op in (AddOp, SubOp, MulOp, AndOp, OrOp, XorOp, ShlOp, ShrOp)}


@irdl_op_definition
class CompareOp(IRDLOperation):
    """Comparison of the mathematical values: exact whatever the types."""

    name = "stage.compare"
    predicate = prop_def(StringAttr)
    lhs = operand_def(IntegerType | IndexType)
    rhs = operand_def(IntegerType | IndexType)
    result = result_def(UI1)
    traits = traits_def(Pure())

    def __init__(self, predicate: str, lhs: SSAValue, rhs: SSAValue) -> None:
        super().__init__(operands=[lhs, rhs], properties={"predicate": StringAttr(predicate)}, result_types=[UI1])


@irdl_op_definition
class SelectOp(IRDLOperation):
    """`condition ? on_true : on_false`, wrapped into the result type. Both alternatives are computed."""

    name = "stage.select"
    condition = operand_def(UI1)
    on_true = operand_def(IntegerType | IndexType)
    on_false = operand_def(IntegerType | IndexType)
    result = result_def(IntegerType)
    traits = traits_def(Pure())

    def __init__(self, condition: SSAValue, on_true: SSAValue, on_false: SSAValue, dtype: DType) -> None:
        super().__init__(operands=[condition, on_true, on_false], result_types=[to_ir(dtype)])


@irdl_op_definition
class CastOp(IRDLOperation):
    """The operand wrapped into the result type; `explicit` where the program says so rather than a store."""

    name = "stage.cast"
    source = operand_def(IntegerType | IndexType)
    explicit = opt_prop_def(UnitAttr)
    result = result_def(base(IntegerType) | base(IndexType))
    traits = traits_def(Pure())

    def __init__(self, source: SSAValue, dtype: DType, explicit: bool = False) -> None:
        super().__init__(
            operands=[source],
            properties={"explicit": UnitAttr() if explicit else None},
            result_types=[to_ir(dtype)],
        )
