"""C++ text as HeteroCL prints it -> its structure.

Both texts are read: this project's (`hls.heterocl.printers`) and HeteroCL v0.5's, which writes one operation a line,
ends lines with comments, passes scalars by pointer and gives an array of one element no brackets. What neither prints
is refused; a text is never read approximately.
"""

from __future__ import annotations

from .expressions import ExpressionParser
from .syntax import (
    Assignment,
    Block,
    Branch,
    Declaration,
    Evaluate,
    Expression,
    Function,
    Loop,
    Name,
    Pragma,
    Statement,
    Subscript,
    Unit,
)
from .tokens import tokenise

_ASSIGNMENTS = ("=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=")


def parse(text: str) -> Unit:
    """The structure of a text.

    Raises:
        VendorError: a construct that neither printer emits, with its line.
    """
    return _Parser(text, tokenise(text)).unit()


class _Parser(ExpressionParser):
    """Recursive descent, one method per construct."""

    def unit(self) -> Unit:
        declarations: list[Declaration] = []
        functions: list[Function] = []
        while self.token.kind != "end":
            if self.token.kind == "directive":
                self.position += 1
            elif self.take("using"):
                self.expect("namespace")
                self.name()
                self.expect(";")
            elif self.at("void") or (self.at("static") and self.next.text == "void"):
                functions.append(self.function())
            else:
                declarations.append(self.declaration())
        if not functions:
            self.refuse("a function")
        return Unit(self.text, tuple(declarations), tuple(functions))

    def function(self) -> Function:
        start = self.token.start
        self.take("static")
        self.expect("void")
        name = self.name().text
        self.expect("(")
        parameters: list[Declaration] = []
        while not self.at(")"):
            parameters.append(self.parameter())
            if not self.take(","):
                break
        self.expect(")")
        body = self.block()
        return Function(start, self.last, name, tuple(parameters), body)

    def parameter(self) -> Declaration:
        start = self.token.start
        constant = self.take("const")
        type_ = self.type()
        self.take("&") or self.take("*")
        name = self.name().text
        shape = self.shape()
        return Declaration(start, self.last, type_, name, shape, constant, None, None)

    def shape(self) -> tuple[int, ...]:
        extents: list[int] = []
        while self.take("["):
            extents.append(self.number())
            self.expect("]")
        return tuple(extents)

    # -- statements ---------------------------------------------------------------------------------------------

    def block(self) -> Block:
        start = self.expect("{").start
        statements: list[Statement] = []
        while not self.at("}"):
            statements.append(self.statement())
        self.expect("}")
        return Block(start, self.last, tuple(statements))

    def statement(self) -> Statement:
        if self.token.kind == "directive":
            return self.pragma()
        if self.at("if"):
            return self.branch()
        if self.at("for") or (self.token.kind == "name" and self.next.text == ":"):
            return self.loop()
        if self.at("static", "const") or (self.at_type() and self.next.text != "("):
            return self.declaration()
        return self.effect()

    def pragma(self) -> Pragma:
        token = self.token
        self.position += 1
        words = token.text.split()
        if [word.lower() for word in words[:2]] != ["#pragma", "hls"] or len(words) < 3:
            return Pragma(token.start, token.end, "", {})
        options = {key.lower(): value for key, _, value in (word.partition("=") for word in words[3:])}
        return Pragma(token.start, token.end, words[2].lower(), options)

    def declaration(self) -> Declaration:
        start = self.token.start
        constant = False
        while self.at("static", "const"):
            constant |= self.at("const")
            self.position += 1
        type_ = self.type()
        name = self.name().text
        shape = self.shape()
        initial, values = None, None
        if self.take("="):
            if self.at("{") or self.token.kind == "values":
                values = self.braces()
            else:
                initial = self.expression()
        elif type_.stream:
            self.at("(") and self.arguments()
        self.expect(";")
        return Declaration(start, self.last, type_, name, shape, constant, initial, values)

    def braces(self) -> tuple[int, int]:
        """A braced initialiser, skipped: weights are long."""
        start, depth = self.token.start, 0
        while True:
            if self.token.kind not in ("symbol", "number", "values"):
                self.refuse("a number")
            depth += self.token.text.count("{") - self.token.text.count("}")
            self.position += 1
            if not depth:
                return start, self.last

    def loop(self) -> Loop:
        start, label = self.token.start, ""
        if not self.at("for"):
            label = self.name().text
            self.expect(":")
        self.expect("for")
        self.expect("(")
        if not self.take("int"):
            self.refuse("'int'")
        variable = self.name().text
        self.expect("=")
        head = [self.expression()]
        for _ in range(2):
            self.expect(";")
            head.append(self.step())
        self.expect(")")
        body = self.block()
        return Loop(start, self.last, label, variable, tuple(head), body)

    def step(self) -> Expression:
        """An expression, or the amount in ``i += amount``."""
        expression = self.expression()
        return self.expression() if self.take("+=") else expression

    def branch(self) -> Branch:
        start = self.expect("if").start
        self.expect("(")
        condition = self.expression()
        self.expect(")")
        on_true = self.block()
        on_false = self.block() if self.take("else") else None
        return Branch(start, self.last, condition, on_true, on_false)

    def effect(self) -> Statement:
        """An assignment or a call."""
        start = self.token.start
        target = self.expression()
        operator = self.token.text
        if operator not in _ASSIGNMENTS:
            self.expect(";")
            return Evaluate(start, self.last, target)
        if not isinstance(target, Name | Subscript):
            self.refuse("a variable or an element before the assignment")
        self.position += 1
        value = self.expression()
        self.expect(";")
        return Assignment(start, self.last, target, operator, value)
