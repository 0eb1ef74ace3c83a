"""The `stage` dialect: what a HeteroCL program needs beyond xDSL's builtin, func, memref and affine.

Values are integers of any width with a sign (`si8`, `ui4`) or `index` (loop variables). Each arithmetic operation
computes on the mathematical values of its operands and wraps the result into its own type, which follows HeteroCL's
typing rules. Loops have static bounds, names and schedule annotations; memories and streams have names; nothing else
carries state. That is enough for a C++ printer, an interpreter, and later a printer of hardware.
"""

from __future__ import annotations

from xdsl.dialects.builtin import IndexType
from xdsl.ir import Dialect

from .statements import AllocOp, CommentOp, ForOp, IfOp, ReadOp, ScalarOp, StreamOp, WriteOp
from .types import UI1, PartitionAttr, StreamType, element_of, to_dtype, to_ir
from .values import (
    BINARY,
    AddOp,
    AndOp,
    BinaryOp,
    CastOp,
    CompareOp,
    ConstantOp,
    MulOp,
    OrOp,
    SelectOp,
    ShlOp,
    ShrOp,
    SubOp,
    XorOp,
)

Stage = Dialect(
    "stage",
    [
        ConstantOp,
        *BINARY.values(),
        CompareOp,
        SelectOp,
        CastOp,
        AllocOp,
        ScalarOp,
        StreamOp,
        ReadOp,
        WriteOp,
        ForOp,
        IfOp,
        CommentOp,
    ],
    [StreamType, PartitionAttr],
)

__all__ = [
    "BINARY",
    "UI1",
    "AddOp",
    "AllocOp",
    "AndOp",
    "BinaryOp",
    "CastOp",
    "CommentOp",
    "CompareOp",
    "ConstantOp",
    "ForOp",
    "IfOp",
    "IndexType",
    "MulOp",
    "OrOp",
    "PartitionAttr",
    "ReadOp",
    "ScalarOp",
    "SelectOp",
    "ShlOp",
    "ShrOp",
    "Stage",
    "StreamOp",
    "StreamType",
    "SubOp",
    "WriteOp",
    "XorOp",
    "element_of",
    "to_dtype",
    "to_ir",
]
