"""Which variable a name means, and what it is set to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .syntax import (
    Assignment,
    Binary,
    Block,
    Branch,
    Call,
    Convert,
    Declaration,
    Evaluate,
    Expression,
    Function,
    Integer,
    Loop,
    Name,
    Statement,
    Subscript,
    Unit,
)

_INT = Integer(True, 32, native=True)


@dataclass(eq=False)
class Variable:
    """``values`` are what it is set to, anywhere; None among them stands for something that is not looked into.

    A ``counter`` is a loop's variable; it has no declaration of its own.
    """

    name: str
    type: Integer | None
    array: bool
    declaration: Declaration | None
    values: list[Expression | None] = field(default_factory=list)
    counter: bool = False

    @property
    def only_value(self) -> Expression | None:
        """What it is set to in the one place where it is; None if there are more."""
        return self.values[0] if len(self.values) == 1 and not self.array else None


@dataclass(frozen=True)
class Symbols:
    """``uses`` is keyed by the offset of the name in the text, ``declared`` by function,
    ``counters`` by the offset of the loop;
    ``outside`` are those of no function."""

    uses: Mapping[int, Variable]
    declared: Mapping[str, tuple[Variable, ...]]
    counters: Mapping[int, Variable]
    outside: tuple[Variable, ...]

    @staticmethod
    def of(unit: Unit) -> Symbols:
        """Resolves every name of every function."""
        binder = _Binder()
        outside = {d.name: binder.declare(d) for d in unit.globals}
        for function in unit.functions:
            binder.function(function, outside)
        declared = {name: tuple(found) for name, found in binder.declared.items()}
        return Symbols(binder.uses, declared, binder.counters, tuple(outside.values()))

    def variable(self, expression: Expression) -> Variable | None:
        """The variable that an expression names, or of which it takes an element."""
        return self.uses.get(root(expression).start)

    def counter(self, loop: Loop) -> Variable:
        """The variable of a loop."""
        return self.counters[loop.start]

    def memory(self, expression: Expression) -> str | None:
        """The array of which the expression is an element, or some bits of one, directly or through copies."""
        seen: set[int] = set()
        while id(expression) not in seen:
            seen.add(id(expression))
            if isinstance(expression, Subscript):
                variable = self.variable(expression)
                return variable.name if variable else None
            if isinstance(expression, Convert):
                expression = expression.operand
            elif isinstance(expression, Binary) and expression.operator in (">>", "&"):
                expression = expression.left
            elif isinstance(expression, Name) and (found := self.uses.get(expression.start)) and found.only_value:
                expression = found.only_value
        return None


def root(expression: Expression) -> Expression:
    """What is left of ``a`` in ``a[i][j]``."""
    while isinstance(expression, Subscript):
        expression = expression.base
    return expression


@dataclass
class _Binder:
    """Walks functions with their scopes."""

    uses: dict[int, Variable] = field(default_factory=dict)
    declared: dict[str, list[Variable]] = field(default_factory=dict)
    counters: dict[int, Variable] = field(default_factory=dict)
    function_name: str = ""

    def declare(self, d: Declaration) -> Variable:
        variable = Variable(d.name, d.type.element, bool(d.shape) or d.type.stream, d)
        if d.initial:
            variable.values.append(d.initial)
        return variable

    def function(self, function: Function, outside: Mapping[str, Variable]) -> None:
        self.function_name = function.name
        self.declared[function.name] = []
        scope = dict(outside)
        for parameter in function.parameters:
            self.add(scope, self.declare(parameter)).values.append(None)
        self.block(function.body, scope)

    def add(self, scope: dict[str, Variable], variable: Variable) -> Variable:
        self.declared[self.function_name].append(variable)
        scope[variable.name] = variable
        return variable

    def block(self, block: Block, outside: Mapping[str, Variable]) -> None:
        scope = dict(outside)
        for statement in block.statements:
            self.statement(statement, scope)

    def statement(self, statement: Statement, scope: dict[str, Variable]) -> None:
        if isinstance(statement, Declaration):
            if statement.initial:
                self.bind(statement.initial, scope)
            self.add(scope, self.declare(statement))
        elif isinstance(statement, Assignment):
            self.bind(statement.target, scope)
            self.bind(statement.value, scope)
            whole = isinstance(statement.target, Name) and statement.operator == "="
            if variable := self.uses.get(root(statement.target).start):
                variable.values.append(statement.value if whole else None)
        elif isinstance(statement, Evaluate):
            self.bind(statement.expression, scope)
        elif isinstance(statement, Loop):
            inner = dict(scope)
            counter = Variable(statement.variable, _INT, False, None, [None], counter=True)
            self.counters[statement.start] = self.add(inner, counter)
            for expression in statement.head:
                self.bind(expression, inner)
            self.block(statement.body, inner)
        elif isinstance(statement, Branch):
            self.bind(statement.condition, scope)
            self.block(statement.on_true, scope)
            if statement.on_false:
                self.block(statement.on_false, scope)

    def bind(self, expression: Expression, scope: Mapping[str, Variable]) -> None:
        for inner in expression.walk():
            if isinstance(inner, Name) and inner.text in scope:
                self.uses[inner.start] = scope[inner.text]
            if isinstance(inner, Call) and not inner.receiver:
                for argument in inner.arguments:  # may be passed by reference
                    if isinstance(argument, Name) and argument.text in scope:
                        scope[argument.text].values.append(None)
