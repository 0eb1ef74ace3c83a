"""C++ text -> tokens. Blanks and comments lie between tokens and are never touched."""

from __future__ import annotations

import re
from typing import NamedTuple

from .errors import VendorError


class Token(NamedTuple):
    """``kind`` is name, number, string, directive (a line that starts with ``#``), symbol or end."""

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
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            line = text.count("\n", 0, position) + 1
            raise VendorError(f"line {line}: {text[position]!r} is no part of the C++ that HeteroCL prints")
        assert match.lastgroup is not None
        if match.lastgroup != "blank":
            tokens.append(Token(match.lastgroup, match[0], position))
        position = match.end()
    return [*tokens, Token("end", "", len(text))]
