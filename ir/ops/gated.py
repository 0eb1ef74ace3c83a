"""Precision-gated convolution: binary, with a second bit of the activations where the first says that it matters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ir.ops.base import Op, Operand, need, per_channel
from ir.ops.convolution import Conv2d
from ir.types import Array, TensorType


@dataclass(frozen=True)
class GatedConv2d(Op):
    """FracBNN's fractional convolution, times 3; operands x (C, H, W), w (O, C/groups, KH, KW), threshold (O,).

    x holds levels 0..3, which stand for ``q = 2 * x - 3``, that is -3, -1, 1, 3: a third of it is the activation. w is
    -1 or +1. With ``sg`` the sign of q, ``a = 2 * conv(sg, w)`` and ``b = conv(q, w)``, the result is b where
    ``a > threshold[c]`` and a elsewhere. Padded positions are zeros of q (not of x) and contribute nothing.

    Since ``q = 2 * sg + lo`` with ``lo`` = -1 or +1, the high bit of a level is sg, the low bit is lo, and
    ``b = a + conv(lo, w)``. Zhang et al., FracBNN: Accurate and FPGA-Efficient Binary Neural Networks with Fractional
    Activations, FPGA 2021.
    """

    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    groups: int = 1

    @property
    def convolution(self) -> Conv2d:
        return Conv2d(self.stride, self.padding, self.groups)

    def infer(self, operands: Sequence[Operand]) -> TensorType:
        need(len(operands) == 3, f"takes x, w, threshold; got {len(operands)} operands")
        x, w, threshold = operands
        need(x.type.dtype.is_integer and x.type.lo >= 0 and x.type.hi <= 3, f"takes levels 0..3, got {x.type}")
        need(is_bipolar(w), "takes weights of -1 and +1")
        need(threshold.type.dtype.is_integer, "takes integer thresholds")
        shape = self.convolution.infer((x, w)).shape
        need(threshold.type.shape == shape[:1], f"threshold has shape {threshold.type.shape}, needs one per output")
        taps = int(np.prod(w.type.shape[1:]))
        ranges = [self._channel_range(int(t), taps) for t in threshold.constant]
        return TensorType.of_range(shape, min(low for low, _ in ranges), max(high for _, high in ranges))

    def _channel_range(self, threshold: int, taps: int) -> tuple[int, int]:
        """The extremes of a channel with ``taps`` weights: a goes in steps of 4, of 2 where zeros are padded."""
        step, end = (2 if any(self.padding) else 4), 2 * taps
        if threshold < -end:
            return -3 * taps, 3 * taps
        if threshold >= end:
            return -end, end
        opened = -end + ((threshold + end) // step + 1) * step  # the least a above the threshold
        return min(-end, opened - taps), 3 * taps

    def evaluate(self, values: Sequence[Array]) -> Array:
        level, w, threshold = (v.astype(np.int64) for v in values)
        q = 2 * level - 3
        conv = self.convolution.evaluate
        a, b = 2 * conv((np.sign(q), w)), conv((q, w))
        return np.where(a > per_channel(threshold, a.ndim), b, a)


def is_bipolar(operand: Operand) -> bool:
    """Whether every value is -1 or +1: by its type, or as a constant."""
    if operand.type.dtype.kind == "bipolar":
        return True
    return operand.value is not None and bool((np.abs(operand.value.astype(np.int64)) == 1).all())
