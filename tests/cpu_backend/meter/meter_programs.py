"""Programs of hand-written assembly, whose counts follow from the text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

Build = Callable[[str, str], Path]

END = "slti x0, x0, 0x124"
FORGET = "slti x0, x0, 0x125"
BUFFER = 1 << 18
"""Bytes at a0, aligned to 4096."""


def begin(region: int) -> str:
    return f"sltiu x0, x0, {region}"


def source(lines: Sequence[str]) -> str:
    """A program that executes these lines once, with a buffer's address in a0; nothing else in it is marked."""
    body = "\n".join(f'    "{line}\\n"' for line in lines)
    return f"""
#include <stdint.h>

void body(uint8_t *);
__asm__(
    ".text\\n.balign 4\\nbody:\\n"
{body}
    "ret\\n");

static uint8_t buffer[{BUFFER}] __attribute__((aligned(4096)));

int main(void) {{
    body(buffer);
    return 0;
}}
"""
