"""Accumulator proofs against brute force over every order-independent partial sum."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest

from cpu_backend.ranges import WHOLE_SUM, accumulator, flush_period, partial_sums


@pytest.mark.parametrize(("lo", "hi"), [(0, 15), (-8, 7), (3, 9), (-5, -2)])
def test_bounds_are_the_extreme_partial_sums(lo: int, hi: int) -> None:
    weights = np.random.default_rng(1).integers(-7, 8, (3, 4, 1, 1))
    sums = [
        sum(w * x for w, x in zip(chosen, xs, strict=True))
        for channel in weights.reshape(3, 4).tolist()
        for size in range(5)
        for chosen in combinations(channel, size)
        for xs in product((lo, hi), repeat=size)
    ]
    assert partial_sums(weights, lo, hi) == (min(sums), max(sums))


def test_period_is_the_longest_that_always_fits() -> None:
    weights = np.array([[[[7]], [[-3]]]])
    period = flush_period(weights, 0, 15)  # W4A4 of the published table: 273 would be for 8 * 15
    assert period == 312
    assert period * 7 * 15 <= 32767 < (period + 1) * 7 * 15
    assert flush_period(np.array([[[[-8]]]]), 0, 15) == 273
    assert flush_period(np.zeros((1, 1, 1, 1), np.int64), 0, 255) == WHOLE_SUM


def test_period_counts_negative_extremes() -> None:
    period = flush_period(np.array([[[[-128]]]]), -128, 127)
    assert period == 1  # 2 * 16384 is one too many


@pytest.mark.parametrize(
    ("count", "weight", "hi", "bits", "note"),
    [
        (312, 7, 15, 16, "i16 accumulator, no flush"),
        (313, 7, 15, 16, "i16 accumulator, flush every 312"),
        (576, 127, 255, 32, "i32 accumulator, no flush"),  # one product nearly fills 16 bits
        (1, 127, 255, 16, "i16 accumulator, no flush"),
        (2, 127, 255, 32, "i32 accumulator, no flush"),
        (1, 128, 255, 16, "i16 accumulator, no flush"),
    ],
)
def test_width(count: int, weight: int, hi: int, bits: int, note: str) -> None:
    weights = np.full((1, count, 1, 1), -weight)
    proof = accumulator(weights, 0, hi)
    assert (proof.bits, proof.note) == (bits, note)


def test_wide_elements_and_weights_take_wide_sums() -> None:
    assert accumulator(np.array([[[[1]]]]), 0, 15, element_bits=16).bits == 32
    assert accumulator(np.array([[[[200]]]]), 0, 15).bits == 32
    assert accumulator(np.full((1, 2, 1, 1), 1 << 20), 0, 1 << 11, element_bits=16).bits == 64
