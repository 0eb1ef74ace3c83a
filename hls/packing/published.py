"""Numbers that others published or that were found before, which the solver has to meet or correct."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

WIDTHS = range(2, 9)

FACTORS: Mapping[int, tuple[tuple[float, ...], ...]] = MappingProxyType(
    {
        1: (
            (12, 8, 8, 6, 6, 4, 4),
            (10, 8, 6, 6, 4, 4, 4),
            (8, 6, 6, 4, 4, 4, 3),
            (6, 6, 4, 4, 4, 4, 2),
            (6, 4, 4, 4, 2, 2, 2),
            (4, 4, 4, 4, 2, 2, 2),
            (4, 4, 3, 2, 2, 2, 2),
        ),
        3: (
            (18, 15, 12, 7.5, 7.5, 6, 6),
            (15, 12, 7.5, 6, 6, 6, 3),
            (12, 7.5, 6, 6, 6, 6, 3),
            (9, 6, 6, 6, 6, 3, 3),
            (7.5, 6, 6, 4.5, 3, 3, 3),
            (6, 6, 4.5, 3, 3, 3, 2.25),
            (6, 3, 3, 3, 3, 3, 2),
        ),
        5: (
            (20, 15, 10, 7.5, 7.5, 5, 5),
            (12.5, 10, 6.67, 5, 5, 5, 3.33),
            (10, 7.5, 5, 5, 5, 5, 3.33),
            (7.5, 6.67, 5, 5, 5, 3.33, 3.33),
            (6.67, 5, 5, 5, 3.33, 2.5, 2.5),
            (5, 5, 5, 3.33, 2.5, 2.5, 2.5),
            (5, 3.33, 3.33, 3.33, 2.5, 2.5, 2),
        ),
    }
)
"""Multiplies per 27x18 multiplier: kernel -> rows weight bits 2..8, columns activation bits 2..8 (DeepBurning-MixQ)."""

Case = tuple[int, int, int]
"""Weight bits, activation bits, kernel."""

CASES: tuple[Case, ...] = (
    (2, 2, 3),
    (2, 4, 3),
    (3, 3, 3),
    (4, 4, 1),
    (4, 4, 3),
    (4, 4, 5),
    (4, 8, 3),
    (5, 8, 3),
    (8, 8, 1),
)

PLAIN: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "dsp48e1": (12, 6, 6, 4, 6, 5, 3, 2, 2),
        "dsp48e2": (15, 6, 6, 4, 6, 5, 3, 2, 2),
        "dsp58": (15, 9, 9, 4, 6, 5, 3, 3, 3),
        "macc18": (9, 6, 6, 2, 3, 3.3, 2, 1, 2),
    }
)
"""For `CASES` without overlap, safe for full-range weights; native dot modes at 8x8."""

SYMMETRIC: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "dsp48e1": (15, 9, 12, 4, 6, 5, 3, 3, 2),
        "dsp48e2": (21, 12, 12, 6, 7.5, 6, 3, 3, 2),
        "dsp58": (16, 12, 12, 6, 9, 7.5, 4.5, 3, 3),
        "macc18": (12, 6, 9, 4, 4.5, 4, 2, 2, 2),
    }
)
"""For `CASES` with overlap and split, symmetric weights."""

FOUND: tuple[tuple[Case, float], ...] = (((2, 5, 3), 12), ((8, 3, 3), 4))
"""Single results on 27x18, symmetric."""
