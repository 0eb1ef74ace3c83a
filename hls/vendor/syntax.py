"""The C++ subset that HeteroCL's printers emit, as trees whose nodes know where they stand in the text.

``start`` and ``end`` are offsets into the text, so that an edit replaces exactly what a node covers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Integer:
    """An integer type. ``native`` ones (int, int64_t, bool) compute modulo their width, ``ap_int`` exactly."""

    signed: bool
    bits: int
    native: bool = False

    def holds(self, other: Integer) -> bool:
        """Whether every value of ``other`` is one of this type."""
        return self.bits >= other.bits + (self.signed and not other.signed) and (self.signed or not other.signed)

    @property
    def signed_bits(self) -> int:
        """Bits of the values in two's complement."""
        return self.bits + (not self.signed)

    def __str__(self) -> str:
        return f"ap_{'int' if self.signed else 'uint'}<{self.bits}>"


@dataclass(frozen=True)
class Type:
    """A type as it is written. ``element`` is None where it is no integer; a stream's is what it carries."""

    start: int
    end: int
    element: Integer | None
    stream: bool = False


@dataclass(frozen=True)
class Node:
    start: int
    end: int


@dataclass(frozen=True)
class Expression(Node):
    @property
    def operands(self) -> tuple[Expression, ...]:
        return ()

    def walk(self) -> Iterator[Expression]:
        """Itself and everything below it."""
        yield self
        for operand in self.operands:
            yield from operand.walk()


@dataclass(frozen=True)
class Name(Expression):
    text: str


@dataclass(frozen=True)
class Literal(Expression):
    """A number or a string; ``value`` is None where it is no integer."""

    value: int | None


@dataclass(frozen=True)
class Subscript(Expression):
    base: Expression
    index: Expression

    @property
    def operands(self) -> tuple[Expression, ...]:
        return (self.base, self.index)


@dataclass(frozen=True)
class Call(Expression):
    """``function(...)``, or ``receiver.function(...)``."""

    function: str
    receiver: Expression | None
    arguments: tuple[Expression, ...]

    @property
    def operands(self) -> tuple[Expression, ...]:
        return (*([self.receiver] if self.receiver else []), *self.arguments)


@dataclass(frozen=True)
class Convert(Expression):
    """``ap_int<4>(x)`` or ``(ap_int<4>)x``."""

    type: Type
    operand: Expression

    @property
    def operands(self) -> tuple[Expression, ...]:
        return (self.operand,)


@dataclass(frozen=True)
class Unary(Expression):
    operator: str
    operand: Expression

    @property
    def operands(self) -> tuple[Expression, ...]:
        return (self.operand,)


@dataclass(frozen=True)
class Binary(Expression):
    operator: str
    left: Expression
    right: Expression

    @property
    def operands(self) -> tuple[Expression, ...]:
        return (self.left, self.right)


@dataclass(frozen=True)
class Conditional(Expression):
    condition: Expression
    on_true: Expression
    on_false: Expression

    @property
    def operands(self) -> tuple[Expression, ...]:
        return (self.condition, self.on_true, self.on_false)


@dataclass(frozen=True)
class Statement(Node):
    pass


@dataclass(frozen=True)
class Declaration(Statement):
    """A variable, an array, a stream or a parameter. ``values`` spans a braced initialiser, which is skipped."""

    type: Type
    name: str
    shape: tuple[int, ...]
    constant: bool
    initial: Expression | None
    values: tuple[int, int] | None


@dataclass(frozen=True)
class Assignment(Statement):
    target: Expression
    operator: str
    value: Expression


@dataclass(frozen=True)
class Evaluate(Statement):
    """An expression for its effect: a call, ``stream.write(x);``."""

    expression: Expression


@dataclass(frozen=True)
class Pragma(Statement):
    """``#pragma HLS directive key=value word``; ``directive`` is empty for any other line that starts with ``#``."""

    directive: str
    options: Mapping[str, str]


@dataclass(frozen=True)
class Block(Node):
    """From ``{`` to ``}``."""

    statements: tuple[Statement, ...]

    def pragma(self, directive: str) -> Pragma | None:
        """The first pragma of this kind that stands in the block itself."""
        found = (s for s in self.statements if isinstance(s, Pragma) and s.directive == directive)
        return next(found, None)


@dataclass(frozen=True)
class Loop(Statement):
    """``label: for (int variable = ...; ...; ...) {...}``; ``head`` holds the three expressions."""

    label: str
    variable: str
    head: tuple[Expression, ...]
    body: Block


@dataclass(frozen=True)
class Branch(Statement):
    condition: Expression
    on_true: Block
    on_false: Block | None


@dataclass(frozen=True)
class Function(Node):
    name: str
    parameters: tuple[Declaration, ...]
    body: Block

    def walk(self) -> Iterator[Statement]:
        """All statements, in the order of the text."""
        yield from _statements(self.body)

    @property
    def loops(self) -> tuple[Loop, ...]:
        return tuple(s for s in self.walk() if isinstance(s, Loop))


@dataclass(frozen=True)
class Unit:
    """A whole text. The top function is the last one."""

    text: str
    globals: tuple[Declaration, ...]
    functions: tuple[Function, ...]

    def line(self, offset: int) -> int:
        """Number of the line, from 1."""
        return self.text.count("\n", 0, offset) + 1


def blocks(statement: Statement) -> tuple[Block, ...]:
    """The blocks directly inside a statement."""
    if isinstance(statement, Loop):
        return (statement.body,)
    if isinstance(statement, Branch):
        return (statement.on_true, *([statement.on_false] if statement.on_false else []))
    return ()


def _statements(block: Block) -> Iterator[Statement]:
    for statement in block.statements:
        yield statement
        for inner in blocks(statement):
            yield from _statements(inner)


def expressions(statement: Statement) -> tuple[Expression, ...]:
    """The expressions directly in a statement."""
    match statement:
        case Declaration():
            return (statement.initial,) if statement.initial else ()
        case Assignment():
            return (statement.target, statement.value)
        case Evaluate():
            return (statement.expression,)
        case Loop():
            return statement.head
        case Branch():
            return (statement.condition,)
    return ()
