"""C++ names: the program's own, made unique where scopes meet and legal where C++ reserves a word."""

from __future__ import annotations

from xdsl.ir import SSAValue

from ..identifiers import KEYWORDS

_TAKEN = """
sint uint Fifo hls std ap_int ap_uint int8_t int16_t int32_t int64_t uint8_t uint16_t uint32_t uint64_t uint128_t
"""


class Names:
    """A stack of scopes; a name is never shadowed."""

    def __init__(self) -> None:
        self._scopes: list[set[str]] = [{*KEYWORDS, *_TAKEN.split()}]
        self._of: dict[SSAValue, str] = {}

    def open(self) -> None:
        """Enters a block."""
        self._scopes.append(set())

    def close(self) -> None:
        """Leaves a block: its names are free again."""
        self._scopes.pop()

    def fresh(self, wish: str, suffix: str = "") -> str:
        """A name not visible here: `wish`, or `wish` with a suffix, or `wish_1`, `wish_2`, ..."""
        base = "".join(c if c.isalnum() or c == "_" else "_" for c in wish)
        base = f"v{base}" if not base or base[0].isdigit() else base
        name, count = base, 0
        if self._taken(name) and suffix:
            name = base = f"{base}_{suffix}"
        while self._taken(name):
            count += 1
            name = f"{base}_{count}"
        self._scopes[-1].add(name)
        return name

    def _taken(self, name: str) -> bool:
        return any(name in scope for scope in self._scopes)

    def bind(self, value: SSAValue, wish: str, suffix: str = "") -> str:
        """Names a value; see `fresh`."""
        self._of[value] = self.fresh(wish, suffix)
        return self._of[value]

    def __contains__(self, value: SSAValue) -> bool:
        return value in self._of

    def __getitem__(self, value: SSAValue) -> str:
        return self._of[value]
