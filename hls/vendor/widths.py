"""How wide expressions are: their C++ type, and the narrowest type that is proved to hold their values.

A copy into a wider variable keeps the narrow type, so that operands which v0.5 widens before a multiplication are still
known by the width they were read with. The rules are those of ``ap_int.h``: sums and products lose nothing, a shift has
the type of its left operand.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import singledispatchmethod

from .symbols import Symbols
from .syntax import Binary, Call, Conditional, Convert, Expression, Integer, Literal, Name, Subscript, Unary

_INT = Integer(True, 32, native=True)
_LONG = Integer(True, 64, native=True)
_BIT = Integer(False, 1, native=True)
_TESTS = ("||", "&&", "==", "!=", "<", ">", "<=", ">=")


def natural(operator: str, left: Integer, right: Integer) -> Integer:
    """The type of ``left operator right`` of ``ap_int``s."""
    signed = left.signed or right.signed
    if operator in ("<<", ">>", "%"):
        return Integer(left.signed, left.bits)
    if operator == "*":
        return Integer(signed, left.bits + right.bits)
    if operator == "/":
        return Integer(signed, left.bits + right.signed)
    bits = union(left, right).bits
    if operator in ("+", "-"):
        return Integer(signed or operator == "-", bits + 1)
    return Integer(signed, bits)


def union(left: Integer, right: Integer) -> Integer:
    """The narrowest type that holds the values of both."""
    signed = left.signed or right.signed
    return Integer(signed, max(t.signed_bits if signed else t.bits for t in (left, right)))


@dataclass
class Widths:
    """Both questions, for the expressions of one text."""

    symbols: Symbols
    _open: set[int] = field(default_factory=set, init=False)

    # -- the C++ type -------------------------------------------------------------------------------------------

    @singledispatchmethod
    def type(self, e: Expression) -> Integer | None:
        """The C++ type; None where it is no integer or cannot be known here."""
        variable = self.symbols.variable(e)
        return variable.type if variable else None

    @type.register
    def _(self, e: Literal) -> Integer | None:
        if e.value is None:
            return None
        return _INT if e.value < 1 << 31 else _LONG

    @type.register
    def _(self, e: Convert) -> Integer | None:
        return e.type.element

    @type.register
    def _(self, e: Call) -> Integer | None:
        return self.type(e.receiver) if e.receiver and e.function == "read" else None

    @type.register
    def _(self, e: Unary) -> Integer | None:
        operand = self.type(e.operand)
        if e.operator == "!":
            return _BIT
        if operand is None or operand.native:
            return operand and _promoted(operand, operand)
        return natural("-", operand, operand) if e.operator == "-" else operand

    @type.register
    def _(self, e: Binary) -> Integer | None:
        if e.operator in _TESTS:
            return _BIT
        left, right = self.type(e.left), self.type(e.right)
        if left is None or right is None:
            return None
        if left.native and right.native:
            return _promoted(left, left if e.operator in ("<<", ">>") else right)
        return natural(e.operator, left, right)

    @type.register
    def _(self, e: Conditional) -> Integer | None:
        on_true, on_false = self.type(e.on_true), self.type(e.on_false)
        return on_true if on_true == on_false else None

    # -- the values ---------------------------------------------------------------------------------------------

    def values(self, e: Expression) -> Integer | None:
        """The narrowest type proved to hold every value of the expression; None if nothing is known."""
        type_, found = self.type(e), self._narrow(e)
        if type_ is None or found is None:
            return found or type_
        return Integer(found.signed, found.bits) if type_.holds(found) else Integer(type_.signed, type_.bits)

    @singledispatchmethod
    def _narrow(self, e: Expression) -> Integer | None:
        return None

    @_narrow.register
    def _(self, e: Name) -> Integer | None:
        variable = self.symbols.variable(e)
        if variable is None or variable.only_value is None or id(variable) in self._open:
            return None
        self._open.add(id(variable))
        found = self.values(variable.only_value)
        self._open.discard(id(variable))
        return found

    @_narrow.register
    def _(self, e: Subscript) -> Integer | None:
        return self.type(e)

    @_narrow.register
    def _(self, e: Literal) -> Integer | None:
        return None if e.value is None else Integer(False, max(e.value.bit_length(), 1))

    @_narrow.register
    def _(self, e: Convert) -> Integer | None:
        return self.values(e.operand)

    @_narrow.register
    def _(self, e: Unary) -> Integer | None:
        operand = self.values(e.operand)
        if operand is None or e.operator == "+":
            return operand
        return natural("-", operand, operand) if e.operator == "-" else None

    @_narrow.register
    def _(self, e: Binary) -> Integer | None:
        if e.operator in _TESTS:
            return _BIT
        left, right = self.values(e.left), self.values(e.right)
        if left is None or right is None:
            return None
        if e.operator == "&":  # no more than an operand that is never negative
            unsigned = [t for t in (left, right) if not t.signed]
            return min(unsigned, key=lambda t: t.bits) if unsigned else natural("&", left, right)
        if e.operator == ">>":
            return left
        return natural(e.operator, left, right) if e.operator in ("+", "-", "*", "|", "^") else None

    @_narrow.register
    def _(self, e: Conditional) -> Integer | None:
        on_true, on_false = self.values(e.on_true), self.values(e.on_false)
        return union(on_true, on_false) if on_true and on_false else None


def _promoted(left: Integer, right: Integer) -> Integer:
    """C++'s type of an operation on native integers."""
    return max((left, right, _INT), key=lambda t: (t.bits, not t.signed))
