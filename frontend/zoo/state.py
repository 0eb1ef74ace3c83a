"""The tensors of a state dict, read one by one: each has to fit, and none may be left over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from frontend.errors import ModelError
from frontend.zoo.fixed_point import Affine
from ir.types import Array, Ints

NORM_EPSILON = 1e-5
"""torch's default, which the published networks use."""


@dataclass(frozen=True)
class State:
    """Tensors by name; every accessor raises ModelError naming a tensor that does not fit."""

    tensors: Mapping[str, Array]
    separator: str = "."
    """Between a module's name and those of its tensors."""
    used: set[str] = field(default_factory=set)

    def require_all_used(self) -> None:
        """ModelError names a tensor that no accessor has read."""
        unknown = [name for name in self.tensors if name not in self.used]
        if unknown:
            raise ModelError(f"'{unknown[0]}' is unknown")

    def tensor(self, *parts: str) -> Array:
        """In float64, by the parts of its name."""
        name = self.separator.join(parts)
        if name not in self.tensors:
            raise ModelError(f"'{name}' is missing")
        if not self.tensors[name].size:
            raise ModelError(f"'{name}' is empty")
        self.used.add(name)
        return self.tensors[name].astype(np.float64)

    def vector(self, channels: int, *parts: str) -> Array:
        """One value per channel, from (C,) or (1, C, 1, 1)."""
        value = self.tensor(*parts)
        if value.shape not in ((channels,), (1, channels, 1, 1)):
            name = self.separator.join(parts)
            raise ModelError(f"'{name}' has shape {value.shape}, needs ({channels},)")
        return value.reshape(-1)

    def bits(self, module: str, kernel: int = 3) -> Ints:
        """The signs of a convolution's weights (O, I, kernel, kernel)."""
        w, name = self.tensor(module, "weight"), f"{module}{self.separator}weight"
        if w.ndim != 4 or w.shape[2:] != (kernel, kernel):
            raise ModelError(f"'{name}' has shape {w.shape}, needs (O, I, {kernel}, {kernel})")
        if not w.all():
            raise ModelError(f"'{name}' holds a 0, which is neither -1 nor +1")
        return np.sign(w).astype(np.int64)

    def norm(self, module: str, channels: int) -> Affine:
        """A batch norm as gain and offset."""
        gain, offset = (self.vector(channels, module, part) for part in ("weight", "bias"))
        if self.separator.join((module, "running_var")) not in self.tensors:
            return Affine(gain, offset)
        mean, variance = (self.vector(channels, module, f"running_{part}") for part in ("mean", "var"))
        if variance.min() < 0:
            name = self.separator.join((module, "running_var"))
            raise ModelError(f"'{name}' holds {variance.min():g}, which is no variance")
        gain = gain / np.sqrt(variance + NORM_EPSILON)
        return Affine(gain, offset - mean * gain)

    def linear(self, inputs: int, module: str) -> tuple[Array, Array]:
        """Weights (classes, inputs) and bias (classes,)."""
        weights, name = self.tensor(module, "weight"), f"{module}{self.separator}weight"
        if weights.ndim != 2 or weights.shape[1] != inputs:
            raise ModelError(f"'{name}' has shape {weights.shape}, needs {inputs} inputs")
        if not weights.any():
            raise ModelError(f"'{name}' holds zeros only")
        return weights, self.vector(len(weights), module, "bias")
