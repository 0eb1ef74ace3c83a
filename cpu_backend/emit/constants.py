"""A region's constant arrays: readable C where somebody may read them, bytes where nobody will.

Compilers take seconds for every million numbers of C text. Arrays beyond `LARGEST_TEXT` lie one after another in a file
of bytes (little-endian, as every RISC-V core), and an assembler file gives each its symbol.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ir.types import Array

LARGEST_TEXT = 1 << 16
"""Bytes."""
ALIGNMENT = 64
"""Of arrays in the file of bytes: a cache line."""


@dataclass(frozen=True, eq=False)
class Constant:
    """The C array ``name``. ``note``: what its words hold, if they are words of packed bits (then in hexadecimal)."""

    name: str
    values: Array
    note: str = ""

    @property
    def is_text(self) -> bool:
        return self.data.nbytes <= LARGEST_TEXT

    @property
    def data(self) -> Array:
        """The values as they lie in memory: reals have 32 bits."""
        return self.values.astype(np.float32) if self.values.dtype.kind == "f" else self.values

    @property
    def declarator(self) -> str:
        type_ = "float" if self.values.dtype.kind == "f" else f"{self.values.dtype}_t"
        return f"{type_} {self.name}[{self.values.size}]"

    @property
    def comment(self) -> str:
        return f"/* {self.note or 'x'.join(map(str, self.values.shape))} */"


@dataclass(frozen=True)
class Written:
    """An array that is text whatever its size: of doubles, of records."""

    declarator: str
    words: tuple[str, ...]


def text(constant: Constant | Written) -> str:
    """C: a static const array, under its comment if it has a shape."""
    if isinstance(constant, Written):
        return f"static const {constant.declarator} = {{{', '.join(constant.words)}}};\n"
    rows = _words(constant) if constant.note else _numbers(constant)
    return f"{constant.comment}\nstatic const {constant.declarator} = {{\n" + "\n".join(rows) + "\n};\n"


def external(constant: Constant, region: str) -> str:
    """C: the declaration of an array that is kept in bytes, under the name that the region's code uses."""
    symbol = f"{region}_{constant.name}"
    declared = constant.declarator.replace(f" {constant.name}[", f" {symbol}[")
    return f"{constant.comment}\nextern const {declared};\n#define {constant.name} {symbol}\n"


def assembled(constants: Sequence[Constant], region: str) -> tuple[str, bytes]:
    """The assembler file that names the arrays of ``<region>_weights.bin``, and these bytes.

    The hash of the bytes is in the text: compilers with a cache look at nothing else. The file is included once and
    arrays are places in it: an assembler may hold what it includes in memory, each time anew.
    """
    data, parts, start = bytearray(), [], f"{region}_weights"
    for constant in constants:
        data += bytes(-len(data) % ALIGNMENT)
        values = constant.data
        raw = values.astype(values.dtype.newbyteorder("<")).tobytes()
        symbol = f"{region}_{constant.name}"
        parts.append(
            f"\n    .globl {symbol}\n    .hidden {symbol}\n"
            f"    .type {symbol}, %object\n    .size {symbol}, {len(raw)}\n"
            f"    .set {symbol}, {start} + {len(data)}\n"
        )
        data += raw
    head = (
        f"/* Large constants of region {region}: arrays of {region}_weights.h that lie in {region}_weights.bin,\n"
        f" * little-endian, whose SHA-256 is {hashlib.sha256(data).hexdigest()}. */\n\n"
        f'    .section .rodata.{start}, "a", %progbits\n    .balign {ALIGNMENT}\n'
        f'{start}:\n    .incbin "{region}_weights.bin"\n'
    )
    return head + "".join(parts) + '\n    .section .note.GNU-stack, "", %progbits\n', bytes(data)


def _numbers(constant: Constant) -> list[str]:
    values = constant.values
    if values.dtype.kind == "f":
        words = [_real(v) for v in values.ravel().tolist()]
    else:
        suffix = "LL" if values.dtype.itemsize == 8 else ""
        words = [_literal(v) + suffix for v in values.ravel().tolist()]
    lines, line = [], "   "
    for word in words:
        if len(line) + len(word) + 2 > 120:
            lines.append(line)
            line = "   "
        line += f" {word},"
    return [*lines, line]


def _words(constant: Constant) -> list[str]:
    digits = 2 * constant.values.dtype.itemsize
    suffix = "ull" if digits == 16 else "u"
    words = [f"0x{v:0{digits}x}{suffix}" for v in constant.values.ravel().tolist()]
    row = {4: 13, 8: 8, 16: 5}[digits]
    return [f"    {', '.join(words[i : i + row])}," for i in range(0, len(words), row)]


def _literal(value: int) -> str:
    return f"(-{-value - 1} - 1)" if value == -(1 << 31) else str(value)


def _real(value: float) -> str:
    """Nine digits: every float32 comes back."""
    digits = f"{value:.9g}"
    return f"{digits}f" if "." in digits or "e" in digits else f"{digits}.0f"
