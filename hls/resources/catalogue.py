"""The primitives that are measured: over the ranges that the generators use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from types import MappingProxyType

Grid = Mapping[str, tuple[int, ...]]

GRIDS: Mapping[str, tuple[Grid, ...]] = MappingProxyType(
    {
        "adder": ({"bits": (4, 8, 12, 16, 20, 24, 32, 48)},),
        "adder_tree": ({"terms": (2, 3, 4, 8, 16, 32), "bits": (4, 8, 12)},),
        "accumulator": ({"bits": (8, 12, 16, 20, 24, 32)},),
        "comparator": ({"bits": (4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24)},),
        "maximum": ({"bits": (2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16)},),
        "clip": ({"bits": (12, 16, 24, 32, 40), "out": (1, 2, 4, 8)},),
        "mux": ({"inputs": (2, 3, 4, 8, 16, 32), "bits": (4, 16)},),
        "rom": ({"words": (8, 32, 64, 128, 256, 512), "bits": (4, 16)},),
        "ram": ({"words": (16, 32, 64, 128, 256), "bits": (4, 16, 36)},),
        "fifo": ({"depth": (2, 4, 8, 16, 32), "bits": (8, 32, 64)},),
        "delay": ({"cycles": (4, 16, 32, 64), "bits": (4, 16, 32)},),
        "counter_nest": ({"bits": (4, 8), "counters": (1, 2)}, {"bits": (12, 24), "counters": (2, 3, 4)}),
        "segment_decode": ({"segments": (2, 4), "pitch": (6, 8, 11), "chains": (2, 4, 8)},),
        "popcount": ({"n": (3, 6, 7, 12, 16, 24, 32, 48, 64, 128, 256)},),
        "xnor_popcount": ({"n": (9, 16, 27, 32, 64, 72, 128, 256)},),
        "lut_dot": (
            {"terms": (16,), "weight": tuple(range(1, 9)), "activation": tuple(range(1, 9)), "chain": (4,)},
            {"terms": (4, 8, 32), "weight": (2, 4, 8), "activation": (2, 4, 8), "chain": (4,)},
            {"terms": (9, 18, 27), "weight": (3, 5), "activation": (3, 7), "chain": (4,)},
            {"terms": (16, 32), "weight": (2, 4, 8), "activation": (4, 8), "chain": (8,)},
        ),
        "constant_dot": (
            {"outputs": (1, 8), "terms": (9, 27, 64), "weight": (2, 4, 8), "activation": (4, 8)},
            {"outputs": (16,), "terms": (27,), "weight": (3, 4, 5, 6), "activation": (4, 8)},
            {"outputs": (1,), "terms": (256,), "weight": (2, 4), "activation": (4,)},
        ),
    }
)


def catalogue() -> Iterator[tuple[str, dict[str, int]]]:
    """Family and parameters of every measured primitive."""
    for family, grids in GRIDS.items():
        for grid in grids:
            for values in product(*grid.values()):
                yield family, dict(zip(grid, values, strict=True))
