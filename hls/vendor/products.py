"""Multiplications that become multipliers of a wanted kind.

A product that is written within a larger expression gets a statement of its own, for the pragma names a variable::

    const ap_int<27> total_wide = ap_int<26>(conv_w[og][r][cg][q][s]);
    const ap_int<18> total_narrow = conv_a[s];
    const ap_int<45> total_product = total_wide * total_narrow;
    #pragma HLS bind_op variable=total_product op=mul impl=dsp
    total = total + total_product;

The operands have the widths of the multiplier's ports whatever the text widened them to before, so the tool sees one
DSP's multiplication; values do not change, for the narrower widths are proved (`widths`). The form is that of
finn-hlslib's ``mac.hpp``. UG1399 warns that a bound product may no longer be merged with the addition after it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from .edits import Edits
from .errors import VendorError
from .lookup import Text
from .plan import Multiplications
from .symbols import root
from .syntax import (
    Assignment,
    Binary,
    Branch,
    Call,
    Conditional,
    Convert,
    Declaration,
    Expression,
    Function,
    Integer,
    Literal,
    Loop,
    Name,
    Statement,
    Subscript,
    Unary,
    expressions,
)
from .widths import natural

_EXACT = {"+", "-", "*", ">>"}
"""Operators of ``ap_int`` whose result's value does not depend on an operand's type; comparisons of mixed signs do."""


@dataclass(frozen=True)
class Product:
    """A ``*`` in a statement; ``around`` are the expressions it stands in, outermost first."""

    expression: Binary
    statement: Statement
    around: tuple[Expression, ...]


def products(function: Function) -> Iterator[Product]:
    """The products of a function in the order of the text, without those with a constant and those in subscripts."""
    for statement in function.walk():
        for expression in expressions(statement):
            yield from _below(expression, statement, ())


def _below(e: Expression, statement: Statement, around: tuple[Expression, ...]) -> Iterator[Product]:
    if isinstance(e, Subscript):
        return
    for operand in e.operands:
        yield from _below(operand, statement, (*around, e))
    if isinstance(e, Binary) and e.operator == "*" and not (_constant(e.left) or _constant(e.right)):
        yield Product(e, statement, around)


def _constant(e: Expression) -> bool:
    return isinstance(e, Literal) or (
        isinstance(e, Unary | Convert | Binary) and all(_constant(operand) for operand in e.operands)
    )


def _always_computed(product: Product) -> bool:
    """Whether the statement cannot be executed without computing the product."""
    path = (*product.around, product.expression)
    for outer, inner in pairwise(path):
        lazy = isinstance(outer, Conditional) or (isinstance(outer, Binary) and outer.operator in ("&&", "||"))
        if lazy and inner is not outer.operands[0]:
            return False
    return True


@dataclass
class Binder:
    """Binds the products of one function."""

    text: Text
    function: Function
    edits: Edits
    _names: set[str] = field(init=False)
    _bound: set[int] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        declared = self.text.symbols.declared[self.function.name]
        self._names = {d.name for d in self.text.unit.globals} | {f.name for f in self.text.unit.functions}
        self._names |= {variable.name for variable in declared}

    def bind(self, wish: Multiplications) -> None:
        """Bind the products that a wish means.

        Raises:
            VendorError: no such product, one that is bound already, one that is too wide, or one that cannot be moved
                into a statement of its own.
        """
        found = [p for p in products(self.function) if self._is_meant(p, wish)]
        if not found:
            of = f" of elements of {wish.memory}" if wish.memory else ""
            raise VendorError(f"function {self.function.name} has no products{of} to bind to {wish.implementation}")
        for product in found:
            if any(p.expression in product.around for p in found):
                raise self._error(product, "is an operand of another product that is to be bound")
            if product.expression.start in self._bound:
                raise self._error(product, "is planned twice")
            self._bound.add(product.expression.start)
            self._rewrite(product, wish)

    def _is_meant(self, product: Product, wish: Multiplications) -> bool:
        operands = product.expression.operands
        if wish.memory:
            return any(self.text.symbols.memory(operand) == wish.memory for operand in operands)
        return not all((t := self.text.widths.type(operand)) and t.native for operand in operands) or any(
            self.text.symbols.memory(operand) for operand in operands
        )

    def _rewrite(self, product: Product, wish: Multiplications) -> None:
        self._check(product)
        operands, kinds, names = self._ports(product, wish)
        base, lines, written = self._base(product.statement), [], []
        for operand, kind, name in zip(operands, kinds, names, strict=True):
            if wish.implementation == "fabric" and self.text.widths.type(operand) == kind:
                written.append(self._within_product(operand))
                continue
            written.append(self._fresh(f"{base}_{name}"))
            lines.append(f"const {kind} {written[-1]} = {self.text.source(operand)};")
        result, kind = self._fresh(f"{base}_product"), natural("*", *kinds)
        lines.append(f"const {kind} {result} = {' * '.join(written)};")
        latency = "" if wish.latency is None else f" latency={wish.latency}"
        lines.append(f"#pragma HLS bind_op variable={result} op=mul impl={wish.implementation}{latency}")
        self.edits.lines_before(product.statement, lines)
        self.edits.replace(product.expression, self._in_place(product, result, kind))

    def _ports(
        self, product: Product, wish: Multiplications
    ) -> tuple[tuple[Expression, Expression], tuple[Integer, Integer], tuple[str, str]]:
        """The operands in the order of the multiplier's ports, their types, and what to call them."""
        left, right = product.expression.left, product.expression.right
        a, b = self.text.widths.values(left), self.text.widths.values(right)
        if a is None or b is None:
            raise self._error(product, "has an operand that is no integer, or of unknown width")
        if wish.implementation == "fabric":
            return (left, right), (a, b), ("left", "right")
        first, second = (Integer(True, bits) for bits in wish.ports)
        names = ("wide", "narrow") if first.bits > second.bits else ("left", "right")
        if first.holds(a) and second.holds(b):
            return (left, right), (first, second), names
        if first.holds(b) and second.holds(a):
            return (right, left), (first, second), names
        size = f"{a.signed_bits} by {b.signed_bits} signed bits"
        raise self._error(product, f"has {size}, the multiplier's ports have {first.bits} by {second.bits}")

    def _check(self, product: Product) -> None:
        """That computing the operands before the statement, and always, changes nothing."""
        if isinstance(product.statement, Loop | Branch):
            raise self._error(product, "stands in a condition: store it in a variable first")
        inner = [e for operand in product.expression.operands for e in operand.walk()]
        if any(isinstance(e, Call) for e in inner):
            raise self._error(product, "has a call as an operand: store its result in a variable first")
        if not _always_computed(product) and any(isinstance(e, Subscript) for e in inner):
            raise self._error(product, "reads an array under a condition: store the element in a variable first")

    def _in_place(self, product: Product, result: str, kind: Integer) -> str:
        """What takes the product's place: its variable, converted where the type of the expression matters."""
        if not product.around or isinstance(product.around[-1], Convert):
            return result
        parent = product.around[-1]
        if isinstance(parent, Binary) and parent.operator in _EXACT:
            return result
        type_ = self.text.widths.type(product.expression)
        if type_ is None:
            raise self._error(product, "has a type that the text does not tell")
        return result if type_ == kind else f"{Integer(type_.signed, type_.bits)}({result})"

    def _within_product(self, operand: Expression) -> str:
        source = self.text.source(operand)
        return f"({source})" if isinstance(operand, Binary | Conditional) else source

    def _base(self, statement: Statement) -> str:
        """What the statement computes."""
        if isinstance(statement, Declaration):
            return statement.name
        target = root(statement.target) if isinstance(statement, Assignment) else None
        return target.text if isinstance(target, Name) else "value"

    def _fresh(self, wish: str) -> str:
        name, count = wish, 0
        while name in self._names:
            count += 1
            name = f"{wish}_{count}"
        self._names.add(name)
        return name

    def _error(self, product: Product, what: str) -> VendorError:
        line = self.text.unit.line(product.expression.start)
        return VendorError(f"line {line}: {self.text.source(product.expression)} in {self.function.name} {what}")


def bind_products(text: Text, edits: Edits, wishes: Sequence[Multiplications]) -> None:
    """All of a plan's multiplications."""
    binders: dict[str, Binder] = {}
    for wish in wishes:
        function = text.function(wish.function)
        binders.setdefault(function.name, Binder(text, function, edits)).bind(wish)
