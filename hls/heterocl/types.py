"""`Int(n)` and `UInt(n)`, and the result type of every HeteroCL operator.

The rules are those of HeteroCL v0.5 (`types/type_rules`): sums and products grow so that nothing overflows, bitwise
operators take the wider operand, shifts keep the type of their left operand, comparisons give `UInt(1)`. Python
integers are `Int(32)`. Two rules of v0.5 surprise: an unsigned difference stays unsigned, and `select` reserves the
sign bit for its *second* alternative, whichever of the two is unsigned.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .errors import APIError, DTypeError

MOST_BITS = 2047
"""Of a type in HeteroCL."""


@dataclass(frozen=True)
class DType:
    """An integer type of `bits` bits; `signed` types hold two's complement."""

    bits: int

    def __post_init__(self) -> None:
        if not isinstance(self.bits, int) or self.bits < 1:
            raise DTypeError(f"the width of an integer type is a positive int, not {self.bits!r}")
        if self.bits > MOST_BITS:
            raise DTypeError(f"HeteroCL's types have at most {MOST_BITS} bits, not {self.bits}")

    @property
    def signed(self) -> bool:
        return isinstance(self, Int)

    @property
    def lo(self) -> int:
        """Smallest value."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def hi(self) -> int:
        """Largest value."""
        return (1 << (self.bits - self.signed)) - 1

    def wrap(self, value: int) -> int:
        """`value` modulo 2^bits, as this type reads it."""
        value &= (1 << self.bits) - 1
        return value - (1 << self.bits) if self.signed and value >> (self.bits - 1) else value

    def __contains__(self, value: int) -> bool:
        return self.lo <= value <= self.hi

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.bits})"

    __str__ = __repr__


class Int(DType):
    """Signed integer of any width."""


class UInt(DType):
    """Unsigned integer of any width."""


class Index(UInt):
    """Type of a loop variable: an unsigned 32-bit operand to the rules, except between loop variables."""

    def __init__(self) -> None:
        super().__init__(32)


def integer(signed: bool, bits: int) -> DType:
    """The type with this sign and width."""
    return Int(bits) if signed else UInt(bits)


def constant_type(value: int) -> DType:
    """Type of a Python integer: `Int(32)`.

    Raises:
        APIError: a value that this type does not hold, and which would wrap silently. From 2^32 - 1 on HeteroCL's
            sources differ: `Int(64)`, or later a signed type of `value.bit_length()` bits, which makes it negative.
    """
    if value in Int(32):
        return Int(32)
    raise APIError(f"the constant {value} wraps in HeteroCL: put it into a const_tensor, or build it from shifts")


def _any_signed(a: DType, b: DType) -> bool:
    return a.signed or b.signed


def _common(a: DType, b: DType) -> DType:
    """The smallest type that holds both: a signed one needs a spare bit for an unsigned operand."""
    signed = _any_signed(a, b)
    return integer(signed, max(t.bits + (signed and not t.signed) for t in (a, b)))


def _sum(a: DType, b: DType) -> DType:
    common = _common(a, b)
    return integer(common.signed, common.bits + 1)


def _product(a: DType, b: DType) -> DType:
    return integer(_any_signed(a, b), a.bits + b.bits)


def _bitwise(a: DType, b: DType) -> DType:
    return integer(_any_signed(a, b), max(a.bits, b.bits))


def _quotient(a: DType, b: DType) -> DType:
    return integer(_any_signed(a, b), a.bits)


def _select(a: DType, b: DType) -> DType:
    return integer(_any_signed(a, b), max(a.bits, b.bits + (a.signed != b.signed)))


def _left(a: DType, b: DType) -> DType:
    return a


def _bit(a: DType, b: DType) -> DType:
    return UInt(1)


COMPARISONS = ("<", "<=", "==", "!=", ">", ">=")
_RULES: dict[str, Callable[[DType, DType], DType]] = {
    "+": _sum,
    "-": _sum,
    "*": _product,
    "&": _bitwise,
    "|": _bitwise,
    "^": _bitwise,
    "<<": _left,
    ">>": _left,
    "/": _quotient,
    "//": _quotient,
    "%": _common,
    "select": _select,
    **dict.fromkeys(COMPARISONS, _bit),
}
_INDEX_CLOSED = ("+", "-", "*", "/", "//", "%")


def result_type(op: str, lhs: DType | int, rhs: DType | int) -> DType:
    """Type of `lhs op rhs` (`select`: of the two alternatives); a Python integer stands for itself.

    Raises:
        APIError: no such operator.
    """
    if op not in _RULES:
        raise APIError(f"no operator {op!r}: one of {' '.join(_RULES)}")
    a, b = (constant_type(t) if isinstance(t, int) else t for t in (lhs, rhs))
    if isinstance(a, Index) and isinstance(b, Index) and op in _INDEX_CLOSED:
        return Index()
    return _RULES[op](a, b)


def compare_type(lhs: DType, rhs: DType) -> DType:
    """Type in which two operands are compared: it holds both, so comparisons are exact."""
    return _common(lhs, rhs)


def unary_type(op: str, operand: DType) -> DType:
    """Type of `neg`, `bit` (one bit) or `slice:<n>` (n bits) of an operand.

    Raises:
        APIError: `invert`, which v0.5 does not type, or an unknown operator.
    """
    if op == "neg":
        return operand
    if op == "bit":
        return UInt(1)
    if op.startswith("slice:"):
        return UInt(int(op.removeprefix("slice:")))
    if op == "invert":
        raise APIError("~x has no type in HeteroCL: write x ^ mask")
    raise APIError(f"no unary operator {op!r}")
