"""Arrays at the boundary of a built program."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import DTypeError
from .types import DType, Int


class NDArray:
    """Integers of one HeteroCL type; a built program reads and writes them in place."""

    def __init__(self, values: npt.NDArray[Any], dtype: DType) -> None:
        self.dtype = dtype
        self.values = values

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape

    def asnumpy(self) -> npt.NDArray[Any]:
        """A copy as a numpy array, of the narrowest of the 8, 16, 32 and 64-bit types that holds the type."""
        bits = next(b for b in (8, 16, 32, 64) if self.dtype.bits <= b)
        return self.values.astype(np.dtype(f"{'i' if self.dtype.signed else 'u'}{bits // 8}"))


def asarray(arr: Any, dtype: DType | None = None) -> NDArray:
    """An array of `dtype` (`Int(32)` if none is given) from integers; values wrap, as HeteroCL's do.

    Raises:
        DTypeError: elements wider than 64 bits, or values that are no integers.
    """
    chosen = dtype or Int(32)
    if chosen.bits > 64:
        raise DTypeError(f"arrays have elements of at most 64 bits, not {chosen}: split the word")
    array = np.asarray(arr)
    if array.dtype.kind == "f" and np.array_equal(array, np.trunc(array)):
        array = array.astype(np.int64)
    if array.dtype.kind == "O" and all(isinstance(v, int) for v in array.flat):
        array = np.array([v & (1 << 64) - 1 for v in array.flat], dtype=np.uint64).reshape(array.shape)
    if array.dtype.kind not in "iub":
        raise DTypeError(f"an array of {array.dtype} is given for {chosen}: integers are needed")
    raw = array.astype(np.uint64, copy=True)
    spare = np.uint64(64 - chosen.bits)
    shifted = raw << spare
    values = shifted.view(np.int64) >> spare.astype(np.int64) if chosen.signed else shifted >> spare
    return NDArray(values, chosen)
