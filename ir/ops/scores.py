"""Sigmoid and softmax of real values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ir import functions
from ir.ops.base import Op, Operand, float_type, need
from ir.types import Array, TensorType


@dataclass(frozen=True)
class Sigmoid(Op):
    """``1 / (1 + exp(-x))``."""

    def infer(self, operands: Sequence[Operand]) -> TensorType:
        return _one_float(operands)

    def evaluate(self, values: Sequence[Array]) -> Array:
        return functions.sigmoid(values[0].astype(np.float64))


@dataclass(frozen=True)
class Softmax(Op):
    """``exp(x) / sum(exp(x))`` over the channels, for every pixel by itself."""

    def infer(self, operands: Sequence[Operand]) -> TensorType:
        return _one_float(operands)

    def evaluate(self, values: Sequence[Array]) -> Array:
        x = values[0].astype(np.float64)
        powers = functions.exp(x - x.max(axis=0))
        return np.asarray(powers / functions.total(powers, 0))


def _one_float(operands: Sequence[Operand]) -> TensorType:
    need(len(operands) == 1, f"takes one operand, got {len(operands)}")
    x = operands[0].type
    need(not x.dtype.is_integer, f"takes floats, got {x}")
    return float_type(x.shape, operands)
