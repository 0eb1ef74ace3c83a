"""FracBNN for ImageNet-sized pictures: MobileNetV1's shape with binary weights and fractional activations.

Zhang et al., FracBNN: Accurate and FPGA-Efficient Binary Neural Networks with Fractional Activations, FPGA 2021
(arXiv:2012.12206), after ReActNet. A binary convolution of stride 2 reads the thermometer code of the picture; blocks
of a precision-gated 3x3 and a precision-gated 1x1 convolution follow, and a linear layer. Where a 1x1 convolution
doubles the channels its shortcut is doubled, and the block has stride 2, with an average-pooled shortcut; the first
block alone doubles at stride 1. Names are those of `frontend.zoo.fracbnn_state`.

**Integers.** Both shortcuts are quantised to 4 bits in training, and the 2-bit levels lie among the 4-bit ones, so that
4 bits are all that is kept between two convolutions. A half of a block is

    level = Thresholds(x)                                    x: 0..15 for -1, -13/15, ..., 1; to -1, -1/3, 1/3, 1
    sums  = GatedConv2d(level)
    y     = MultiplyShift(sums) + MultiplyShift(sums)        batch norm and RPReLU (`fixed_point.bent`)
    x     = MultiplyShift(y + x * 2^k)                       batch norm and 4-bit quantiser

Only the last one keeps `fracbnn.STREAM`, for the mean.
"""

from __future__ import annotations

import re

import numpy as np

from frontend.errors import ModelError
from frontend.zoo import fracbnn_state
from frontend.zoo.fixed_point import Affine, Grid, scaled, signed
from frontend.zoo.fracbnn import SAME, STREAM, STREAM_BITS, activation, classifier, gated, thermometer
from frontend.zoo.fracbnn_state import Gated, plain, tensors_of
from frontend.zoo.integers import Arrays, Builder, IntegerFamily, Integers
from frontend.zoo.state import State
from ir.ops import Add, Concat, Conv2d, SumPool2d, Thresholds
from ir.records import ClassifierHead, Picture
from ir.types import DType, TensorType

SIDE = 224
LEAST_SIDE = 8

KEPT = Grid(7.5, -7.5)
"""Of 4 bits: ``round((x + 1) * 7.5)``."""
KEPT_ENDS = (0, 15)
EDGES = (3, 8, 13)
"""Of the 4-bit levels, where the 2-bit ones begin."""
SUMMED = Grid(7.5 * 2.0**13)
"""Of an activation and a shortcut."""


def matches(state: Arrays) -> bool:
    """A stem, blocks of two gated convolutions and a linear layer."""
    names = {"model_0_0_weight", "model_1_conv3x3_0_threshold", "model_1_pointwise_0_threshold", "fc_weight"}
    return names <= set(plain(state))


def build(state: Arrays) -> Integers:
    """The integer graph of a FracBNN for ImageNet. ModelError names the tensor that does not fit the family."""
    tensors = tensors_of(state)
    height, width = _extent(state)
    b = Builder({"input": TensorType.of_dtype((3, height, width), DType("uint", 8))})
    stem = tensors.bits("model_0_0")
    x = thermometer(b, "input", stem.shape[1])
    x = b.add("stem", Conv2d((2, 2), SAME), x, weights=stem)
    x = scaled(b, "stem_out", x, tensors.norm("model_0_1", len(stem)), (Grid(), KEPT), KEPT_ENDS)
    count = _blocks(tensors)
    for number in range(1, count + 1):
        block, inputs = f"model_{number}", b.types[x].shape[0]
        first = fracbnn_state.gated(tensors, _names(block, "conv3x3", 1), inputs, (1,))
        second = fracbnn_state.gated(tensors, _names(block, "pointwise", 2), inputs, (1, 2), kernel=1)
        stride = 2 if len(second.weights) > inputs and number > 1 else 1
        if min(b.types[x].shape[1:]) < stride:
            raise ModelError(f"'{block}' pools pictures of {b.types[x].shape[1:]}: {height}x{width} are too small")
        x = _half(b, f"{block}_1", x, first, stride, (KEPT, KEPT_ENDS))
        last = number == count
        x = _half(b, f"{block}_2", x, second, 1, (STREAM, signed(STREAM_BITS)) if last else (KEPT, KEPT_ENDS))
    weights, bias = tensors.linear(b.types[x].shape[0], "fc")
    tensors.require_all_used()
    x, dequantise = classifier(b, x, STREAM, weights, bias)
    picture = Picture(width=width, height=height, order="rgb")
    description = f"FracBNN for ImageNet, {2 * count + 2} layers, binary weights, fractional activations"
    head = ClassifierHead(tuple(f"class {n}" for n in range(len(bias))))
    return Integers(b.graph("fracbnn_imagenet", x), {x: dequantise}, picture, head, description)


def _names(block: str, conv: str, number: int) -> tuple[str, str, str, str]:
    return f"{block}_{conv}_0", f"{block}_{conv}_1", f"{block}_rprelu{number}", f"{block}_shiftbn{number}"


def _extent(state: Arrays) -> tuple[int, int]:
    """Height and width of the pictures: those of the thermometer's buffer, where the file has it."""
    found = [
        value.shape for name, value in state.items() if name.endswith(("encoder.placeholder", "encoder_placeholder"))
    ]
    if not found:
        return SIDE, SIDE
    if len(found[0]) != 5 or min(found[0][3:]) < LEAST_SIDE:
        raise ModelError(
            f"'encoder_placeholder' has shape {found[0]}, needs (N, 3, levels, H, W) with at least {LEAST_SIDE} rows "
            f"and columns"
        )
    return found[0][3], found[0][4]


def _blocks(tensors: State) -> int:
    """How many there are; ModelError where one is left out."""
    found = {re.match(r"model_(\d+)_(?:conv3x3|pointwise|rprelu\d|shiftbn\d)_", name) for name in tensors.tensors}
    numbers = sorted({int(m[1]) for m in found if m})
    if numbers != list(range(1, len(numbers) + 1)):
        raise ModelError(f"blocks are left out before 'model_{numbers[-1]}'")
    return len(numbers)


def _half(b: Builder, name: str, x: str, part: Gated, stride: int, to: tuple[Grid, tuple[int, int]]) -> str:
    """One gated convolution on the 4-bit ``x``, its activation, the shortcut and the batch norm behind it."""
    channels, grid = b.types[x].shape[0], KEPT
    table = np.tile(np.array(EDGES), (channels, 1))
    level = b.add(f"{name}_level", Thresholds(), x, table=table, rising=np.ones(channels, np.int64))
    sums = gated(b, f"{name}_conv", level, part, stride)
    y = activation(b, f"{name}_act", sums, part, SUMMED)
    if stride == 2:
        x, grid = b.add(f"{name}_pool", SumPool2d(), x), KEPT.of_sum(4)
    if len(part.weights) > channels:
        x = b.add(f"{name}_doubled", Concat(), x, x)
    same = Affine(np.ones(len(part.weights)), np.zeros(len(part.weights)))
    shortcut = scaled(b, f"{name}_shortcut", x, same, (grid, SUMMED))
    total = b.add(f"{name}_add", Add(), y, shortcut)
    return scaled(b, f"{name}_out", total, part.after, (SUMMED, to[0]), to[1])


FAMILY = IntegerFamily("fracbnn_imagenet", matches, build, "model.0.0, model.1.conv3x3.0 with a threshold, ..., fc")
