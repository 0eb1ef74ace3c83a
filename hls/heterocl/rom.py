"""Constant memories: `memref.global` with its values."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import (
    BytesAttr,
    DenseIntOrFPElementsAttr,
    MemRefType,
    StringAttr,
    TensorType,
    UnitAttr,
)
from xdsl.dialects.memref import GetGlobalOp, GlobalOp
from xdsl.ir import SSAValue
from xdsl.traits import SymbolTable

from .dialect import to_ir
from .errors import DTypeError
from .types import DType


def rom(name: str, dtype: DType, shape: tuple[int, ...], values: Sequence[int]) -> GlobalOp:
    """A read-only memory of `values`, row-major.

    Raises:
        DTypeError: an element wider than 64 bits, or a value its type does not hold.
    """
    if dtype.bits > 64:
        raise DTypeError(f"constant {name} is {dtype}: elements have at most 64 bits; split the word")
    for value in (min(values), max(values)):
        if value not in dtype:
            raise DTypeError(f"constant {name} is {dtype}, which does not hold {value}")
    element = to_ir(dtype)
    packed = BytesAttr(element.pack(values))  # in range and signed or not: from_list would change none, one by one
    dense = DenseIntOrFPElementsAttr(TensorType(element, shape), packed)
    return GlobalOp.get(StringAttr(name), MemRefType(element, shape), dense, constant=UnitAttr())


def rom_of(memory: SSAValue) -> GlobalOp | None:
    """The constant a memory value names, if it names one."""
    owner = memory.owner
    if not isinstance(owner, GetGlobalOp):
        return None
    found = SymbolTable.lookup_symbol(owner, owner.name_)
    return found if isinstance(found, GlobalOp) else None


def rom_values(op: GlobalOp) -> tuple[int, ...]:
    """The values of a constant memory, row-major."""
    dense = op.initial_value
    assert isinstance(dense, DenseIntOrFPElementsAttr)
    return tuple(map(int, dense.get_values()))
