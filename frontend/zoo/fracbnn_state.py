"""What a FracBNN's state dict holds: the names of its authors' modules, with dots or underscores between the parts.

For CIFAR:

    conv1.weight, bn1.*                                           the stem
    layer<S>.<B>.conv<1|2>.{weight, threshold}, .bn<1|2>.*        the gated convolutions and their batch norms
    layer<S>.<B>.rprelu<1|2>.{shift_x.bias, prelu.weight, shift_y.bias}
    layer<S>.<B>.bn<3|4>.*                                        behind the shortcut of either half
    linear.{weight, bias}

For ImageNet:

    model.0.0.weight, model.0.1.*                                 the stem and its batch norm
    model.<N>.<conv3x3|pointwise>.0.{weight, threshold}, .1.*     the gated convolutions and their batch norms
    model.<N>.rprelu<1|2>.{shift_x.bias, prelu.weight, shift_y.bias}
    model.<N>.shiftbn<1|2>.*                                      behind the shortcut of either half
    fc.{weight, bias}
    encoder.placeholder                                           (N, 3, levels, H, W): the picture's size
    teacher.*, img_mean, img_std                                  of training

A batch norm has weight and bias, and running_mean and running_var unless they are folded into these.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from frontend.errors import ModelError
from frontend.zoo.fixed_point import Affine
from frontend.zoo.integers import Arrays
from ir.types import Array, Ints

NORM_EPSILON = 1e-5
"""torch's default, which the published networks use."""

WITHOUT_MEANING = ("num_batches_tracked", "encoder_placeholder")
OF_TRAINING = ("teacher_", "img_mean", "img_std")
"""State that inference does not need, by how names end and begin. The thermometer's levels follow from the first
convolution; what undoes a normalisation of bytes meets none here."""


@dataclass(frozen=True, eq=False)
class Gated:
    """A gated convolution with what follows it: weights (O, I, KH, KW) of -1 and +1; the rest per output channel, in
    float64. ``norm`` follows the convolution, then RPReLU; ``after`` follows the shortcut.
    """

    weights: Ints
    threshold: Array
    norm: Affine
    shift_x: Array
    slope: Array
    shift_y: Array
    after: Affine


def matches(state: Arrays) -> bool:
    """A stem, gated convolutions in residual blocks and a linear layer."""
    names = {"conv1_weight", "linear_weight", "layer1_0_conv1_threshold", "layer1_0_conv2_threshold"}
    return names <= set(plain(state))


@dataclass(frozen=True)
class State:
    """The tensors under names with underscores; every accessor raises ModelError naming a tensor that does not fit."""

    tensors: Mapping[str, Array]
    used: set[str] = field(default_factory=set)

    @staticmethod
    def of(state: Arrays) -> State:
        return State(plain(state))

    def require_all_used(self) -> None:
        """ModelError names a tensor that no accessor has read."""
        unknown = [name for name in self.tensors if name not in self.used]
        if unknown:
            raise ModelError(f"'{unknown[0]}' is unknown")

    def blocks(self) -> tuple[str, ...]:
        """``layer1_0``, ``layer1_1``, ... in order; ModelError where one is left out."""
        found = {re.match(r"layer(\d+)_(\d+)_", name) for name in self.tensors}
        numbers = sorted({(int(m[1]), int(m[2])) for m in found if m})
        stage, block = 1, -1
        for here in numbers:
            if here not in ((stage, block + 1), (stage + 1, 0)):
                raise ModelError("blocks are left out before 'layer{}_{}'".format(*here))
            stage, block = here
        return tuple(f"layer{s}_{b}" for s, b in numbers)

    def bits(self, name: str, kernel: int = 3) -> Ints:
        """The signs of a convolution's weights (O, I, kernel, kernel)."""
        w = self._tensor(f"{name}_weight")
        if w.ndim != 4 or w.shape[2:] != (kernel, kernel):
            raise ModelError(f"'{name}_weight' has shape {w.shape}, needs (O, I, {kernel}, {kernel})")
        if not w.all():
            raise ModelError(f"'{name}_weight' holds a 0, which is neither -1 nor +1")
        return np.sign(w).astype(np.int64)

    def norm(self, name: str, channels: int) -> Affine:
        """A batch norm as gain and offset."""
        gain, offset = self._vector(f"{name}_weight", channels), self._vector(f"{name}_bias", channels)
        if f"{name}_running_var" not in self.tensors:
            return Affine(gain, offset)
        mean, variance = (self._vector(f"{name}_running_{part}", channels) for part in ("mean", "var"))
        if variance.min() < 0:
            raise ModelError(f"'{name}_running_var' holds {variance.min():g}, which is no variance")
        gain = gain / np.sqrt(variance + NORM_EPSILON)
        return Affine(gain, offset - mean * gain)

    def half(self, block: str, half: str, inputs: int) -> Gated:
        """The first or second gated convolution of a block for CIFAR, on ``inputs`` channels."""
        names = (f"{block}_conv{half}", f"{block}_bn{half}", f"{block}_rprelu{half}", f"{block}_bn{int(half) + 2}")
        return self.gated(names, inputs, (1,) if half == "2" else (1, 2))

    def gated(self, names: tuple[str, str, str, str], inputs: int, growth: tuple[int, ...], kernel: int = 3) -> Gated:
        """A gated convolution by the names of itself, its batch norm, its RPReLU and the batch norm behind the
        shortcut; it has ``inputs`` times one of ``growth`` outputs."""
        conv, norm, act, after = names
        weights = self.bits(conv, kernel)
        outputs = len(weights)
        if weights.shape[1] != inputs or outputs not in [inputs * times for times in growth]:
            allowed = " or ".join(str(inputs * times) for times in growth)
            raise ModelError(f"'{conv}_weight' has shape {weights.shape}, needs {inputs} inputs and {allowed} outputs")
        return Gated(
            weights,
            self._vector(f"{conv}_threshold", outputs),
            self.norm(norm, outputs),
            self._vector(f"{act}_shift_x_bias", outputs),
            self._vector(f"{act}_prelu_weight", outputs),
            self._vector(f"{act}_shift_y_bias", outputs),
            self.norm(after, outputs),
        )

    def linear(self, inputs: int, name: str = "linear") -> tuple[Array, Array]:
        """Weights (classes, inputs) and bias (classes,)."""
        weights = self._tensor(f"{name}_weight")
        if weights.ndim != 2 or weights.shape[1] != inputs:
            raise ModelError(f"'{name}_weight' has shape {weights.shape}, needs {inputs} inputs")
        if not weights.any():
            raise ModelError(f"'{name}_weight' holds zeros only")
        return weights, self._vector(f"{name}_bias", len(weights))

    def _vector(self, name: str, channels: int) -> Array:
        """One value per channel, from (C,) or (1, C, 1, 1)."""
        value = self._tensor(name)
        if value.shape not in ((channels,), (1, channels, 1, 1)):
            raise ModelError(f"'{name}' has shape {value.shape}, needs ({channels},)")
        return value.reshape(-1)

    def _tensor(self, name: str) -> Array:
        if name not in self.tensors:
            raise ModelError(f"'{name}' is missing")
        if not self.tensors[name].size:
            raise ModelError(f"'{name}' is empty")
        self.used.add(name)
        return self.tensors[name].astype(np.float64)


def plain(state: Arrays) -> dict[str, Array]:
    """Names with underscores, without the prefix of a network trained in parallel and what inference does not need."""
    named = {name.removeprefix("module.").replace(".", "_"): value for name, value in state.items()}
    return {
        name: value
        for name, value in named.items()
        if not name.endswith(WITHOUT_MEANING) and not name.startswith(OF_TRAINING)
    }
