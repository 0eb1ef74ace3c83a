"""Movement of whole tensors: transposition, reshaping, cutting out and padding; values stay as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ir.ops.base import Op, Operand, need
from ir.types import Array, TensorType

Triple = tuple[int, int, int]


@dataclass(frozen=True)
class Transpose(Op):
    """Axis ``i`` of the result is axis ``order[i]`` of x (C, H, W)."""

    order: Triple

    def infer(self, operands: Sequence[Operand]) -> TensorType:
        x = _volume(operands)
        need(sorted(self.order) == [0, 1, 2], f"order {self.order} is no order of three axes")
        return replace(x, shape=tuple(x.shape[axis] for axis in self.order))

    def evaluate(self, values: Sequence[Array]) -> Array:
        return values[0].transpose(self.order)


@dataclass(frozen=True)
class Reshape(Op):
    """x (C, H, W) with the same elements in the same order (W fastest, as in ONNX) in another ``shape``."""

    shape: Triple

    def infer(self, operands: Sequence[Operand]) -> TensorType:
        x = _volume(operands)
        need(min(self.shape) >= 1, f"shape {self.shape} has an extent below 1")
        need(int(np.prod(self.shape, dtype=object)) == x.elements, f"{x.elements} elements do not make up {self.shape}")
        return replace(x, shape=self.shape)

    def evaluate(self, values: Sequence[Array]) -> Array:
        return values[0].reshape(self.shape)


@dataclass(frozen=True)
class Slice(Op):
    """``x[first::step]`` along each of the axes (C, H, W), as many as ``shape`` says."""

    first: Triple
    step: Triple
    shape: Triple

    def infer(self, operands: Sequence[Operand]) -> TensorType:
        x = _volume(operands)
        need(min(self.shape) >= 1 and 0 not in self.step, f"cuts out {self.shape} in steps of {self.step}")
        for extent, first, step, count in zip(x.shape, self.first, self.step, self.shape, strict=True):
            last = first + step * (count - 1)
            need(min(first, last) >= 0 and max(first, last) < extent, f"leaves x of shape {x.shape}: {self}")
        return replace(x, shape=self.shape)

    def evaluate(self, values: Sequence[Array]) -> Array:
        indices = [f + s * np.arange(n) for f, s, n in zip(self.first, self.step, self.shape, strict=True)]
        return values[0][np.ix_(*indices)]


@dataclass(frozen=True)
class Pad(Op):
    """``value`` around x (C, H, W): ``extent`` (top, left, bottom, right), and ``channels`` (in front, behind)."""

    extent: tuple[int, int, int, int] = (0, 0, 0, 0)
    channels: tuple[int, int] = (0, 0)
    value: int = 0

    def infer(self, operands: Sequence[Operand]) -> TensorType:
        x, (top, left, bottom, right) = _volume(operands), self.extent
        need(min(*self.extent, *self.channels) >= 0, f"padding {self.extent}, {self.channels} must be 0 or more")
        need(x.dtype.kind != "bipolar", "a bipolar tensor has no zeros")
        shape = (x.shape[0] + sum(self.channels), x.shape[1] + top + bottom, x.shape[2] + left + right)
        if not x.dtype.is_integer:
            return TensorType(shape, x.dtype)
        return TensorType.of_range(shape, min(x.lo, self.value), max(x.hi, self.value))

    def evaluate(self, values: Sequence[Array]) -> Array:
        top, left, bottom, right = self.extent
        return np.pad(values[0], (self.channels, (top, bottom), (left, right)), constant_values=self.value)


def _volume(operands: Sequence[Operand]) -> TensorType:
    need(len(operands) == 1, f"takes one operand, got {len(operands)}")
    x = operands[0].type
    need(len(x.shape) == 3, f"takes (channels, height, width), got shape {x.shape}")
    return x
