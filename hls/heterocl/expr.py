"""Expressions of the traced program: small trees with HeteroCL's types, built by Python's own operators.

A tree is turned into IR when the statement that first uses it is reached (`trace.py`), as in HeteroCL.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .errors import APIError, DTypeError
from .types import DType, Index, Int, UInt, compare_type, constant_type, result_type, unary_type

if TYPE_CHECKING:
    from .tensor import Tensor

Value = "Expr | int"


class Expr:
    """Base of expressions; `dtype` is the HeteroCL type."""

    dtype: DType

    def __add__(self, other: Any) -> Expr:
        return binary("+", self, other)

    def __radd__(self, other: Any) -> Expr:
        return binary("+", other, self)

    def __sub__(self, other: Any) -> Expr:
        return binary("-", self, other)

    def __rsub__(self, other: Any) -> Expr:
        return binary("-", other, self)

    def __mul__(self, other: Any) -> Expr:
        return binary("*", self, other)

    def __rmul__(self, other: Any) -> Expr:
        return binary("*", other, self)

    def __and__(self, other: Any) -> Expr:
        return binary("&", self, other)

    def __rand__(self, other: Any) -> Expr:
        return binary("&", other, self)

    def __or__(self, other: Any) -> Expr:
        return binary("|", self, other)

    def __ror__(self, other: Any) -> Expr:
        return binary("|", other, self)

    def __xor__(self, other: Any) -> Expr:
        return binary("^", self, other)

    def __rxor__(self, other: Any) -> Expr:
        return binary("^", other, self)

    def __lshift__(self, other: Any) -> Expr:
        return binary("<<", self, other)

    def __rlshift__(self, other: Any) -> Expr:
        return binary("<<", other, self)

    def __rshift__(self, other: Any) -> Expr:
        return binary(">>", self, other)

    def __rrshift__(self, other: Any) -> Expr:
        return binary(">>", other, self)

    def __lt__(self, other: Any) -> Expr:
        return compare("<", self, other)

    def __le__(self, other: Any) -> Expr:
        return compare("<=", self, other)

    def __gt__(self, other: Any) -> Expr:
        return compare(">", self, other)

    def __ge__(self, other: Any) -> Expr:
        return compare(">=", self, other)

    def __eq__(self, other: object) -> Expr:  # type: ignore[override]
        return compare("==", self, other)

    def __ne__(self, other: object) -> Expr:  # type: ignore[override]
        return compare("!=", self, other)

    __hash__ = object.__hash__

    def __neg__(self) -> Expr:
        return Negate(self)

    def __truediv__(self, other: Any) -> Expr:
        return _no_division("/")

    __rtruediv__ = __truediv__

    def __floordiv__(self, other: Any) -> Expr:
        return _no_division("//")

    __rfloordiv__ = __floordiv__

    def __mod__(self, other: Any) -> Expr:
        return _no_division("%")

    __rmod__ = __mod__

    def __invert__(self) -> Expr:
        unary_type("invert", self.dtype)
        raise AssertionError("unreachable")

    def __getitem__(self, bits: Any) -> Expr:
        if not isinstance(bits, slice):
            return BitSlice(self, _position(bits), _position(bits) + 1)
        if bits.step is not None:
            raise APIError("a bit slice has no step")
        return BitSlice(self, _position(bits.start), _position(bits.stop))

    def __setitem__(self, bits: Any, value: Any) -> None:
        raise APIError("setting bits gives C++ that does not compile in HeteroCL: clear with & and set with | and <<")

    def __bool__(self) -> bool:
        raise APIError("the value of an expression is not known while tracing: use hcl.if_, hcl.select and hcl.and_")


def _no_division(op: str) -> Expr:
    raise APIError(
        f"{op!r} aborts in HeteroCL on an index and costs a divider elsewhere: "
        "split the loop into two axes, or multiply and shift"
    )


def _position(bit: Any) -> int:
    if not isinstance(bit, int) or bit < 0:
        raise APIError(f"bit positions are Python integers from 0, not {bit!r}: shift and mask instead")
    return bit


@dataclass(eq=False)
class Const(Expr):
    """A Python integer, of the type v0.5 gives it unless stated."""

    value: int
    dtype: DType


@dataclass(eq=False)
class LoopVar(Expr):
    """The variable of a loop or an axis of a compute, mutate or reduction."""

    name: str
    domain: range
    counted: bool = False
    """Whether a `for_` made it, rather than an axis."""

    def __post_init__(self) -> None:
        self.dtype = Index()


@dataclass(eq=False)
class Load(Expr):
    """One element of a tensor."""

    tensor: Tensor
    indices: tuple[Expr, ...]

    def __post_init__(self) -> None:
        self.dtype = self.tensor.dtype


@dataclass(eq=False)
class Binary(Expr):
    op: str
    lhs: Expr
    rhs: Expr

    def __post_init__(self) -> None:
        self.dtype = result_type(self.op, self.lhs.dtype, self.rhs.dtype)


@dataclass(eq=False)
class Compare(Expr):
    op: str
    lhs: Expr
    rhs: Expr

    def __post_init__(self) -> None:
        self.dtype = result_type(self.op, self.lhs.dtype, self.rhs.dtype)
        self.operand_type = compare_type(self.lhs.dtype, self.rhs.dtype)


@dataclass(eq=False)
class LogicalAnd(Expr):
    lhs: Expr
    rhs: Expr

    def __post_init__(self) -> None:
        self.dtype = UInt(1)
        for side in (self.lhs, self.rhs):
            if side.dtype != UInt(1):
                raise APIError(f"and_ takes comparisons, not a value of type {side.dtype}: compare it with 0")


@dataclass(eq=False)
class Select(Expr):
    condition: Expr
    on_true: Expr
    on_false: Expr

    def __post_init__(self) -> None:
        self.dtype = result_type("select", self.on_true.dtype, self.on_false.dtype)


@dataclass(eq=False)
class Cast(Expr):
    dtype: DType
    operand: Expr

    def __post_init__(self) -> None:
        if isinstance(self.operand, BitSlice) and not self.operand.operand.dtype.signed:
            raise APIError(
                "HeteroCL's C++ sign-extends the cast of a bit slice of an unsigned value: "
                "shift and mask, with one spare bit"
            )


@dataclass(eq=False)
class Negate(Expr):
    operand: Expr

    def __post_init__(self) -> None:
        self.dtype = unary_type("neg", self.operand.dtype)


@dataclass(eq=False)
class BitSlice(Expr):
    """Bits `low` to `high - 1`, unsigned."""

    operand: Expr
    low: int
    high: int

    def __post_init__(self) -> None:
        if self.low >= self.high:
            raise APIError(f"bit slice [{self.low}:{self.high}] is empty: the lower position comes first")
        if self.high > self.operand.dtype.bits:
            raise APIError(f"bit slice [{self.low}:{self.high}] leaves a value of type {self.operand.dtype}")
        width = self.high - self.low
        self.dtype = unary_type("bit" if width == 1 else f"slice:{width}", self.operand.dtype)


@dataclass(eq=False)
class Reduce(Expr):
    """The sum of `term` over `axes`, accumulated in a scalar of type `dtype`."""

    term: Expr
    axes: tuple[LoopVar, ...]
    name: str
    dtype: DType


def as_expr(value: Any) -> Expr:
    """An expression from an expression, a scalar tensor's element or a Python integer.

    Raises:
        DTypeError: anything else, numpy numbers and floats among it.
    """
    if isinstance(value, Expr):
        return value
    if isinstance(value, bool) or not isinstance(value, int):
        hint = ": use .v for the value of a scalar" if hasattr(value, "v") else ""
        raise DTypeError(f"{type(value).__name__} is neither an expression nor a Python int{hint}")
    return Const(value, constant_type(value))


def binary(op: str, lhs: Any, rhs: Any) -> Expr:
    """`lhs op rhs`."""
    return Binary(op, as_expr(lhs), as_expr(rhs))


def compare(op: str, lhs: Any, rhs: Any) -> Expr:
    """The comparison `lhs op rhs`."""
    return Compare(op, as_expr(lhs), as_expr(rhs))


@dataclass(frozen=True)
class Linear:
    """`sum(coefficient * loop variable) + constant`; the variables by identity, in order of appearance."""

    terms: tuple[tuple[LoopVar, int], ...]
    constant: int

    def __add__(self, other: Linear) -> Linear:
        sums = {id(var): [var, factor] for var, factor in self.terms}
        for var, factor in other.terms:
            sums.setdefault(id(var), [var, 0])[1] += factor  # type: ignore[operator]
        terms = tuple((var, factor) for var, factor in sums.values() if factor)
        return Linear(terms, self.constant + other.constant)  # type: ignore[arg-type]

    def scaled(self, factor: int) -> Linear:
        terms = tuple((var, f * factor) for var, f in self.terms) if factor else ()
        return Linear(terms, self.constant * factor)

    @property
    def interval(self) -> tuple[int, int]:
        """Smallest and largest value over the variables' domains."""
        lo = hi = self.constant
        for var, factor in self.terms:
            ends = (factor * var.domain[0], factor * var.domain[-1])
            lo, hi = lo + min(ends), hi + max(ends)
        return lo, hi


def linear(expr: Expr) -> Linear | None:
    """`expr` as a linear form in loop variables, or None where it is not one.

    A cast that cannot change the value is looked through; v0.5 looks through every cast in an index, which would let a
    wrapping one disappear, so such an index is not linear here.
    """
    match expr:
        case LoopVar():
            return Linear(((expr, 1),), 0)
        case Const():
            return Linear((), expr.value)
        case Cast():
            inner = linear(expr.operand)
            return inner if inner and all(end in expr.dtype for end in inner.interval) else None
        case Negate():
            inner = linear(expr.operand)
            return inner.scaled(-1) if inner else None
        case Binary():
            lhs, rhs = linear(expr.lhs), linear(expr.rhs)
            if lhs is None or rhs is None:
                return None
            if expr.op == "+":
                return lhs + rhs
            if expr.op == "-":
                return lhs + rhs.scaled(-1)
            if expr.op == "*" and not (lhs.terms and rhs.terms):
                return lhs.scaled(rhs.constant) if lhs.terms else rhs.scaled(lhs.constant)
    return None


def affine_in_heterocl(expr: Expr) -> bool:
    """Whether v0.5 takes an index for an affine one: it looks at operators and leaves, and through every cast."""
    match expr:
        case LoopVar() | Const():
            return True
        case Cast():
            return affine_in_heterocl(expr.operand)
        case Binary():
            return expr.op in ("+", "-", "*") and affine_in_heterocl(expr.lhs) and affine_in_heterocl(expr.rhs)
    return False


def loads(expr: Expr) -> Iterator[Load]:
    """All reads in an expression."""
    if isinstance(expr, Load):
        yield expr
    for child in vars(expr).values():
        for part in child if isinstance(child, tuple) else (child,):
            if isinstance(part, Expr):
                yield from loads(part)


def is_index_arithmetic(expr: Expr) -> bool:
    """A linear form whose HeteroCL value is the exact one: it is about loop variables and stays within 32 bits."""
    form = linear(expr)
    if form is None or not (form.terms or isinstance(expr.dtype, Index)):
        return False
    return all(end in Int(32) for end in form.interval)
