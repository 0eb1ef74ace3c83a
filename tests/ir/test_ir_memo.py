"""What is remembered of constants."""

from __future__ import annotations

import gc
from weakref import ref

import numpy as np
import pytest

from ir.memo import remembered
from ir.types import Array


def test_is_computed_once_for_each_array_and_argument() -> None:
    asked: list[tuple[int, int]] = []

    @remembered
    def scaled(array: Array, factor: int = 1) -> int:
        asked.append((int(array[0]), factor))
        return int(array.sum()) * factor

    first, second = np.array([1, 2]), np.array([3, 4])
    assert [scaled(first, 2), scaled(first, 2), scaled(second, 2), scaled(first, 3)] == [6, 6, 14, 9]
    assert asked == [(1, 2), (3, 2), (1, 3)]


def test_what_was_asked_about_is_not_written_to_any_more() -> None:
    array = np.array([1, 2])
    assert remembered(lambda a: int(a.sum()))(array) == 3
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 5


def test_results_go_with_the_array() -> None:
    total = remembered(lambda a: np.array([a.sum()]))
    array = np.array([1, 2])
    kept = ref(total(array))
    assert kept() is not None
    del array
    gc.collect()
    assert kept() is None
