"""Functions of reals out of IEEE 754's own operations alone, so that every machine gives the same bits.

A library's ``exp`` may differ in its last bit from processor to processor; what is rounded to integers afterwards then
may differ by a step. Here every operation is an addition, a multiplication or a division in binary64, in the order in
which ``cpu_backend/kernels/hck_real.c`` has it. Errors are at most 4 units in the last place (`erf`: 16).
"""

from __future__ import annotations

import numpy as np

from ir.types import Array

LOG2E = 1.4426950408889634
LN2_HIGH, LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
"""ln 2 in two parts, the first of which has 32 bits: its products with exponents are exact (Cody and Waite, "Software
Manual for the Elementary Functions", 1980)."""
EXP_TERMS = 14
LOWEST, HIGHEST = -708.0, 709.0
"""Beyond which ``exp`` is 0 or infinite here."""
LOG_TERMS = 12
SQRT2 = 1.4142135623730951
SQRT_HALF = 0.7071067811865476
TWO_BY_SQRT_PI = 1.1283791670955126
ERF_END, ERF_TERMS = 6.0, 128
ROOT_STEPS = 5


def clip(x: Array, lo: float, hi: float) -> Array:
    """x between two bounds; the sign of a zero and what is no number stay."""
    return np.where(x < lo, lo, np.where(x > hi, hi, x))


def _tail(r: Array) -> Array:
    """``expm1(r)`` for magnitudes up to ln 2 / 2, by Taylor's series."""
    value = np.ones_like(r)
    for n in range(EXP_TERMS, 1, -1):
        value = 1.0 + r * value / n
    return r * value


def exp(x: Array) -> Array:
    """e to the power of x; 0 below `LOWEST`, infinite above `HIGHEST`."""
    inner = clip(x, LOWEST, HIGHEST)
    n = np.rint(inner * LOG2E)
    r = (inner - n * LN2_HIGH) - n * LN2_LOW
    value = (1.0 + _tail(r)) * _power_of_two(n)
    return np.where(x > HIGHEST, np.inf, np.where(x < LOWEST, 0.0, value))


def _power_of_two(n: Array) -> Array:
    exponents = np.where(np.isfinite(n), n, 0.0).astype(np.int64) + 1023
    return np.where(np.isfinite(n), (exponents << 52).view(np.float64), n)


def expm1(x: Array) -> Array:
    """``exp(x) - 1``, as precise near 0 as elsewhere."""
    small = np.abs(x) < 0.3
    return np.where(small, _tail(np.where(small, x, 0.0)), exp(x) - 1.0)


def log(x: Array) -> Array:
    """The natural logarithm; infinite below 0 at 0, no number for what is negative."""
    tiny = x < 2.0**-1022
    scaled = np.where(tiny, np.where(tiny, x, 1.0) * 2.0**54, x)
    valid = (x > 0) & np.isfinite(x)
    bits = np.where(valid, scaled, 1.0).view(np.int64)
    exponent = (bits >> 52) - 1023
    m = ((bits & ((1 << 52) - 1)) | (1023 << 52)).view(np.float64)
    large = m > SQRT2
    m, e = np.where(large, m * 0.5, m), (exponent + large - np.where(tiny, 54, 0)).astype(np.float64)
    s = (m - 1.0) / (m + 1.0)
    q = s * s
    series = np.zeros_like(s)
    for k in range(LOG_TERMS, 0, -1):
        series = (series + 1.0 / (2 * k + 1)) * q
    value = e * LN2_HIGH + (2.0 * s * (1.0 + series) + e * LN2_LOW)
    return np.where(valid, value, np.where(x == 0, -np.inf, np.where(x > 0, x, np.nan)))


def tanh(x: Array) -> Array:
    """Odd; from ``expm1(-2|x|)``, which never overflows."""
    e = expm1(-2.0 * np.abs(x))
    value = -e / (2.0 + e)
    return np.where(x < 0, -value, value)


def sigmoid(x: Array) -> Array:
    """``1 / (1 + exp(-x))``."""
    return 1.0 / (1.0 + exp(-x))


def softplus(x: Array) -> Array:
    """``log(1 + exp(x))``."""
    return np.where(x > 0, x, 0.0) + log(1.0 + exp(-np.abs(x)))


def erf(x: Array) -> Array:
    """The error function, by a series of positive terms (Abramowitz and Stegun, 7.1.6)."""
    z = np.minimum(np.abs(x), ERF_END)
    q = z * z
    term = total = z
    for n in range(1, ERF_TERMS):
        term = term * q / (n + 0.5)
        total = total + term
    value = np.where(z >= ERF_END, 1.0, TWO_BY_SQRT_PI * exp(-q) * total)
    return np.where(x < 0, -value, value)


def sqrt(x: Array) -> Array:
    """The square root by Newton's iteration from half the exponent; no number for what is negative."""
    valid = (x >= 2.0**-1022) & np.isfinite(x)
    safe = np.where(valid, x, 1.0)
    y = ((safe.view(np.int64) >> 1) + (1023 << 51)).view(np.float64)
    for _ in range(ROOT_STEPS):
        y = 0.5 * (y + safe / y)
    return np.where(valid, y, np.where(x >= 0, np.where(np.isfinite(x), 0.0, x), np.nan))


def total(x: Array, axis: int) -> Array:
    """The sum along an axis, from its first element to its last."""
    return np.asarray(np.add.accumulate(x, axis=axis).take(-1, axis=axis))
