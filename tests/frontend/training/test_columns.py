"""Column-wise N:M pruning: index lists worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from frontend.training.columns import kept_columns, prune_columns


def lists(rows: list[list[float]], n: int, m: int, tile: int) -> list[list[int]]:
    return [kept.tolist() for kept in kept_columns(np.array(rows), n, m, tile)]


def test_keeps_the_largest_of_each_group_over_the_tile() -> None:
    rows = [
        [1, 5, 2, 0, 9, 1, 0, 3],
        [1, 0, 2, 6, 0, 1, 8, 3],  # sums of both rows: 2 5 4 6 | 9 2 8 6
    ]
    assert lists(rows, 2, 4, 2) == [[1, 3, 4, 6]]
    assert lists(rows, 1, 4, 2) == [[3, 4]]
    assert lists(rows, 1, 2, 2) == [[1, 3, 4, 6]]
    assert lists(rows, 3, 4, 2) == [[1, 2, 3, 4, 6, 7]]


def test_each_tile_has_its_own_list_and_the_last_may_be_short() -> None:
    rows = [[3, 1, 0, 0], [3, 1, 2, 0], [0, 9, 0, 1]]
    assert lists(rows, 1, 2, 2) == [[0, 2], [1, 3]]
    assert lists(rows, 1, 2, 1) == [[0, 2], [0, 2], [1, 3]]


def test_norms_are_sums_of_absolute_values() -> None:
    """Signed sums are 0, 0, 3 and 4: they would keep the last two."""
    rows = [[9, -5, 1, 2], [-9, 5, 2, 2]]
    assert lists(rows, 2, 4, 2) == [[0, 1]]


def test_equal_norms_keep_the_first_and_a_short_group_keeps_at_most_n() -> None:
    assert lists([[2, -2, 2, 2, 1, 5, 5]], 2, 4, 1) == [[0, 1, 5, 6]]
    assert lists([[1, 1, 7]], 2, 2, 1) == [[0, 1, 2]]


def test_columns_of_a_convolution_run_over_channels_first() -> None:
    """(O, I, KH, KW) = (1, 2, 1, 2): columns are tap 0 of channels 0 and 1, then tap 1 of both."""
    weights = np.array([[[[1, 4]], [[3, 2]]]])
    assert prune_columns(weights, 1, 2, 1).tolist() == [[[[0, 4]], [[3, 0]]]]
    assert weights.tolist() == [[[[1, 4]], [[3, 2]]]]


@pytest.mark.parametrize(("n", "m", "tile"), [(0, 4, 1), (3, 2, 1), (1, 2, 0)])
def test_refuses_impossible_patterns(n: int, m: int, tile: int) -> None:
    with pytest.raises(ValueError, match=f"{n}:{m} columns in tiles of {tile}"):
        kept_columns(np.ones((2, 4)), n, m, tile)
