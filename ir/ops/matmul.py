"""Products of matrices that are both computed, and operations along a row of channels: the parts of attention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt

import numpy as np

from ir.ops.base import Op, Operand, need
from ir.types import Array, TensorType


@dataclass(frozen=True)
class MatMul(Op):
    """``y[n, m, b] = sum over k of x[k, m, b] * w[n, k, b]``: x holds B matrices of M rows, w as many of K rows.

    Rows lie along the channels, so that a row of the result is a sum of rows of w.
    """

    def infer(self, operands: Sequence[Operand]) -> TensorType:
        need(len(operands) == 2, f"takes x and w; got {len(operands)} operands")
        x, w = (operand.type for operand in operands)
        need(x.dtype.is_integer and w.dtype.is_integer, "takes integers")
        need(len(x.shape) == 3 and len(w.shape) == 3, f"takes (K, M, B) and (N, K, B), got {x.shape} and {w.shape}")
        need(x.shape[0] == w.shape[1] and x.shape[2] == w.shape[2], f"{x.shape} does not meet {w.shape}")
        products = [a * b * x.shape[0] for a in (x.lo, x.hi) for b in (w.lo, w.hi)]
        return TensorType.of_range((w.shape[0], x.shape[1], x.shape[2]), min(products), max(products))

    def evaluate(self, values: Sequence[Array]) -> Array:
        x, w = (v.astype(np.float64) for v in values)  # BLAS; exact below 2**53
        bound = float(np.abs(x).max(initial=0.0) * np.abs(w).max(initial=0.0) * x.shape[0])
        need(bound < 2.0**53, "sums above 2**53 are outside the reference executor's exact range")
        product = np.matmul(x.transpose(2, 1, 0), w.transpose(2, 1, 0))
        return np.asarray(product.transpose(2, 1, 0).astype(np.int64))


@dataclass(frozen=True)
class IntegerSoftmax(Op):
    """I-BERT's softmax over the channels, in integers (Kim et al., arXiv:2101.01321, algorithm 2).

    With ``t = x - max``, ``z = min(-t // log2, 31)`` and ``p = t + z * log2``, an exponential is
    ``e = ((p + b)**2 + c) >> z``; the result is ``e * (levels - 1) // sum of e``.
    """

    b: int
    c: int
    log2: int
    levels: int

    def infer(self, operands: Sequence[Operand]) -> TensorType:
        need(len(operands) == 1, f"takes one operand, got {len(operands)}")
        x = operands[0].type
        need(x.dtype.is_integer and len(x.shape) == 3, f"takes integers (channels, height, width), got {x}")
        need(self.log2 >= 1 and self.levels >= 2 and self.c >= 0, f"log2, levels or c is too small: {self}")
        largest = (max(abs(self.b), abs(self.b - self.log2 + 1), x.hi - x.lo) + abs(self.b)) ** 2 + self.c
        need(self.b**2 + self.c > 0, "b and c are 0: the exponential of the largest value vanishes")
        need(largest * max(self.levels, x.shape[0]) < 1 << 62, "exceeds 63 bits")
        return TensorType.of_range(x.shape, 0, self.levels - 1)

    def evaluate(self, values: Sequence[Array]) -> Array:
        t = values[0].astype(np.int64) - values[0].astype(np.int64).max(axis=0, keepdims=True)
        z = np.minimum(-t // self.log2, 31)
        e = ((t + z * self.log2 + self.b) ** 2 + self.c) >> z
        return np.asarray(e * (self.levels - 1) // e.sum(axis=0, keepdims=True))


@dataclass(frozen=True)
class IntegerRmsNorm(Op):
    """``clip(floor(x * weight[c] / root / 2**shift), lo, hi)`` with ``root = isqrt(sum of x**2 over C // C + 1)``;
    operands x (C, H, W), weight (C,). I-BERT's normalisation without a mean."""

    shift: int
    lo: int
    hi: int

    def infer(self, operands: Sequence[Operand]) -> TensorType:
        need(len(operands) == 2, f"takes x and weight; got {len(operands)} operands")
        x, weight = operands
        need(x.type.dtype.is_integer and weight.type.dtype.is_integer, "takes integers")
        need(len(x.type.shape) == 3, f"takes (channels, height, width), got shape {x.type.shape}")
        need(weight.type.shape == x.type.shape[:1], f"weight has shape {weight.type.shape}, needs one per channel")
        need(0 <= self.shift <= 62 and self.lo < self.hi, f"shift or range is out of bounds: {self}")
        largest = max(abs(x.type.lo), abs(x.type.hi))
        factor = max(abs(int(v)) for v in weight.constant)
        need(largest**2 * x.type.shape[0] < 1 << 31 and largest * factor < 1 << 62, "exceeds 63 bits")
        return TensorType.of_range(x.type.shape, self.lo, self.hi)

    def evaluate(self, values: Sequence[Array]) -> Array:
        x, weight = (v.astype(np.int64) for v in values)
        root = np.vectorize(isqrt, otypes=[np.int64])((x * x).sum(axis=0) // x.shape[0] + 1)
        return np.asarray(np.clip((x * weight.reshape(-1, 1, 1) // root) >> np.int64(self.shift), self.lo, self.hi))
