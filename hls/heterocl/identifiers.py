"""Names that HeteroCL prints as they are: they must be names in C++ too."""

from __future__ import annotations

import re

from .errors import APIError

_WORDS = """
alignas alignof and and_eq asm auto bitand bitor bool break case catch char class compl const constexpr const_cast
continue decltype default delete do double dynamic_cast else enum explicit export extern false float for friend goto if
inline int long main mutable namespace new noexcept not not_eq nullptr operator or or_eq private protected public
register reinterpret_cast return short signed sizeof static static_assert static_cast struct switch template this
thread_local throw true try typedef typeid typename union unsigned using virtual void volatile wchar_t while xor xor_eq
"""
KEYWORDS = frozenset(_WORDS.split())

_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_GENERATED = re.compile(r"v\d+")


def is_name(name: str) -> bool:
    """Whether HeteroCL's C++ may carry the name."""
    return bool(_NAME.fullmatch(name)) and name not in KEYWORDS and not _GENERATED.fullmatch(name)


def check_name(name: str, what: str) -> str:
    """`name`, where HeteroCL's C++ may carry it.

    Raises:
        APIError: no identifier, a keyword, or of the form of the emitter's own names.
    """
    if not _NAME.fullmatch(name):
        raise APIError(f"{what} is called {name!r}, which is no identifier")
    if name in KEYWORDS:
        raise APIError(f"{what} is called {name}, a word of C++, and HeteroCL prints it as it is: name it otherwise")
    if _GENERATED.fullmatch(name):
        raise APIError(f"{what} is called {name}, as HeteroCL calls its own values: name it otherwise")
    return name
