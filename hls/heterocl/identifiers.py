"""Names that HeteroCL prints as they are: they must be names in C++ too, and stay apart from each other."""

from __future__ import annotations

import re
from collections import Counter
from typing import Literal

from .errors import APIError

Kind = Literal["scalar", "tensor", "op", "loop", "axis"]

_WORDS = """
alignas alignof and and_eq asm auto bitand bitor bool break case catch char class compl const constexpr const_cast
continue decltype default delete do double dynamic_cast else enum explicit export extern false float for friend goto if
inline int long main mutable namespace new noexcept not not_eq nullptr operator or or_eq private protected public
register reinterpret_cast return short signed sizeof static static_assert static_cast struct switch template this
thread_local throw true try typedef typeid typename union unsigned using virtual void volatile wchar_t while xor xor_eq
"""
KEYWORDS = frozenset(_WORDS.split())

_ATTRIBUTES = """
axis buffer_at compute_at fuse ip lookup name outline parallel pipeline reorder split stage_handle systolic tensor tile
unroll
"""
STAGE_WORDS = frozenset(_ATTRIBUTES.split())
"""Attributes of a stage in HeteroCL, where it also hangs the stage's loops."""

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


class UniqueNames:
    """The names that HeteroCL gives to what a program calls alike, and what it lets through although it clashes.

    Its `UniqueName.get` numbers a name that is taken among those of its kind, without a look at whether the numbered
    one is taken as well, or by another kind.
    """

    def __init__(self) -> None:
        self._taken: dict[tuple[Kind, str], int] = {}
        self.memories: set[str] = set()
        self.loops: dict[Kind, set[str]] = {"loop": set(), "axis": set()}
        self.stages: list[set[str]] = [set()]  # what each calls something, and what stands before it
        self._printed = Counter[str]()

    def get(self, name: str, kind: Kind) -> str:
        """`name`, or `name_0`, `name_1`, ... where it is taken."""
        count = self._taken.get((kind, name))
        self._taken[kind, name] = 0 if count is None else count + 1
        return name if count is None else f"{name}_{count}"

    def memory(self, name: str, kind: Kind) -> str:
        """The memory's name. Raises APIError where another has it: HeteroCL's `build_alloc_op` fails on it."""
        unique = self.get(name, kind)
        if unique in self.memories:
            raise APIError(f"HeteroCL calls {name} {unique}, which something else is called: name it otherwise")
        self.memories.add(unique)
        return self._print(unique)

    def loop(self, name: str, kind: Kind) -> str:
        """The loop's name. Raises APIError where another has it: HeteroCL finds loops by their names."""
        if name in STAGE_WORDS:
            raise APIError(f"a loop is called {name}, as HeteroCL calls something else of a stage: name it otherwise")
        unique = self.get(name, kind)
        if unique in self.loops[kind]:
            raise APIError(f"HeteroCL calls loop {name} {unique}, which another is called: name it otherwise")
        self.loops[kind].add(unique)
        return self._print(unique)

    def constant(self, name: str) -> None:
        """A constant has a name of its own, which the code has too."""
        self._print(self.get(name, "tensor"))

    def _print(self, name: str) -> str:
        self._printed[name] += 1
        self.stages[-1].add(name)
        return name

    def check(self) -> None:
        """Raises APIError where names meet in the code of a stage, because a loop and a memory are called alike
        somewhere and are told apart by a number."""
        for names in self.stages:
            for name in names:
                for number in range(1, self._printed[name]):
                    if (other := f"{name}{number}") in names:
                        raise APIError(f"HeteroCL's C++ has {other} twice, one is called {name}: name it otherwise")
