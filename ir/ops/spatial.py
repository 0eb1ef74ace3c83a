"""Rearrangement and joining."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ir.ops.base import Op, Operand, are_floats, float_type, need
from ir.types import Array, TensorType


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
class DepthToSpace(Op):
    """(C * b * b, H, W) -> (C, H * b, W * b): each pixel becomes a block of b x b.

    ``order`` says where channel c of sub-position (sy, sx) comes from, in ONNX's names: ``dcr`` takes
    ``(sy * b + sx) * C + c`` and undoes SpaceToDepth, ``crd`` takes ``(c * b + sy) * b + sx`` as torch's pixel_shuffle.
    """

    block: int = 2
    order: Literal["dcr", "crd"] = "dcr"

    def infer(self, operands: Sequence[Operand]) -> TensorType:
        need(len(operands) == 1, f"takes one operand, got {len(operands)}")
        x, b = operands[0].type, self.block
        need(len(x.shape) == 3, f"takes (channels, height, width), got shape {x.shape}")
        need(b >= 1, f"block must be at least 1, is {b}")
        need(self.order in ("dcr", "crd"), f"order must be dcr or crd, is {self.order}")
        need(x.shape[0] % (b * b) == 0, f"{x.shape[0]} channels are no multiple of the block's {b * b} positions")
        return TensorType((x.shape[0] // (b * b), x.shape[1] * b, x.shape[2] * b), x.dtype, x.lo, x.hi)

    def evaluate(self, values: Sequence[Array]) -> Array:
        (channels, h, w), b = values[0].shape, self.block
        c = channels // (b * b)
        if self.order == "dcr":
            blocks = values[0].reshape(b, b, c, h, w).transpose(2, 3, 0, 4, 1)
        else:
            blocks = values[0].reshape(c, b, b, h, w).transpose(0, 3, 1, 4, 2)
        return blocks.reshape(c, h * b, w * b)


@dataclass(frozen=True)
class Upsample(Op):
    """(C, H, W) -> (C, H * factor, W * factor): every pixel repeated, nearest neighbour."""

    factor: int = 2

    def infer(self, operands: Sequence[Operand]) -> TensorType:
        need(len(operands) == 1, f"takes one operand, got {len(operands)}")
        x = operands[0].type
        need(len(x.shape) == 3, f"takes (channels, height, width), got shape {x.shape}")
        need(self.factor >= 1, f"factor must be at least 1, is {self.factor}")
        shape = (x.shape[0], x.shape[1] * self.factor, x.shape[2] * self.factor)
        return TensorType(shape, x.dtype, x.lo, x.hi)

    def evaluate(self, values: Sequence[Array]) -> Array:
        return values[0].repeat(self.factor, axis=1).repeat(self.factor, axis=2)


@dataclass(frozen=True)
class Concat(Op):
    """Joins its operands along the channels."""

    def infer(self, operands: Sequence[Operand]) -> TensorType:
        need(len(operands) >= 2, f"takes at least two operands, got {len(operands)}")
        types = [operand.type for operand in operands]
        extents = {t.shape[1:] for t in types}
        need(len(extents) == 1, f"operands have different extents: {sorted(extents)}")
        shape = (sum(t.shape[0] for t in types), *types[0].shape[1:])
        if are_floats(operands):
            return float_type(shape, operands)
        lo, hi = min(t.lo for t in types), max(t.hi for t in types)
        if all(t.dtype.kind == "bipolar" for t in types):
            return TensorType(shape, types[0].dtype, lo, hi)
        return TensorType.of_range(shape, lo, hi)

    def evaluate(self, values: Sequence[Array]) -> Array:
        return np.concatenate(values)
