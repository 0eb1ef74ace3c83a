"""2-D convolution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ir.memo import remembered
from ir.ops.base import Op, Operand, are_floats, float_type, need
from ir.types import Array, TensorType


def weight_sums(weights: Array) -> tuple[tuple[int, int], ...]:
    """Of every output channel of integer weights (O, ...) the sums of the negative and of the positive ones."""
    flat = weights.reshape(weights.shape[0], -1)
    largest = max(-int(flat.min(initial=0)), int(flat.max(initial=0)))
    flat = flat.astype(np.int64 if largest * flat.shape[1] < 1 << 63 else object, copy=False)
    negative, positive = np.minimum(flat, 0).sum(1), np.maximum(flat, 0).sum(1)
    return tuple(zip(negative.tolist(), positive.tolist(), strict=True))


constant_sums = remembered(weight_sums)
"""`weight_sums` of a graph's constant."""


@dataclass(frozen=True)
class Conv2d(Op):
    """Cross-correlation of x (C, H, W) with w (O, C/groups, KH, KW); an optional bias (O,) is added on float graphs.

    ``padding`` is (top, left, bottom, right) zeros. Integer results are exact; their range is the extreme of every
    output channel's ``sum(w * x)`` over the operand's range, zero padding included.
    """

    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    groups: int = 1

    def infer(self, operands: Sequence[Operand]) -> TensorType:
        need(len(operands) in (2, 3), f"takes 2 or 3 operands, got {len(operands)}")
        x, w = operands[0].type, operands[1].type
        need(len(x.shape) == 3, f"takes (channels, height, width), got shape {x.shape}")
        need(len(w.shape) == 4, f"takes weights (out, in/groups, height, width), got shape {w.shape}")
        need(min(self.stride) >= 1, f"stride must be at least 1, is {self.stride}")
        need(min(self.padding) >= 0, f"padding must be at least 0, is {self.padding}")
        need(self.groups >= 1, f"groups must be at least 1, is {self.groups}")
        need(
            x.shape[0] == w.shape[1] * self.groups, f"{x.shape[0]} channels meet weights for {w.shape[1] * self.groups}"
        )
        need(w.shape[0] % self.groups == 0, f"{w.shape[0]} outputs do not divide into {self.groups} groups")
        shape = (w.shape[0], *self.output_extent((x.shape[1], x.shape[2]), (w.shape[2], w.shape[3])))
        if are_floats(operands):
            if len(operands) == 3:
                bias = operands[2].type.shape
                need(bias == (w.shape[0],), f"bias has shape {bias}, needs ({w.shape[0]},)")
            return float_type(shape, operands)
        need(len(operands) == 2, "an integer convolution has no bias: it belongs to the requantisation")
        lowest, highest = (min(x.lo, 0), max(x.hi, 0)) if any(self.padding) else (x.lo, x.hi)
        sums = constant_sums(operands[1].constant)
        return TensorType.of_range(
            shape,
            min(p * lowest + n * highest for n, p in sums),
            max(p * highest + n * lowest for n, p in sums),
        )

    def output_extent(self, extent: tuple[int, int], kernel: tuple[int, int]) -> tuple[int, int]:
        """(OH, OW) for an input of (H, W) and a kernel of (KH, KW)."""
        top, left, bottom, right = self.padding
        height = (extent[0] + top + bottom - kernel[0]) // self.stride[0] + 1
        width = (extent[1] + left + right - kernel[1]) // self.stride[1] + 1
        need(height > 0 and width > 0, f"kernel {kernel} is larger than the padded input {extent}")
        return height, width

    def evaluate(self, values: Sequence[Array]) -> Array:
        # Exact on integers too: the float64 product of BLAS holds every sum below 2**53.
        x, w = values[0].astype(np.float64), values[1].astype(np.float64)
        integer = values[0].dtype.kind != "f" and values[1].dtype.kind != "f"
        top, left, bottom, right = self.padding
        x = np.pad(x, ((0, 0), (top, bottom), (left, right)))
        (kh, kw), (sh, sw) = w.shape[2:], self.stride
        windows = np.lib.stride_tricks.sliding_window_view(x, (kh, kw), axis=(1, 2))[:, ::sh, ::sw]
        outputs = []
        for group in range(self.groups):
            part = windows[group * w.shape[1] : (group + 1) * w.shape[1]]
            columns = part.transpose(0, 3, 4, 1, 2).reshape(w.shape[1] * kh * kw, -1)
            rows = w[group * (w.shape[0] // self.groups) : (group + 1) * (w.shape[0] // self.groups)]
            outputs.append(rows.reshape(rows.shape[0], -1) @ columns)
        result = np.concatenate(outputs).reshape(w.shape[0], windows.shape[1], windows.shape[2])
        if integer:
            bound = float(np.abs(w).reshape(w.shape[0], -1).sum(1).max() * np.abs(x).max(initial=0.0))
            need(bound < 2.0**53, "sums above 2**53 are outside the reference executor's exact range")
            return result.astype(np.int64)
        return result + values[2].astype(np.float64).reshape(-1, 1, 1) if len(values) == 3 else result
