"""Changes to a text: whole lines put in, and pieces replaced; everything else stays byte for byte."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .errors import VendorError
from .syntax import Block, Node, Unit


@dataclass
class Edits:
    """Collects changes to one text; `result` applies them. Lines put in at one place keep the order of the calls."""

    unit: Unit
    _changes: list[tuple[int, int, str]] = field(default_factory=list)

    def replace(self, node: Node, text: str) -> None:
        self._changes.append((node.start, node.end, text))

    def lines_before(self, node: Node, lines: Sequence[str]) -> None:
        """Put lines in before the line on which ``node`` starts, at its margin."""
        text = self.unit.text
        start = text.rfind("\n", 0, node.start) + 1
        margin = text[start : node.start]
        if margin.strip():
            raise self._crowded(node.start)
        self._insert(start, margin, lines)

    def lines_after(self, node: Node, lines: Sequence[str]) -> None:
        """Put lines in after the line on which ``node`` ends, at the margin of the line on which it starts."""
        self._insert(self._next_line(node.end), self._margin(node.start), lines)

    def lines_within(self, block: Block, lines: Sequence[str]) -> None:
        """Put lines in as the first of a block, at the margin of what stands in it."""
        if not lines:
            return
        inner = [self._margin(s.start) for s in block.statements]
        margin = max(inner, key=len) if inner else self._margin(block.start) + "    "
        self._insert(self._next_line(block.start + 1), margin, lines)

    def result(self) -> str:
        text = self.unit.text
        pieces, position = [], 0
        for start, end, new in sorted(self._changes, key=lambda change: change[:2]):
            assert start >= position, "two changes to one place"
            pieces += [text[position:start], new]
            position = end
        return "".join([*pieces, text[position:]])

    def _insert(self, offset: int, margin: str, lines: Sequence[str]) -> None:
        self._changes.append((offset, offset, "".join(f"{margin}{line}\n" for line in lines)))

    def _margin(self, offset: int) -> str:
        text = self.unit.text
        start = text.rfind("\n", 0, offset) + 1
        return text[start : len(text) - len(text[start:].lstrip(" \t"))]

    def _next_line(self, offset: int) -> int:
        """Start of the next line; only a comment may follow on this one."""
        text = self.unit.text
        end = text.find("\n", offset)
        rest = text[offset : end if end >= 0 else len(text)].strip()
        if end < 0 or (rest and not rest.startswith("//")):
            raise self._crowded(offset)
        return end + 1

    def _crowded(self, offset: int) -> VendorError:
        return VendorError(f"line {self.unit.line(offset)}: more than one statement on a line; HeteroCL prints one")
