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
from dataclasses import dataclass

from frontend.errors import ModelError
from frontend.zoo.fixed_point import Affine
from frontend.zoo.integers import Arrays
from frontend.zoo.state import State
from ir.types import Array, Ints

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


def tensors_of(state: Arrays) -> State:
    """The tensors under names with underscores."""
    return State(plain(state), "_")


def blocks(tensors: State) -> tuple[str, ...]:
    """``layer1_0``, ``layer1_1``, ... of a network for CIFAR, in order; ModelError where one is left out."""
    found = {re.match(r"layer(\d+)_(\d+)_", name) for name in tensors.tensors}
    numbers = sorted({(int(m[1]), int(m[2])) for m in found if m})
    stage, block = 1, -1
    for here in numbers:
        if here not in ((stage, block + 1), (stage + 1, 0)):
            raise ModelError("blocks are left out before 'layer{}_{}'".format(*here))
        stage, block = here
    return tuple(f"layer{s}_{b}" for s, b in numbers)


def half(tensors: State, block: str, number: str, inputs: int) -> Gated:
    """The first or second gated convolution of a block for CIFAR, on ``inputs`` channels."""
    names = (f"{block}_conv{number}", f"{block}_bn{number}", f"{block}_rprelu{number}", f"{block}_bn{int(number) + 2}")
    return gated(tensors, names, inputs, (1,) if number == "2" else (1, 2))


def gated(
    tensors: State, names: tuple[str, str, str, str], inputs: int, growth: tuple[int, ...], kernel: int = 3
) -> Gated:
    """A gated convolution by the names of itself, its batch norm, its RPReLU and the batch norm behind the shortcut.

    It has ``inputs`` times one of ``growth`` outputs.
    """
    conv, norm, act, after = names
    weights = tensors.bits(conv, kernel)
    outputs = len(weights)
    if weights.shape[1] != inputs or outputs not in [inputs * times for times in growth]:
        allowed = " or ".join(str(inputs * times) for times in growth)
        raise ModelError(f"'{conv}_weight' has shape {weights.shape}, needs {inputs} inputs and {allowed} outputs")
    return Gated(
        weights,
        tensors.vector(outputs, conv, "threshold"),
        tensors.norm(norm, outputs),
        tensors.vector(outputs, act, "shift_x_bias"),
        tensors.vector(outputs, act, "prelu_weight"),
        tensors.vector(outputs, act, "shift_y_bias"),
        tensors.norm(after, outputs),
    )


def plain(state: Arrays) -> dict[str, Array]:
    """Names with underscores, without the prefix of a network trained in parallel and what inference does not need."""
    named = {name.removeprefix("module.").replace(".", "_"): value for name, value in state.items()}
    return {
        name: value
        for name, value in named.items()
        if not name.endswith(WITHOUT_MEANING) and not name.startswith(OF_TRAINING)
    }
