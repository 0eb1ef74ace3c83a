"""The solver against known numbers: every published cell and every lower bound of the project's notes."""

from __future__ import annotations

from fractions import Fraction

import pytest

from hls.packing.choose import LeastLuts, solve
from hls.packing.geometry import GEOMETRIES
from hls.packing.published import CASES, FACTORS, FOUND, PLAIN, SYMMETRIC, WIDTHS
from hls.packing.ranges import PackingError, Range
from hls.packing.solver import Freedom, Problem
from hls.packing.tables import PLAIN_FREEDOM, rate

ROUNDING = 0.005  # of the published figures


@pytest.mark.parametrize("name", PLAIN)
def test_plain_bounds_with_full_range_weights(name: str) -> None:
    for case, bound in zip(CASES, PLAIN[name], strict=True):
        assert rate(*case, GEOMETRIES[name], False, freedom=PLAIN_FREEDOM) >= bound - ROUNDING, case


@pytest.mark.parametrize("name", SYMMETRIC)
def test_symmetric_bounds_with_overlap_and_split(name: str) -> None:
    for case, bound in zip(CASES, SYMMETRIC[name], strict=True):
        assert rate(*case, GEOMETRIES[name], True) >= bound - ROUNDING, case


def test_single_results() -> None:
    for case, bound in FOUND:
        assert rate(*case, GEOMETRIES["dsp48e2"], True) >= bound, case


@pytest.mark.parametrize("kernel", FACTORS)
def test_published_factors_are_met_with_full_range_weights(kernel: int) -> None:
    dsp = GEOMETRIES["dsp48e2"]
    for w, row in zip(WIDTHS, FACTORS[kernel], strict=True):
        for a, claim in zip(WIDTHS, row, strict=True):
            assert rate(w, a, kernel, dsp, False) >= claim - ROUNDING, (w, a)


def test_a_published_claim_that_needs_overlap_is_not_reached_without() -> None:
    """K3 w4a7 on 27x18, 6 claimed: sums of two products take 127 * 2 * 8 + 1 values, 11 bits. Three weights of -8..7 at
    that pitch are packed down to -8 * (2**22 + 2**11 + 1) and need 27 bits; two activations need 19 of the 18."""
    dsp = GEOMETRIES["dsp48e2"]
    assert 4 <= rate(4, 7, 3, dsp, False, freedom=PLAIN_FREEDOM) < 6
    assert rate(4, 7, 3, dsp, False) >= 6


def test_rate_never_falls_with_more_freedom_or_fewer_bits() -> None:
    dsp = GEOMETRIES["dsp48e1"]
    for kernel in (1, 3):
        for bits in range(1, 8):
            assert rate(bits, 4, kernel, dsp, False) >= rate(bits + 1, 4, kernel, dsp, False)
            assert rate(4, bits, kernel, dsp, False) >= rate(4, bits + 1, kernel, dsp, False)
            assert rate(bits, 4, kernel, dsp, True) >= rate(bits, 4, kernel, dsp, False) or bits == 1
            assert rate(bits, 4, kernel, dsp, False) >= rate(bits, 4, kernel, dsp, False, freedom=PLAIN_FREEDOM)


def test_least_luts_at_a_rate() -> None:
    problem = Problem(Range(-7, 7), Range(0, 15), (3, 3))
    dsp = GEOMETRIES["dsp48e2"]
    most = solve(problem, dsp)
    frugal = solve(problem, dsp, LeastLuts(Fraction(6)))
    assert frugal.multiplies >= 6
    assert frugal.luts / frugal.multiplies < most.luts / most.multiplies
    with pytest.raises(PackingError, match="rate 9 on dsp48e2"):
        solve(problem, dsp, LeastLuts(Fraction(9)))


def test_operands_beyond_every_port() -> None:
    with pytest.raises(PackingError, match="gowin9"):
        solve(Problem(Range(-1000, 1000), Range(0, 4000)), GEOMETRIES["gowin9"], None, Freedom(split=False))
    with pytest.raises(PackingError, match="kernel 9x9"):
        Problem(Range(-1, 1), Range(0, 1), (9, 9))
