"""Maps - multiply-shift, thresholds, sign, clip, PReLU, one addend per channel - as fields of `hck_requantise`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from cpu_backend.ranges import I32
from ir.graph import NodeView
from ir.ops import Add, Clip, MultiplyShift, Op, OperatorError, PRelu, RPRelu, Sign, Thresholds
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
    """32-bit arithmetic where every product, sum and the shift allow it, if need be with x clipped to where results
    still change; otherwise 64-bit.

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
    lo, hi = max(op.lo, I32[0]), min(op.hi, I32[1])  # results beyond 32 bits have no type here
    fields: Fields = {"map": "HCK_MULTIPLY_SHIFT", "shift": op.shift, "lo": lo, "hi": hi}
    arrays: dict[str, Array] = {"mul": np.array(mul, np.int32)}
    found = [_changing(m, a, op.shift, (lo, hi), (x.lo, x.hi)) for m, a in zip(mul, add, strict=True)]
    bounds = [each for each in found if each]
    if not narrow and op.shift < 32 and len(bounds) == len(mul):
        least, most = np.array(bounds, np.int32).T
        arrays |= {"add": np.array(add, np.int32), "least": least.copy(), "most": most.copy()}
        return Requantisation(fields, arrays, "x clipped to where results change: 32-bit arithmetic")
    arrays["add" if narrow else "wide_add"] = np.array(add, np.int32 if narrow else np.int64)
    width = 32 if narrow else 64
    return Requantisation(fields, arrays, f"x * mul + add lies in {min(sums)}..{max(sums)}: {width}-bit arithmetic")


def _changing(mul: int, add: int, shift: int, bounds: tuple[int, int], x: tuple[int, int]) -> tuple[int, int] | None:
    """Between which values of x, within its own range, the result changes: what lies beyond has the same results as the
    ends; 0 and 0 where x makes no difference. None where these leave 32-bit arithmetic."""
    least, most = x if mul else (0, 0)
    if mul:
        up = mul if mul > 0 else -mul
        # as the product rises: the last x with the result bounds[0] or less, the first with bounds[1] or more
        last, first = (((bounds[0] + 1) << shift) - 1 - add) // up, -((add - (bounds[1] << shift)) // up)
        below, above = (last, first) if mul > 0 else (-first, -last)
        least, most = min(max(least, below), x[1]), max(min(most, above), x[0])
        most = max(most, least)
    ends = [value for v in (least, most) for value in (v * mul, v * mul + add)]
    return (least, most) if I32[0] <= min(*ends, add) and max(*ends, add) <= I32[1] else None


def thresholds(view: NodeView) -> Requantisation:
    """Falling channels compare -x with -t; thresholds beyond x's range move just beside it, where they mean the same.

    OperatorError: x leaves 31 bits and a sign.
    """
    assert isinstance(view.op, Thresholds)
    return _levels(view, view.operands[1].constant, view.op.offset, 1)


def sign(view: NodeView) -> Requantisation:
    """One threshold with the levels -1 and +1."""
    return _levels(view, view.operands[1].constant[:, None], -1, 2)


def _levels(view: NodeView, table: Array, offset: int, step: int) -> Requantisation:
    x = view.operands[0].type
    if x.lo <= I32[0] + 1 or x.hi >= I32[1] - 1:
        raise OperatorError(f"compares values in {x.lo}..{x.hi}, which leave 32 bits")
    sign = np.where(view.operands[2].constant.astype(bool), 1, -1)
    up = np.clip(table.astype(np.int64), x.lo, x.hi + 1)
    down = -np.clip(table.astype(np.int64), x.lo - 1, x.hi)
    signed = np.where(sign[:, None] > 0, up, down)
    fields: Fields = {"map": "HCK_THRESHOLDS", "levels": table.shape[1], "offset": offset, "step": step}
    arrays: dict[str, Array] = {"table": np.ascontiguousarray(signed.T).astype(np.int32)}
    if (sign < 0).any():
        arrays["sign"] = sign.astype(np.int32)
    return Requantisation(fields, arrays, f"{table.shape[1]} thresholds, {int((sign < 0).sum())} channels falling")


def clip(view: NodeView) -> Requantisation:
    """Bounds beyond x's range move to its ends, where they mean the same."""
    op, x = view.op, view.operands[0].type
    assert isinstance(op, Clip)
    lo, hi = (min(max(bound, x.lo), x.hi) for bound in op.bounds)
    lowest, highest = op.bounds
    if highest < x.lo or lowest > x.hi:  # every value is the same
        lo = hi = highest if highest < x.lo else lowest
    return Requantisation({"map": "HCK_CLIP", "lo": lo, "hi": hi})


def add(view: NodeView) -> Requantisation:
    """OperatorError: an addend leaves 32 bits."""
    y = _int32s("addends", [int(v) for v in view.operands[1].constant])
    return Requantisation({"map": "HCK_ADD"}, {"add": y})


def prelu(view: NodeView) -> Requantisation:
    assert isinstance(view.op, PRelu)
    slopes = [int(a) for a in view.operands[1].constant]
    x = view.operands[0].type
    fields, arrays = _bend([(x.lo, x.hi)] * len(slopes), slopes, view.op.shift)
    return Requantisation({"map": "HCK_PRELU", **fields}, arrays)


def rprelu(view: NodeView) -> Requantisation:
    """OperatorError: a value on the way leaves 32 bits."""
    assert isinstance(view.op, RPRelu)
    x = view.operands[0].type
    before, slopes, after = ([int(v) for v in operand.constant] for operand in view.operands[1:])
    inner = [(x.lo + b, x.hi + b) for b in before]
    fields, arrays = _bend(inner, slopes, view.op.shift)
    arrays |= {"add": _int32s("addends", before), "after": _int32s("second addends", after)}
    return Requantisation({"map": "HCK_RPRELU", **fields}, arrays)


def _bend(ranges: Sequence[tuple[int, int]], slopes: Sequence[int], shift: int) -> tuple[Fields, dict[str, Array]]:
    """``x << shift`` and slopes per channel for x in these ranges, in 32-bit arithmetic.

    A shift that moves zeros only, and slopes that no value meets, are written as 0.
    """
    highest = max(0, *(hi for _, hi in ranges))
    used = [slope if lo < 0 else 0 for slope, (lo, _) in zip(slopes, ranges, strict=True)]
    ends = [v for pair in ranges for v in pair] + [highest << shift]
    ends += [lo * slope for slope, (lo, _) in zip(used, ranges, strict=True)]
    if min(ends) < I32[0] or max(ends) > I32[1]:
        raise OperatorError(f"bends values in {min(ends)}..{max(ends)}, which leave 32 bits")
    return {"shift": shift if highest else 0}, {"mul": _int32s("slopes", used)}


def _int32s(what: str, values: Sequence[int]) -> Array:
    if min(values) < I32[0] or max(values) > I32[1]:
        raise OperatorError(f"{what} {min(values)}..{max(values)} leave 32 bits")
    return np.array(values, np.int32)


MAPS: Mapping[type[Op], Callable[[NodeView], Requantisation]] = {
    Add: add,
    Clip: clip,
    MultiplyShift: multiply_shift,
    PRelu: prelu,
    RPRelu: rprelu,
    Sign: sign,
    Thresholds: thresholds,
}


def requantisation(view: NodeView | None) -> Requantisation:
    """The map at the end of a layer; None keeps the values."""
    return MAPS[type(view.op)](view) if view else keep()


KERNEL_TYPES = {
    "uint8": "HCK_U8",
    "int8": "HCK_I8",
    "uint16": "HCK_U16",
    "int16": "HCK_I16",
    "int32": "HCK_I32",
    "float32": "HCK_F32",
    "float64": "HCK_F64",
}


def kernel_type(type_: TensorType) -> str:
    """The kernels' name of a tensor's container; OperatorError where they have none."""
    name = str(type_.dtype.container)
    if name == "uint32" and type_.hi <= I32[1]:
        name = "int32"  # the same bytes
    if name not in KERNEL_TYPES:
        raise OperatorError(f"has a tensor {type_}; the kernels hold integers of up to 32 bits and floats")
    return KERNEL_TYPES[name]
