"""Pooling: the maximum, the sum or the mean of windows."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ir.ops.base import Op, Operand, float_type, need
from ir.types import Array, TensorType


@dataclass(frozen=True)
class Pool(Op):
    """One value for each window of x (C, H, W); rows and columns that fill no window are dropped.

    ``padding`` is (top, left, bottom, right), each smaller than the window, so that no window is all padding.
    """

    kernel: tuple[int, int] = (2, 2)
    stride: tuple[int, int] = (2, 2)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)

    def windows(self, x: Array, outside: float) -> Array:
        """(C, OH, OW, KH, KW): the windows of x, ``outside`` around it."""
        top, left, bottom, right = self.padding
        padded = np.pad(x, ((0, 0), (top, bottom), (left, right)), constant_values=outside)
        sh, sw = self.stride
        return np.lib.stride_tricks.sliding_window_view(padded, self.kernel, axis=(1, 2))[:, ::sh, ::sw]

    def output_shape(self, operands: Sequence[Operand]) -> tuple[int, int, int]:
        """(C, OH, OW); OperatorError where the attributes do not fit the operand."""
        need(len(operands) == 1, f"takes one operand, got {len(operands)}")
        x, (kh, kw), (sh, sw) = operands[0].type, self.kernel, self.stride
        top, left, bottom, right = self.padding
        need(len(x.shape) == 3, f"takes (channels, height, width), got shape {x.shape}")
        need(min(kh, kw, sh, sw) >= 1, f"window {self.kernel} at stride {self.stride} must be at least 1")
        allowed = min(self.padding) >= 0 and max(top, bottom) < kh and max(left, right) < kw
        need(allowed, f"padding {self.padding} must be 0 or more and smaller than the window {self.kernel}")
        height, width = (x.shape[1] + top + bottom - kh) // sh + 1, (x.shape[2] + left + right - kw) // sw + 1
        need(height > 0 and width > 0, f"window {self.kernel} is larger than the input {x.shape[1:]} with its padding")
        return x.shape[0], height, width

    @abstractmethod
    def infer(self, operands: Sequence[Operand]) -> TensorType: ...

    @abstractmethod
    def evaluate(self, values: Sequence[Array]) -> Array: ...


@dataclass(frozen=True)
class MaxPool2d(Pool):
    """The maximum of each window; padding never wins."""

    def infer(self, operands: Sequence[Operand]) -> TensorType:
        shape, x = self.output_shape(operands), operands[0].type
        return TensorType(shape, x.dtype, x.lo, x.hi)

    def evaluate(self, values: Sequence[Array]) -> Array:
        x = values[0]
        least = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
        return np.asarray(self.windows(x, least).max(axis=(3, 4)))


@dataclass(frozen=True)
class SumPool2d(Pool):
    """The sum of each window, padding counted as zeros: an average pool before its division by the window's size,
    which belongs to the requantisation behind it."""

    def infer(self, operands: Sequence[Operand]) -> TensorType:
        shape, x = self.output_shape(operands), operands[0].type
        if not x.dtype.is_integer:
            return float_type(shape, operands)
        counts = self.windows(np.ones((1, *x.shape[1:]), np.int64), 0).sum(axis=(3, 4))
        fewest, most = int(counts.min()), int(counts.max())
        return TensorType.of_range(shape, x.lo * (most if x.lo < 0 else fewest), x.hi * (most if x.hi > 0 else fewest))

    def evaluate(self, values: Sequence[Array]) -> Array:
        wide = values[0].astype(np.float64 if values[0].dtype.kind == "f" else np.int64)
        return np.asarray(self.windows(wide, 0).sum(axis=(3, 4)))


@dataclass(frozen=True)
class AveragePool2d(Pool):
    """The mean of each window of floats; with ``count_padding`` the zeros around the picture count as values."""

    count_padding: bool = True

    def infer(self, operands: Sequence[Operand]) -> TensorType:
        shape, x = self.output_shape(operands), operands[0].type
        need(not x.dtype.is_integer, f"takes floats, got {x} (integers: SumPool2d and a requantisation)")
        return float_type(shape, operands)

    def evaluate(self, values: Sequence[Array]) -> Array:
        x = values[0].astype(np.float64)
        counted = np.ones((1, *x.shape[1:]))
        counts = self.windows(counted, float(self.count_padding)).sum(axis=(3, 4))
        return np.asarray(self.windows(x, 0).sum(axis=(3, 4)) / counts)
