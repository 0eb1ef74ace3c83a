"""The parser's lower half: types and expressions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

from .errors import VendorError
from .syntax import Binary, Call, Conditional, Convert, Expression, Integer, Literal, Name, Subscript, Type, Unary
from .tokens import Token

BINDING = {
    operator: strength
    for strength, operators in enumerate(
        ("||", "&&", "|", "^", "&", "== !=", "< > <= >=", "<< >>", "+ -", "* / %"), start=1
    )
    for operator in operators.split()
}
"""How strongly a binary operator binds."""

_INT, _LONG = Integer(True, 32, native=True), Integer(True, 64, native=True)
_NATIVE: dict[tuple[str, ...], Integer | None] = {
    ("bool",): Integer(False, 1, native=True),
    ("char",): Integer(True, 8, native=True),
    ("int",): _INT,
    ("unsigned", "int"): Integer(False, 32, native=True),
    ("unsigned", "long", "long"): Integer(False, 64, native=True),
    ("long", "long"): _LONG,
    ("float",): None,
    ("double",): None,
    **{(f"int{n}_t",): Integer(True, n, native=True) for n in (8, 16, 32, 64)},
    **{(f"uint{n}_t",): Integer(False, n, native=True) for n in (8, 16, 32, 64)},
}
_FIRST_WORDS = {words[0] for words in _NATIVE}
_TEMPLATES = {"ap_int", "ap_uint", "ap_fixed", "ap_ufixed"}


@dataclass
class ExpressionParser:
    """Tokens, and how many of them have been read."""

    text: str
    tokens: list[Token]
    position: int = 0

    # -- tokens -------------------------------------------------------------------------------------------------

    @property
    def token(self) -> Token:
        return self.tokens[self.position]

    @property
    def next(self) -> Token:
        return self.tokens[min(self.position + 1, len(self.tokens) - 1)]

    @property
    def last(self) -> int:
        """End of the token before this one."""
        return self.tokens[self.position - 1].end

    def refuse(self, expected: str) -> NoReturn:
        line = self.text.count("\n", 0, self.token.start) + 1
        found = f"'{self.token.text}'" if self.token.text else "the end of the text"
        raise VendorError(f"line {line}: {expected} expected, found {found}; HeteroCL prints no such C++")

    def at(self, *texts: str) -> bool:
        return self.token.text in texts and self.token.kind != "string"

    def take(self, text: str) -> bool:
        """Steps over this token if it is the next one."""
        if not self.at(text):
            return False
        self.position += 1
        return True

    def expect(self, text: str) -> Token:
        if not self.at(text):
            self.refuse(f"'{text}'")
        self.position += 1
        return self.tokens[self.position - 1]

    def name(self) -> Token:
        if self.token.kind != "name":
            self.refuse("a name")
        self.position += 1
        return self.tokens[self.position - 1]

    def number(self) -> int:
        if self.token.kind != "number" or not self.token.text.isdigit():
            self.refuse("a whole number")
        self.position += 1
        return int(self.tokens[self.position - 1].text)

    # -- types --------------------------------------------------------------------------------------------------

    def at_type(self) -> bool:
        words = _FIRST_WORDS | _TEMPLATES
        return self.token.text in words or (self.at("hls") and self.next.text == "::")

    def type(self) -> Type:
        start = self.token.start
        if self.take("hls"):
            self.expect("::")
            self.expect("stream")
            self.expect("<")
            inner = self.type()
            self.expect(">")
            return Type(start, self.last, inner.element, stream=True)
        if self.token.text in _TEMPLATES:
            kind = self.name().text
            self.expect("<")
            bits = self.number()
            if self.take(","):
                self.number()
            self.expect(">")
            element = Integer(kind == "ap_int", bits) if kind in ("ap_int", "ap_uint") else None
            return Type(start, self.last, element)
        words: tuple[str, ...] = ()
        while self.token.text in _FIRST_WORDS:
            words = (*words, self.name().text)
        if words not in _NATIVE:
            self.refuse("a type")
        return Type(start, self.last, _NATIVE[words])

    # -- expressions --------------------------------------------------------------------------------------------

    def expression(self) -> Expression:
        start = self.token.start
        condition = self.binary(1)
        if not self.take("?"):
            return condition
        on_true = self.expression()
        self.expect(":")
        on_false = self.expression()
        return Conditional(start, self.last, condition, on_true, on_false)

    def binary(self, least: int) -> Expression:
        start = self.token.start
        left = self.unary()
        while (operator := self.operator()) and BINDING[operator] >= least:
            self.position += 1 + (operator == ">>")
            right = self.binary(BINDING[operator] + 1)
            left = Binary(start, self.last, operator, left, right)
        return left

    def operator(self) -> str | None:
        if self.at(">") and self.next.text == ">" and self.next.start == self.token.end:
            return ">>"
        return self.token.text if self.token.kind == "symbol" and self.token.text in BINDING else None

    def unary(self) -> Expression:
        start = self.token.start
        if self.at("-", "+", "!", "~", "++", "--"):
            self.position += 1
            operator = self.tokens[self.position - 1].text
            operand = self.unary()
            return Unary(start, self.last, operator, operand)
        if self.take("("):
            inside = self.position
            if self.at_type():
                type_ = self.type()
                if self.take(")"):  # a cast in C's manner
                    operand = self.unary()
                    return Convert(start, self.last, type_, operand)
                self.position = inside
            inner = self.expression()
            self.expect(")")
            return self.suffixes(start, inner)
        return self.suffixes(start, self.primary())

    def primary(self) -> Expression:
        token = self.token
        if self.at_type():
            type_ = self.type()
            self.expect("(")
            operand = self.expression()
            self.expect(")")
            return Convert(token.start, self.last, type_, operand)
        if token.kind not in ("name", "number", "string"):
            self.refuse("an expression")
        self.position += 1
        if token.kind == "name":
            return Name(token.start, token.end, token.text)
        return Literal(token.start, token.end, _value(token))

    def suffixes(self, start: int, base: Expression) -> Expression:
        while True:
            if self.take("["):
                index = self.expression()
                self.expect("]")
                base = Subscript(start, self.last, base, index)
            elif self.take("."):
                method, arguments = self.name().text, self.arguments()
                base = Call(start, self.last, method, base, arguments)
            elif self.at("(") and isinstance(base, Name):
                arguments = self.arguments()
                base = Call(start, self.last, base.text, None, arguments)
            elif self.at("++", "--"):
                self.position += 1
                base = Unary(start, self.last, self.tokens[self.position - 1].text, base)
            else:
                return base

    def arguments(self) -> tuple[Expression, ...]:
        self.expect("(")
        found: list[Expression] = []
        while not self.at(")"):
            found.append(self.expression())
            if not self.take(","):
                break
        self.expect(")")
        return tuple(found)


def _value(token: Token) -> int | None:
    if token.kind != "number":
        return None
    try:
        return int(token.text.rstrip("uUlL"), 0)
    except ValueError:
        return None
