"""Fragments of C++ expressions, and where they need parentheses."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.ir.affine import AffineMap

from ..ranges import linear_form

PRIMARY, UNARY, PRODUCT, SUM, SHIFT, RELATION, EQUALITY, AND, XOR, OR, LOGICAL_AND, TERNARY = range(12)
PRECEDENCE = {
    "*": PRODUCT,
    "+": SUM,
    "-": SUM,
    "<<": SHIFT,
    ">>": SHIFT,
    "<": RELATION,
    "<=": RELATION,
    ">": RELATION,
    ">=": RELATION,
    "==": EQUALITY,
    "!=": EQUALITY,
    "&": AND,
    "^": XOR,
    "|": OR,
    "&&": LOGICAL_AND,
}
_BREAKS = re.compile(r"[()\[\]{}]| (?:\||&&|\+|\^|\?|:) ")
"""Brackets, and operators with blanks around them, before which a long statement is broken."""
_CHAINS = {"+": ("+", "-"), "-": ("+", "-"), "*": ("*",), "&": ("&",), "|": ("|",), "^": ("^",), "&&": ("&&",)}


@dataclass(frozen=True)
class Code:
    """An expression: its text, the outermost operator, and the C++ type it has, as the target understands types."""

    text: str
    kind: str
    level: int = PRIMARY
    op: str = ""

    def in_(self, op: str, right: bool = False) -> str:
        """Text as an operand of `op`: bare where both the standard and a reader agree on the grouping."""
        if self.level <= UNARY or (not right and self.op in _CHAINS.get(op, ())):
            return self.text
        arithmetic = op in ("+", "-") and self.level == PRODUCT
        comparison = PRECEDENCE.get(op) in (RELATION, EQUALITY) and self.level in (PRODUCT, SUM)
        conjunct = op == "&&" and self.level in (RELATION, EQUALITY)
        return self.text if arithmetic or comparison or conjunct else f"({self.text})"


def infix(op: str, lhs: Code, rhs: Code, kind: str) -> Code:
    """`lhs op rhs` of C++ type `kind`."""
    return Code(f"{lhs.in_(op)} {op} {rhs.in_(op, right=True)}", kind, PRECEDENCE[op], op)


def ternary(condition: Code, on_true: Code, on_false: Code, kind: str) -> Code:
    """`condition ? on_true : on_false` of C++ type `kind`."""
    parts = [c.text if c.level < TERNARY else f"({c.text})" for c in (condition, on_true, on_false)]
    return Code(f"{parts[0]} ? {parts[1]} : {parts[2]}", kind, TERNARY)


def call(function: str, argument: Code, kind: str) -> Code:
    """`function(argument)` of C++ type `kind`: also a conversion."""
    return Code(f"{function}({argument.text})", kind)


def literal(value: int, kind: str) -> Code:
    """An integer literal with the suffix it needs."""
    if value == -(1 << 63):
        return Code("(-0x7fffffffffffffffLL - 1)", kind)
    suffix = "" if -(1 << 31) < value < (1 << 31) else "LL" if value < (1 << 63) else "ULL"
    return Code(f"{value}{suffix}", kind, PRIMARY if value >= 0 else UNARY)


def literals(values: Sequence[int]) -> list[str]:
    """The texts of many literals."""
    if values and min(values) > -(1 << 31) and max(values) < 1 << 31:
        return list(map(str, values))
    return [literal(value, "").text for value in values]


def linear(affine_map: AffineMap, result: int, names: list[str], kind: str) -> Code:
    """One result of a linear map over named loop variables: `2 * y + r - 1`."""
    factors, constant = linear_form(affine_map, result)
    terms = [(f, name) for f, name in zip(factors, names, strict=True) if f]
    text = ""
    for factor, name in terms:
        magnitude = name if abs(factor) == 1 else f"{abs(factor)} * {name}"
        sign = "-" if factor < 0 else "+"
        text = f"{text} {sign} {magnitude}" if text else f"{'-' if factor < 0 else ''}{magnitude}"
    if not terms:
        return literal(constant, kind)
    if constant:
        text += f" {'-' if constant < 0 else '+'} {abs(constant)}"
    if len(terms) == 1 and not constant:
        factor = terms[0][0]
        return Code(text, kind, PRIMARY if factor == 1 else UNARY if factor == -1 else PRODUCT, "*" * (factor != 1))
    return Code(text, kind, SUM, "+")


def folded(text: str, width: int) -> list[str]:
    """A statement as lines of at most about `width` characters, broken before its outermost operators."""
    if len(text) <= width or text.startswith(("//", "#")):
        return [text]
    cuts: dict[int, list[int]] = {}
    depth = 0
    for found in _BREAKS.finditer(text):
        depth += (found[0] in "([{") - (found[0] in ")]}")
        if len(found[0]) > 1:
            cuts.setdefault(depth, []).append(found.start())
    if not cuts:
        return [text]
    lines, start = [], 0
    places = cuts[min(cuts)]
    for place, following in zip(places, [*places[1:], len(text)], strict=True):
        if following - start > width and place > start:
            lines.append(text[start:place])
            start = place + 1
    return [lines[0], *(f"    {line}" for line in [*lines[1:], text[start:]])] if lines else [text]
