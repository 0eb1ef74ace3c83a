"""Accumulator proofs against brute force over every order-independent partial sum."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest

from cpu_backend.ranges import (
    I8,
    I16,
    PERIODS8,
    WHOLE_SUM,
    Products,
    accumulator,
    flush_period,
    flush_period8,
    flush_period16,
    partial_sums,
)


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


def stretches(weights: np.ndarray[tuple[int, ...], np.dtype[np.int64]], period: int) -> list[list[int]]:
    """What the kernels add between two flushes: rows, columns, channels of a window, from the first product on."""
    flat = [channel.transpose(1, 2, 0).ravel().tolist() for channel in weights]
    return [values[at : at + period] for values in flat for at in range(0, len(values), period)]


def holds(
    weights: np.ndarray[tuple[int, ...], np.dtype[np.int64]], lo: int, hi: int, period: int, bounds: tuple[int, int]
) -> bool:
    """Whether no choice of elements takes a sum out of its bounds, zeros of the padding included."""
    for stretch in stretches(weights, period):
        least = sum(min(w * lo, w * hi, 0) for w in stretch)
        most = sum(max(w * lo, w * hi, 0) for w in stretch)
        if least < bounds[0] or most > bounds[1]:
            return False
    return True


@pytest.mark.parametrize("seed", range(30))
def test_8_bit_sums_hold_every_stretch_and_no_longer_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    top = int(rng.choice([1, 1, 2, 3, 7]))
    lo, hi = [(0, 3), (0, 1), (-1, 1), (-2, 1), (0, 7), (-4, 3), (0, 15)][seed % 7]
    weights = rng.integers(-top, top + 1, (int(rng.integers(1, 6)), int(rng.integers(1, 30)), 3, 3))
    period = flush_period8(Products.of(weights, lo, hi))
    products = weights[0].size
    tried = (products, *(p for p in PERIODS8 if p < products))
    assert period == max((p for p in tried if holds(weights, lo, hi, p, I8)), default=0)


@pytest.mark.parametrize("seed", range(30))
def test_16_bit_sums_hold_every_stretch(seed: int) -> None:
    """By these weights, at least as long as by the largest product alone, and mostly longer."""
    rng = np.random.default_rng(seed)
    lo, hi = [(0, 255), (-128, 127), (0, 15), (3, 90)][seed % 4]
    weights = rng.integers(-127, 128, (2, 40, 3, 3)) // (1 + seed % 3)
    least = flush_period(weights, lo, hi)
    period = flush_period16(Products.of(weights, lo, hi), least)
    assert period >= least
    assert period == least or holds(weights, lo, hi, period, I16)
    if hi == 15:
        assert period > least


def test_8_bit_periods_of_the_published_table() -> None:
    """W3A3 and W2A4 hold 4 products, W2A2 21; what these very weights add up to may allow more."""
    assert flush_period8(Products.of(np.full((1, 64, 3, 3), -4), 0, 7)) == 4
    assert flush_period8(Products.of(np.full((1, 64, 3, 3), -2), 0, 15)) == 4
    assert flush_period8(Products.of(np.full((1, 64, 3, 3), -2), 0, 3)) == 21
    assert flush_period8(Products.of(np.full((1, 64, 3, 3), 1), -1, 1)) == 124  # 127, in steps of four
    assert flush_period8(Products.of(np.full((1, 64, 3, 3), 7), 0, 15)) == 0
    halves = np.full((1, 64, 3, 3), -2)
    halves[:, ::2] = 0
    assert flush_period8(Products.of(halves, 0, 15)) == 8


@pytest.mark.parametrize(
    ("count", "weight", "hi", "bits", "note"),
    [
        (64, -2, 3, 8, "i8 accumulator, flush every 21 into i16"),
        (6000, -2, 3, 8, "i8 accumulator, flush every 21 into i16, every 5460 into i32"),
        (4, -2, 15, 8, "i8 accumulator, flush every 4 into i16"),
        (2, -2, 15, 16, "i16 accumulator, no flush"),  # nothing to be saved
        (64, -8, 15, 16, "i16 accumulator, no flush"),
    ],
)
def test_8_bits_where_they_save_beats(count: int, weight: int, hi: int, bits: int, note: str) -> None:
    proof = accumulator(np.full((1, count, 1, 1), weight), 0, hi)
    assert (proof.bits, proof.note) == (bits, note)
    assert proof.flush == WHOLE_SUM or proof.flush8 == 0 or proof.flush % proof.flush8 == 0


def test_8_bits_need_8_bit_elements() -> None:
    assert accumulator(np.full((1, 64, 1, 1), 1), 0, 1, element_bits=16).bits == 32
