"""Pooling, rearrangement and joining."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ir.ops.base import Op, Operand, need
from ir.types import Array, TensorType


@dataclass(frozen=True)
class MaxPool2d(Op):
    """Maximum over windows of x (C, H, W); rows and columns that fill no window are dropped."""

    kernel: tuple[int, int] = (2, 2)
    stride: tuple[int, int] = (2, 2)

    def infer(self, operands: Sequence[Operand]) -> TensorType:
        need(len(operands) == 1, f"takes one operand, got {len(operands)}")
        x = operands[0].type
        need(len(x.shape) == 3, f"takes (channels, height, width), got shape {x.shape}")
        need(min(*self.kernel, *self.stride) >= 1, f"window {self.kernel} at stride {self.stride} must be at least 1")
        height = (x.shape[1] - self.kernel[0]) // self.stride[0] + 1
        width = (x.shape[2] - self.kernel[1]) // self.stride[1] + 1
        need(height > 0 and width > 0, f"window {self.kernel} is larger than the input {x.shape[1:]}")
        return TensorType((x.shape[0], height, width), x.dtype, x.lo, x.hi)

    def evaluate(self, values: Sequence[Array]) -> Array:
        windows = np.lib.stride_tricks.sliding_window_view(values[0], self.kernel, axis=(1, 2))
        return np.asarray(windows[:, :: self.stride[0], :: self.stride[1]].max(axis=(3, 4)))


@dataclass(frozen=True)
class SpaceToDepth(Op):
    """(C, H, W) -> (C * b * b, H / b, W / b); channel ``(sy * b + sx) * C + c`` (sub-position major)."""

    block: int = 2

    def infer(self, operands: Sequence[Operand]) -> TensorType:
        need(len(operands) == 1, f"takes one operand, got {len(operands)}")
        x, b = operands[0].type, self.block
        need(len(x.shape) == 3, f"takes (channels, height, width), got shape {x.shape}")
        need(b >= 1, f"block must be at least 1, is {b}")
        need(x.shape[1] % b == 0 and x.shape[2] % b == 0, f"extent {x.shape[1:]} is no multiple of the block {b}")
        return TensorType((x.shape[0] * b * b, x.shape[1] // b, x.shape[2] // b), x.dtype, x.lo, x.hi)

    def evaluate(self, values: Sequence[Array]) -> Array:
        (c, h, w), b = values[0].shape, self.block
        blocks = values[0].reshape(c, h // b, b, w // b, b)
        return blocks.transpose(2, 4, 0, 1, 3).reshape(c * b * b, h // b, w // b)


@dataclass(frozen=True)
class Concat(Op):
    """Joins its operands along the channels."""

    def infer(self, operands: Sequence[Operand]) -> TensorType:
        need(len(operands) >= 2, f"takes at least two operands, got {len(operands)}")
        types = [operand.type for operand in operands]
        extents = {t.shape[1:] for t in types}
        need(len(extents) == 1, f"operands have different extents: {sorted(extents)}")
        shape = (sum(t.shape[0] for t in types), *types[0].shape[1:])
        if any(not t.dtype.is_integer for t in types):
            return TensorType(shape, types[0].dtype)
        return TensorType.of_range(shape, min(t.lo for t in types), max(t.hi for t in types))

    def evaluate(self, values: Sequence[Array]) -> Array:
        return np.concatenate(values)
