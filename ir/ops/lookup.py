"""A function of one value as a table of all its results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ir.ops.base import Op, Operand, need
from ir.types import Array, TensorType


@dataclass(frozen=True)
class Lookup(Op):
    """``table[x - first]`` for each element; operands x (C, H, W) and a constant table (N,), which holds all of x."""

    first: int

    def infer(self, operands: Sequence[Operand]) -> TensorType:
        need(len(operands) == 2, f"takes x and table; got {len(operands)} operands")
        x, table = operands
        need(x.type.dtype.is_integer and table.type.dtype.is_integer, "takes integers")
        need(len(table.type.shape) == 1, f"table has shape {table.type.shape}, needs one axis")
        last = self.first + table.type.shape[0] - 1
        need(self.first <= x.type.lo and x.type.hi <= last, f"has a table for {self.first}..{last}, x is {x.type}")
        met = table.constant[x.type.lo - self.first : x.type.hi - self.first + 1]
        return TensorType.of_range(x.type.shape, int(met.min()), int(met.max()))

    def evaluate(self, values: Sequence[Array]) -> Array:
        x, table = (v.astype(np.int64) for v in values)
        return np.asarray(table[x - self.first])
