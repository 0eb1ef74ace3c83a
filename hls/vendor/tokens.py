"""C++ text -> tokens. Blanks and comments lie between tokens and are never touched."""

from __future__ import annotations

import re
from typing import NamedTuple

from .errors import VendorError


class Token(NamedTuple):
    """``kind`` is name, number, values (of an array, in braces), string, directive (a line that starts with ``#``),
    symbol or end."""

    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


# `>` stands alone, since it closes template arguments; the parser joins two that touch into a shift.
_TOKEN = re.compile(
    r"""(?P<blank>\s+|//[^\n]*|/\*.*?\*/)
    |(?P<directive>\#[^\n]*)
    |(?P<name>[A-Za-z_]\w*)
    |(?P<number>\d[\w.]*)
    |(?P<values>\{[\s{]*[-(\d][-\s\da-fxUL(),{}]*\}(?=;))
    |(?P<string>"(?:[^"\\\n]|\\.)*")
    |(?P<symbol>::|\+\+|--|<<|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|[-+*/%&|^!~<>=?:;,.(){}\[\]])""",
    re.DOTALL | re.VERBOSE,
)


def tokenise(text: str) -> list[Token]:
    """All tokens, the last one of kind end.

    Raises:
        VendorError: a character that starts no token.
    """
    tokens, position = [], 0
    for match in _TOKEN.finditer(text):
        if match.start() != position:
            break
        position = match.end()
        kind = match.lastgroup
        assert kind is not None
        if kind != "blank":
            tokens.append(Token(kind, match[0], match.start()))
    if position < len(text):
        line = text.count("\n", 0, position) + 1
        raise VendorError(f"line {line}: {text[position]!r} is no part of the C++ that HeteroCL prints")
    return [*tokens, Token("end", "", position)]
