"""Multiply-shift and thresholds as the fields of the kernels' `hck_requantise`."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from cpu_backend.ranges import I32
from ir.graph import NodeView
from ir.ops import MultiplyShift, OperatorError, Thresholds
from ir.types import Array, TensorType

Fields = dict[str, int | str]


@dataclass(frozen=True)
class Requantisation:
    """Scalar fields, constant arrays (by field name) and a line about the proof behind them."""

    fields: Fields
    arrays: dict[str, Array] = field(default_factory=dict)
    note: str = ""


def keep() -> Requantisation:
    return Requantisation({"map": "HCK_KEEP"})


def multiply_shift(view: NodeView) -> Requantisation:
    """32-bit arithmetic where every product, sum and the shift allow it, otherwise 64-bit.

    OperatorError: a multiplier leaves 32 bits.
    """
    op = view.op
    assert isinstance(op, MultiplyShift)
    x = view.operands[0].type
    mul = [int(m) for m in view.operands[1].constant]
    add = [int(a) + (1 << (op.shift - 1)) for a in view.operands[2].constant]
    if min(mul) < I32[0] or max(mul) > I32[1]:
        raise OperatorError(f"multipliers {min(mul)}..{max(mul)} leave 32 bits")
    ends = [v * m for m in mul for v in (x.lo, x.hi)]
    sums = [v * m + a for m, a in zip(mul, add, strict=True) for v in (x.lo, x.hi)]
    narrow = I32[0] <= min(*ends, *sums, *add) and max(*ends, *sums, *add) <= I32[1] and op.shift < 32
    fields: Fields = {"map": "HCK_MULTIPLY_SHIFT", "shift": op.shift, "lo": op.lo, "hi": op.hi}
    arrays: dict[str, Array] = {"mul": np.array(mul, np.int32)}
    arrays["add" if narrow else "wide_add"] = np.array(add, np.int32 if narrow else np.int64)
    width = 32 if narrow else 64
    return Requantisation(fields, arrays, f"x * mul + add lies in {min(sums)}..{max(sums)}: {width}-bit arithmetic")


def thresholds(view: NodeView) -> Requantisation:
    """Falling channels compare -x with -t; thresholds beyond x's range move just beside it, where they mean the same.

    OperatorError: x leaves 31 bits and a sign.
    """
    op = view.op
    assert isinstance(op, Thresholds)
    x = view.operands[0].type
    if x.lo <= I32[0] + 1 or x.hi >= I32[1] - 1:
        raise OperatorError(f"compares values in {x.lo}..{x.hi}, which leave 32 bits")
    table = view.operands[1].constant.astype(np.int64)
    sign = np.where(view.operands[2].constant.astype(bool), 1, -1)
    up = np.clip(table, x.lo, x.hi + 1)
    down = -np.clip(table, x.lo - 1, x.hi)
    signed = np.where(sign[:, None] > 0, up, down)
    fields: Fields = {"map": "HCK_THRESHOLDS", "levels": table.shape[1], "offset": op.offset}
    arrays: dict[str, Array] = {"table": np.ascontiguousarray(signed.T).astype(np.int32)}
    if (sign < 0).any():
        arrays["sign"] = sign.astype(np.int32)
    return Requantisation(fields, arrays, f"{table.shape[1]} thresholds, {int((sign < 0).sum())} channels falling")


def requantisation(view: NodeView | None) -> Requantisation:
    """The map at the end of a layer; None keeps the values."""
    if view is None:
        return keep()
    return multiply_shift(view) if isinstance(view.op, MultiplyShift) else thresholds(view)


KERNEL_TYPES = {"uint8": "HCK_U8", "int8": "HCK_I8", "uint16": "HCK_U16", "int16": "HCK_I16", "int32": "HCK_I32"}


def kernel_type(type_: TensorType) -> str:
    """The kernels' name of a tensor's container; OperatorError where they have none."""
    name = str(type_.dtype.container)
    if name == "uint32" and type_.hi <= I32[1]:
        name = "int32"  # the same bytes
    if name not in KERNEL_TYPES:
        raise OperatorError(f"has a tensor {type_}; the kernels hold integers of up to 32 bits")
    return KERNEL_TYPES[name]
