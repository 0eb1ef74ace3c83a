"""A layer as the peers get it: operands, and what numpy makes of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.shapes import Shape

SEED = 7
TYPES = {"int8": "int32", "float32": "float32"}
"""Type of the operands, type of the result: sums, without requantisation."""


@dataclass(frozen=True)
class Case:
    """x (1, H, W, C), w (H, W, C, F); depthwise w (H, W, C); fully connected x (1, C), w (C, F)."""

    shape: Shape
    type: str

    @property
    def dense(self) -> bool:
        return self.shape.size == 1 and self.shape.kernel == 1

    @property
    def kind(self) -> str:
        return "dense" if self.dense else "depthwise" if self.shape.depthwise else "conv"

    @property
    def x_shape(self) -> tuple[int, ...]:
        s = self.shape
        return (1, s.channels) if self.dense else (1, s.size * s.stride, s.size * s.stride, s.channels)

    @property
    def w_shape(self) -> tuple[int, ...]:
        s = self.shape
        if self.dense:
            return (s.channels, s.filters)
        return (s.kernel, s.kernel, s.channels) if s.depthwise else (s.kernel, s.kernel, s.channels, s.filters)

    @property
    def y_shape(self) -> tuple[int, ...]:
        s = self.shape
        return (1, s.filters) if self.dense else (1, s.size, s.size, s.filters)

    def operands(self) -> tuple[NDArray[np.generic], NDArray[np.generic]]:
        """x and w of all values of int8 but -128."""
        rng = np.random.default_rng(SEED)
        x, w = (rng.integers(-127, 128, shape) for shape in (self.x_shape, self.w_shape))
        scale = 1 if self.type == "int8" else 1 / 127
        return (x * scale).astype(self.type), (w * scale).astype(self.type)

    def expected(self) -> NDArray[np.generic]:
        """The sums; in float64 until the end, which is exact for integers of these sizes."""
        x, w = (operand.astype(np.float64) for operand in self.operands())
        if self.dense:
            y = x @ w
        else:
            size, kernel, stride = self.shape.size, self.shape.kernel, self.shape.stride
            pad = kernel // 2
            padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
            y = np.zeros(self.y_shape)
            for row in range(kernel):
                for column in range(kernel):
                    window = padded[:, row : row + size * stride : stride, column : column + size * stride : stride]
                    y += window * w[row, column] if self.shape.depthwise else window @ w[row, column]
        return y.astype(TYPES[self.type])

    def agrees(self, y: NDArray[np.generic]) -> bool:
        """Integers equal; floats within what a change of the order of additions does."""
        if self.type == "int8":
            return bool(np.array_equal(y, self.expected()))
        terms = self.shape.macs // int(np.prod(self.y_shape))
        return bool(np.allclose(y, self.expected(), rtol=1e-5, atol=1e-6 * terms))
