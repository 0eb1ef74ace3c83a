"""Value ranges: the interval each IR value certainly lies in.

Printers pick the narrowest machine type that holds the interval, and leave out wraps that cannot happen. Every rule
below is the image of intervals under the operation, before the wrap into the result type.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from xdsl.dialects.affine import ApplyOp
from xdsl.dialects.affine import LoadOp as AffineLoadOp
from xdsl.dialects.memref import GlobalOp
from xdsl.dialects.memref import LoadOp as MemrefLoadOp
from xdsl.ir import Block, SSAValue
from xdsl.ir.affine import AffineMap

from . import dialect as ir
from .rom import rom_of, rom_values

Range = tuple[int, int]


def linear_form(affine_map: AffineMap, result: int = 0) -> tuple[tuple[int, ...], int]:
    """Coefficients of the dimensions, and the constant, of one result of a linear map."""
    dims = affine_map.num_dims
    expr = affine_map.results[result]
    constant = expr.eval([0] * dims, [])
    units = [[int(i == d) for i in range(dims)] for d in range(dims)]
    return tuple(expr.eval(unit, []) - constant for unit in units), constant


def affine_range(affine_map: AffineMap, result: int, variables: list[Range]) -> Range:
    """Interval of one result over the intervals of the dimensions."""
    factors, constant = linear_form(affine_map, result)
    ends = [(f * lo, f * hi) for f, (lo, hi) in zip(factors, variables, strict=True)]
    return constant + sum(map(min, ends)), constant + sum(map(max, ends))


def _bits(value: int) -> int:
    return (1 << value.bit_length()) - 1


def _corners(op: Callable[[int, int], int], a: Range, b: Range) -> Range:
    values = [op(x, y) for x in a for y in b]
    return min(values), max(values)


def _and(a: Range, b: Range) -> Range:
    if a[0] >= 0 or b[0] >= 0:
        return 0, min(r[1] for r in (a, b) if r[0] >= 0)
    return -_bits(~min(a[0], b[0])) - 1, max(a[1], b[1], 0)


def _or(a: Range, b: Range) -> Range:
    top = _bits(max(a[1], b[1], 0))
    if a[0] >= 0 and b[0] >= 0:
        return max(a[0], b[0]), top
    return -_bits(~min(a[0], b[0], -1)) - 1, top


def _xor(a: Range, b: Range) -> Range:
    top = _bits(max(abs(end) for r in (a, b) for end in r))
    return (0 if a[0] >= 0 and b[0] >= 0 else -top - 1), top


def _shr(a: Range, b: Range) -> Range:
    lo, hi = _corners(lambda x, k: x >> min(max(k, 0), 4096), a, b)
    return min(lo, 0), max(hi, 0)


def _shl(a: Range, b: Range) -> Range:
    lo, hi = _corners(lambda x, k: x << min(max(k, 0), 256), a, b)
    return min(lo, 0), max(hi, 0)


EXACT: dict[str, Callable[[Range, Range], Range]] = {
    "+": lambda a, b: (a[0] + b[0], a[1] + b[1]),
    "-": lambda a, b: (a[0] - b[1], a[1] - b[0]),
    "*": lambda a, b: _corners(lambda x, y: x * y, a, b),
    "&": _and,
    "|": _or,
    "^": _xor,
    "<<": _shl,
    ">>": _shr,
}


def fits(value: Range, into: Range) -> bool:
    """Whether an interval lies within another."""
    return into[0] <= value[0] and value[1] <= into[1]


def type_range(value: SSAValue) -> Range:
    """All values of an IR value's type."""
    dtype = ir.to_dtype(value.type)
    return dtype.lo, dtype.hi


class Ranges:
    """Intervals of the values of one module, each computed once."""

    def __init__(self) -> None:
        self._known: dict[SSAValue | GlobalOp, Range] = {}

    def of(self, value: SSAValue) -> Range:
        """Interval `value` lies in: the operation's image, or its whole type where that may wrap."""
        if value not in self._known:
            self._known[value] = self._compute(value)
        return self._known[value]

    def exact(self, op: ir.BinaryOp) -> Range:
        """Interval of a binary operation before its result is wrapped."""
        return EXACT[op.SYMBOL](self.of(op.lhs), self.of(op.rhs))

    def _compute(self, value: SSAValue) -> Range:
        owner, whole = value.owner, type_range(value)
        if isinstance(owner, Block):
            loop = owner.parent_op()
            return (loop.domain[0], loop.domain[-1]) if isinstance(loop, ir.ForOp) else whole
        rule = _RULES.get(type(owner))
        if rule is None:
            return whole
        interval = rule(self, owner)
        return interval if fits(interval, whole) or isinstance(value.type, ir.IndexType) else whole

    def load(self, op: AffineLoadOp | MemrefLoadOp) -> Range:
        """The whole type, or for a constant memory its values."""
        memory = rom_of(op.memref)
        if memory is None:
            return type_range(op.results[0])
        if memory not in self._known:
            values = rom_values(memory)
            self._known[memory] = min(values), max(values)
        return self._known[memory]

    def apply(self, op: ApplyOp) -> Range:
        """A linear form of loop variables."""
        return affine_range(op.map.data, 0, [self.of(v) for v in op.mapOperands])

    def select(self, op: ir.SelectOp) -> Range:
        """Either alternative."""
        a, b = self.of(op.on_true), self.of(op.on_false)
        return min(a[0], b[0]), max(a[1], b[1])


_RULES: dict[type, Callable[[Ranges, Any], Range]] = {
    ir.ConstantOp: lambda ranges, op: (op.value.data, op.value.data),
    **dict.fromkeys((AffineLoadOp, MemrefLoadOp), lambda ranges, op: ranges.load(op)),
    ApplyOp: Ranges.apply,
    ir.SelectOp: Ranges.select,
    ir.CastOp: lambda ranges, op: ranges.of(op.source),
    ir.CompareOp: lambda ranges, op: (0, 1),
    **dict.fromkeys(ir.BINARY.values(), Ranges.exact),
}
