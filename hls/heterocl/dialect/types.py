"""Types of the `stage` dialect: signed and unsigned integers of any width, `index`, streams, memory partitions."""

from __future__ import annotations

from xdsl.dialects.builtin import IndexType, IntAttr, IntegerType, MemRefType, Signedness, StringAttr
from xdsl.ir import Attribute, ParametrizedAttribute, SSAValue, TypeAttribute
from xdsl.irdl import irdl_attr_definition
from xdsl.utils.exceptions import VerifyException

from ..types import DType, Index, integer

UI1 = IntegerType(1, Signedness.UNSIGNED)


def to_ir(dtype: DType) -> IntegerType | IndexType:
    """IR type of a HeteroCL type."""
    if isinstance(dtype, Index):
        return IndexType()
    return IntegerType(dtype.bits, Signedness.SIGNED if dtype.signed else Signedness.UNSIGNED)


def to_dtype(attr: Attribute) -> DType:
    """HeteroCL type of an IR scalar type.

    Raises:
        VerifyException: not an integer with a sign, nor `index`.
    """
    if isinstance(attr, IndexType):
        return Index()
    if isinstance(attr, IntegerType) and attr.signedness.data != Signedness.SIGNLESS:
        return integer(attr.signedness.data == Signedness.SIGNED, attr.width.data)
    raise VerifyException(f"{attr} is not a signed or unsigned integer type")


@irdl_attr_definition
class StreamType(ParametrizedAttribute, TypeAttribute):
    """A first-in first-out channel with one writer and one reader."""

    name = "stage.stream"
    element_type: IntegerType


@irdl_attr_definition
class PartitionAttr(ParametrizedAttribute):
    """Split dimension `dim` (1-based, 0 = all) of a memory into banks: complete, block or cyclic by `factor`."""

    name = "stage.partition"
    kind: StringAttr
    dim: IntAttr
    factor: IntAttr


def element_of(memory: SSAValue) -> IntegerType:
    """Element type of a memory or stream."""
    assert isinstance(memory.type, MemRefType | StreamType)
    element = memory.type.element_type
    assert isinstance(element, IntegerType)
    return element
