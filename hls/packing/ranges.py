"""Value ranges: what every legality rule of the packings is computed from."""

from __future__ import annotations

from dataclasses import dataclass


class PackingError(ValueError):
    """Operands that fit no packing, not even a single multiplication, on the given multiplier."""


@dataclass(frozen=True)
class Range:
    """The inclusive range of an operand's values."""

    lo: int
    hi: int

    def __post_init__(self) -> None:
        if self.lo > self.hi:
            raise PackingError(f"range {self.lo}..{self.hi} is empty")

    @property
    def size(self) -> int:
        return self.hi - self.lo + 1

    @property
    def magnitude(self) -> int:
        return max(abs(self.lo), abs(self.hi))

    @property
    def signed_bits(self) -> int:
        """The width of the narrowest two's complement type that holds the range."""
        return signed_bits(self.lo, self.hi)

    def __contains__(self, value: int) -> bool:
        return self.lo <= value <= self.hi

    def __add__(self, shift: int) -> Range:
        return Range(self.lo + shift, self.hi + shift)

    def times(self, other: Range) -> Range:
        ends = [a * b for a in (self.lo, self.hi) for b in (other.lo, other.hi)]
        return Range(min(ends), max(ends))

    def packed(self, count: int, pitch: int) -> Range:
        """The range of ``sum v_i 2**(i*pitch)`` over ``count`` such values."""
        return self.scaled(comb(count, pitch))

    def scaled(self, factor: int) -> Range:
        return Range(self.lo * factor, self.hi * factor)

    def with_zero(self) -> Range:
        """Padding puts zeros beside the values."""
        return Range(min(self.lo, 0), max(self.hi, 0))

    @staticmethod
    def weights(bits: int, symmetric: bool) -> Range:
        """Signed weights of ``bits`` bits; symmetric ones leave out ``-2**(bits-1)`` and have one bit mean -1 or +1."""
        half = 1 << (bits - 1)
        if symmetric:
            return Range(-max(half - 1, 1), max(half - 1, 1))
        return Range(-half, half - 1)

    @staticmethod
    def activations(bits: int, signed: bool = False) -> Range:
        return Range(-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else Range(0, (1 << bits) - 1)


def signed_bits(lo: int, hi: int) -> int:
    """Bits of the narrowest two's complement type that holds ``lo..hi``."""
    return max((-lo - 1).bit_length() if lo < 0 else lo.bit_length(), hi.bit_length() if hi > 0 else 0) + 1


def comb(count: int, stride: int) -> int:
    """``sum 2**(i*stride)`` over ``count`` terms."""
    return ((1 << (count * stride)) - 1) // ((1 << stride) - 1) if count > 1 else 1
