"""Block memories by geometry: how many 18 Kbit or 288 Kbit blocks a memory of given words and width takes."""

from __future__ import annotations

BRAM18_SHAPES = ((16384, 1), (8192, 2), (4096, 4), (2048, 9), (1024, 18), (512, 36))
"""Words and bits of an 18 Kbit block, one port reading and one writing (AMD UG573, UG473)."""

URAM_SHAPE = (4096, 72)
"""Words and bits of an UltraRAM block (AMD UG573): one shape."""


def bram18(words: int, bits: int) -> int:
    """18 Kbit blocks of a memory of ``words`` x ``bits``, all blocks of one shape."""
    if not words or not bits:
        return 0
    return min(-(-words // depth) * -(-bits // width) for depth, width in BRAM18_SHAPES)


def uram(words: int, bits: int) -> int:
    """288 Kbit blocks; they hold no initial values, so no ROM."""
    depth, width = URAM_SHAPE
    return -(-words // depth) * -(-bits // width)
