"""What was found out about a graph's constant, kept for as long as the array lives.

Engines and type rules ask the same of a layer's weights many times over, in every graph that a pass makes of the last.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar
from weakref import finalize

from ir.types import Array

P = ParamSpec("P")
R = TypeVar("R")


def remembered(function: Callable[Concatenate[Array, P], R]) -> Callable[Concatenate[Array, P], R]:
    """``function`` of a graph's constant, by its identity, and of hashable arguments: computed once for each.

    Of an array that can be written to nothing is kept. The result must not be changed.
    """
    results: dict[int, dict[Hashable, R]] = {}

    @wraps(function)
    def found(array: Array, /, *arguments: P.args, **named: P.kwargs) -> R:
        if array.flags.writeable:
            return function(array, *arguments, **named)
        if id(array) not in results:
            results[id(array)] = {}
            finalize(array, results.pop, id(array)).atexit = False
        known, key = results[id(array)], (arguments, tuple(named.items()))
        if key not in known:
            known[key] = function(array, *arguments, **named)
        return known[key]

    return found
