"""Real values of a network as fixed-point integers: what stands between integer operators, frozen in float64."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from frontend.errors import ModelError
from frontend.zoo.integers import Builder
from ir.ops import MultiplyShift
from ir.types import Array

PRODUCT_BITS = 31
"""Products, with what is added to them, keep to signed 32 bits: cores compute them in one register."""
MOST_SHIFT = 24


@dataclass(frozen=True, eq=False)
class Affine:
    """``x * gain + offset`` per channel, in float64: a batch norm, a bias, an average's division."""

    gain: Array
    offset: Array


def scaled(b: Builder, name: str, x: str, map_: Affine, fraction: tuple[int, int], bits: int) -> str:
    """The affine map as a multiply-shift; ``fraction``: bits after the binary point of x and of the result.

    The result saturates in ``bits`` bits. The shift is the largest at which every product keeps to 32 bits, so the
    multipliers are as exact as that allows. Raises ModelError where a gain or offset leaves no room at all.
    """
    gain = map_.gain * 2.0 ** (fraction[1] - fraction[0])
    offset = map_.offset * 2.0 ** fraction[1]
    type_ = b.types[x]
    largest = max(abs(type_.lo), abs(type_.hi))
    # Per unit of 2**shift: the product, the addend, the rounding half; besides these, mul and add are rounded.
    unit = largest * np.abs(gain) + np.abs(offset) + 0.5
    shift = min(int(np.floor(np.log2((2.0**PRODUCT_BITS - largest - 2) / unit.max()))), MOST_SHIFT)
    if shift < 1:
        channel = int(unit.argmax())
        raise ModelError(
            f"'{name}': a gain of {map_.gain[channel]:g} and an offset of {map_.offset[channel]:g} (channel {channel}) "
            f"exceed 32-bit arithmetic: the batch norm is degenerate"
        )
    mul, add = (np.rint(v * 2.0**shift).astype(np.int64) for v in (gain, offset))
    end = 1 << (bits - 1)
    return b.add(name, MultiplyShift(shift, -end, end - 1), x, mul=mul, add=add)


def fixed(name: str, values: Array, fraction: int) -> Array:
    """The nearest integers with ``fraction`` bits after the binary point; ties to even.

    Raises ModelError, for the node ``name``, where they leave 32 bits.
    """
    found = np.rint(values * 2.0**fraction)
    if np.abs(found).max() >= 2.0**PRODUCT_BITS:
        worst = values[np.abs(found).argmax()]
        raise ModelError(f"'{name}': {worst:g} with {fraction} bits after the binary point leaves 32 bits")
    return found.astype(np.int64)
