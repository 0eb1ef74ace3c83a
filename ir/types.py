"""Element types and tensor types.

A tensor type carries the *true* range of its values beside the width they are stored in: accumulators, lanes and
packed operands are sized from the range (known weights make it much tighter than the width).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Kind = Literal["int", "uint", "bipolar", "float"]
Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class DType:
    """Element type: two's complement ``int1..int64``, ``uint1..uint64``, ``bipolar`` (-1 or +1) or ``float32/64``."""

    kind: Kind
    bits: int

    def __post_init__(self) -> None:
        allowed = {"int": range(1, 65), "uint": range(1, 65), "bipolar": (1,), "float": (32, 64)}[self.kind]
        if self.bits not in allowed:
            raise ValueError(f"{self.kind} of {self.bits} bits is no element type")

    @staticmethod
    def parse(text: str) -> DType:
        """``"uint4"`` -> DType; ValueError with the allowed forms otherwise."""
        if text == "bipolar":
            return DType("bipolar", 1)
        found = re.fullmatch(r"(int|uint|float)(\d+)", text)
        if not found:
            raise ValueError(f"'{text}' is no element type (allowed: int1..int64, uint1..uint64, bipolar, float32/64)")
        return DType("int" if found[1] == "int" else "uint" if found[1] == "uint" else "float", int(found[2]))

    @staticmethod
    def holding(lo: int, hi: int) -> DType:
        """The narrowest integer type that holds every value of ``lo..hi``."""
        if lo >= 0:
            return DType("uint", max(1, int(hi).bit_length()))
        return DType("int", max((-lo - 1).bit_length(), max(hi, 0).bit_length()) + 1)

    @property
    def is_integer(self) -> bool:
        return self.kind != "float"

    @property
    def signed(self) -> bool:
        return self.kind != "uint"

    @property
    def lo(self) -> int:
        return {"int": -(1 << (self.bits - 1)), "uint": 0, "bipolar": -1}[self.kind]

    @property
    def hi(self) -> int:
        return {"int": (1 << (self.bits - 1)) - 1, "uint": (1 << self.bits) - 1, "bipolar": 1}[self.kind]

    @property
    def container(self) -> np.dtype[np.generic]:
        """The smallest native type that stores one element: int8, uint8, int16, ... (float32/64 for floats)."""
        if self.kind == "float":
            return np.dtype(f"float{self.bits}")
        width = next(w for w in (8, 16, 32, 64) if w >= self.bits + (self.kind == "bipolar"))
        return np.dtype(f"{'int' if self.signed else 'uint'}{width}")

    def __str__(self) -> str:
        return "bipolar" if self.kind == "bipolar" else f"{self.kind}{self.bits}"


@dataclass(frozen=True, slots=True)
class TensorType:
    """Shape, element type and, for integers, the range ``lo..hi`` that the values really take.

    Activations have shape (channels, height, width); the frame (batch) axis is never part of a tensor.
    """

    shape: tuple[int, ...]
    dtype: DType
    lo: int = 0
    hi: int = 0

    def __post_init__(self) -> None:
        if any(extent < 1 for extent in self.shape):
            raise ValueError(f"shape {self.shape} has an extent below 1")
        if self.dtype.is_integer and not self.dtype.lo <= self.lo <= self.hi <= self.dtype.hi:
            raise ValueError(f"range {self.lo}..{self.hi} is not inside {self.dtype}")

    @staticmethod
    def of_range(shape: tuple[int, ...], lo: int, hi: int) -> TensorType:
        """An integer tensor in the narrowest type that holds ``lo..hi``."""
        return TensorType(shape, DType.holding(lo, hi), lo, hi)

    @staticmethod
    def of_dtype(shape: tuple[int, ...], dtype: DType) -> TensorType:
        """A tensor whose values may take the whole range of ``dtype``."""
        return TensorType(shape, dtype, dtype.lo, dtype.hi) if dtype.is_integer else TensorType(shape, dtype)

    @staticmethod
    def of_values(values: Array) -> TensorType:
        """The type of a constant: its shape and exact range."""
        if values.dtype.kind == "f":
            return TensorType(values.shape, DType("float", 8 * values.dtype.itemsize))
        return TensorType.of_range(values.shape, int(values.min()), int(values.max()))

    @property
    def elements(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))

    def __str__(self) -> str:
        extents = "x".join(map(str, self.shape))
        return f"{self.dtype}[{extents}]" + (f" in {self.lo}..{self.hi}" if self.dtype.is_integer else "")
