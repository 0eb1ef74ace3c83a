"""Resizing a picture inside the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ir.ops.base import Op, Operand, need
from ir.resize import resize_bilinear
from ir.types import Array, TensorType


@dataclass(frozen=True)
class Resize(Op):
    """x (C, H, W) of up to 8 unsigned bits -> (C, height, width), bilinear, by the formula of `ir.resize`."""

    height: int
    width: int

    def infer(self, operands: Sequence[Operand]) -> TensorType:
        need(len(operands) == 1, f"takes one operand, got {len(operands)}")
        x = operands[0].type
        need(len(x.shape) == 3, f"takes (channels, height, width), got shape {x.shape}")
        need(x.dtype.kind == "uint" and x.dtype.bits <= 8, f"takes uint1 to uint8, got {x.dtype}")
        need(min(self.height, self.width) >= 1, f"{self.height}x{self.width} is no extent")
        # The formula grows with every pixel and keeps a picture of equal pixels: the range's ends stay.
        return TensorType((x.shape[0], self.height, self.width), x.dtype, x.lo, x.hi)

    def evaluate(self, values: Sequence[Array]) -> Array:
        picture = values[0].astype(np.uint8).transpose(1, 2, 0)
        return resize_bilinear(picture, self.width, self.height).transpose(2, 0, 1).astype(np.int64)
