"""Any order of axes by transpositions of three axes, which is what the graph has."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, permutations

import numpy as np

MOST_AXES = 6
"""That are moved, neighbours that stay neighbours counted as one."""


Triple = tuple[int, int, int]
Move = tuple[int, int, Triple]
"""Where the second and the third block begin, and the order in which the blocks come then."""


def transpositions(shape: Sequence[int], order: Sequence[int]) -> list[tuple[Triple, Triple]] | None:
    """What brings a tensor of this shape to the order: each time a shape of three axes to read it in, and the order of
    these. None for more than `MOST_AXES` axes."""
    large = [axis for axis, extent in enumerate(shape) if extent > 1]
    groups = _merged([large.index(axis) for axis in order if axis in large])
    if len(groups) > MOST_AXES:
        return None
    sizes = [int(np.prod([shape[large[axis]] for axis in group])) for group in sorted(groups)]
    wanted = tuple(sorted(groups).index(group) for group in groups)
    now, found = tuple(range(len(sizes))), list[tuple[Triple, Triple]]()
    for first, second, turn in _moves(len(sizes), wanted):
        blocks = (now[:first], now[first:second], now[second:])
        a, b, c = (int(np.prod([sizes[axis] for axis in block])) for block in blocks)
        found.append(((a, b, c), turn))
        now = tuple(axis for block in turn for axis in blocks[block])
    return found


def _merged(order: Sequence[int]) -> list[tuple[int, ...]]:
    """The axes, where neighbours that stay neighbours are one."""
    groups: list[tuple[int, ...]] = []
    for axis in order:
        if groups and groups[-1][-1] + 1 == axis:
            groups[-1] = (*groups[-1], axis)
        else:
            groups.append((axis,))
    return groups


def _moves(count: int, wanted: tuple[int, ...]) -> list[Move]:
    """The fewest transpositions of three blocks that bring ``0, 1, ...`` to this order."""
    start = tuple(range(count))
    known: dict[tuple[int, ...], list[Move]] = {start: []}
    waiting = [start]
    for now in waiting:
        if now == wanted:
            break
        for first, second in combinations(range(count + 1), 2):
            blocks = (now[:first], now[first:second], now[second:])
            for turn in permutations(range(3)):
                following = tuple(axis for block in turn for axis in blocks[block])
                if following not in known:
                    known[following] = [*known[now], (first, second, turn)]  # type: ignore[list-item]
                    waiting.append(following)
    return known[wanted]
