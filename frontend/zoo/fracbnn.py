"""FracBNN for CIFAR-sized pictures: a residual network of binary weights and fractional (1.4-bit) activations.

Zhang et al., FracBNN: Accurate and FPGA-Efficient Binary Neural Networks with Fractional Activations, FPGA 2021
(arXiv:2012.12206). A binary convolution reads the thermometer code of the picture; blocks of two precision-gated 3x3
convolutions follow, and a linear layer. A block whose first convolution has twice as many outputs as inputs has stride
2, and its shortcut is average-pooled and doubled. Names are those of `frontend.zoo.fracbnn_state`.

**Integers.** Bits, levels and gated sums are exact; gates become ``floor(3 * t)``, since sums count in thirds. What
stands between two convolutions is float in the file and fixed-point here: activations have `FRACTION` bits after the
binary point and saturate in `STREAM` bits, PReLU's slopes have `SLOPE` bits after theirs. A half of a block is

    level = Thresholds(x)                to -1, -1/3, 1/3, 1
    sums  = GatedConv2d(level)
    t     = MultiplyShift(sums)          batch norm and RPReLU's first shift
    y     = MultiplyShift(PRelu(t))      RPReLU's second shift
    x     = MultiplyShift(y + x)         batch norm

A pooled shortcut is a sum of four pixels: it, and the y that meets it, have two more bits.
"""

from __future__ import annotations

import numpy as np

from frontend.errors import ModelError
from frontend.zoo.fixed_point import Affine, fixed, scaled
from frontend.zoo.fracbnn_state import Half, State, matches
from frontend.zoo.integers import Arrays, Builder, IntegerFamily, Integers
from frontend.zoo.labels import cifar_labels
from ir.ops import Add, Concat, Conv2d, GatedConv2d, MultiplyShift, PRelu, Sign, SumPool2d, Thresholds
from ir.records import ClassifierHead, Dequantise, Picture
from ir.types import Array, DType, TensorType

SIDE = 32
SAME = (1, 1, 1, 1)

FRACTION = 10
STREAM = 16
SLOPE = 12
WEIGHT = 8
"""Bits of the linear layer's weights: symmetric, one scale for all."""

POOLED = 2
"""Bits that the sum of 2x2 pixels adds."""


def build(state: Arrays) -> Integers:
    """The integer graph of a FracBNN. ModelError names the tensor that does not fit the family."""
    tensors = State.of(state)
    b = Builder({"input": TensorType.of_dtype((3, SIDE, SIDE), DType("uint", 8))})
    stem = tensors.bits("conv1")
    x = thermometer(b, "input", stem.shape[1])
    x = b.add("conv1", Conv2d(padding=SAME), x, weights=stem)
    x = scaled(b, "bn1", x, tensors.norm("bn1", len(stem)), (0, FRACTION), STREAM)
    blocks = tensors.blocks()
    for block in blocks:
        for half in ("1", "2"):
            x = _half(b, f"{block}_{half}", x, tensors.half(block, half, b.types[x].shape[0]))
    channels, side, _ = b.types[x].shape
    weights, bias = tensors.linear(channels)
    tensors.require_all_used()
    x = b.add("pool", SumPool2d((side, side), (side, side)), x)
    mean = Affine(np.full(channels, 1 / side**2), np.zeros(channels))
    x = scaled(b, "mean", x, mean, (FRACTION, FRACTION), STREAM)
    steps = (2 ** (WEIGHT - 1) - 1) / np.abs(weights).max()
    x = b.add("linear", Conv2d(), x, weights=np.rint(weights * steps).astype(np.int64)[:, :, None, None])
    dequantise = {x: Dequantise(1 / (steps * 2.0**FRACTION), tuple(float(v) for v in bias))}
    picture = Picture(width=SIDE, height=SIDE, order="rgb")
    description = f"FracBNN, {2 * len(blocks) + 2} layers, binary weights, fractional activations"
    return Integers(b.graph("fracbnn", x), dequantise, picture, ClassifierHead(cifar_labels(len(bias))), description)


def thermometer(b: Builder, x: str, channels: int) -> str:
    """The picture (3, H, W) as bits (channels, H, W): ``+1 if level < round(v / resolution) else -1``, ties to even.

    Channel ``colour * levels + level``; ``resolution`` is what makes that many levels of 0..255. ``round(v / r) >= m``
    is one comparison of v, so the code is a replication and a threshold per channel.
    """
    levels = channels // 3
    resolution = round(255 / levels) if levels else 0
    if channels % 3 or not resolution or round(255 / resolution) != levels:
        raise ModelError(f"'conv1_weight' has {channels} input channels, which are no thermometer code of 3 colours")
    codes = np.rint(np.arange(256) / resolution)
    bounds = np.array([int((codes < m).sum()) for m in range(1, levels + 1)])
    copies = b.add("copies", Conv2d(groups=3), x, weights=np.ones((channels, 1, 1, 1), np.int64))
    return b.add("thermometer", Sign(), copies, threshold=np.tile(bounds, 3), rising=np.ones(channels, np.int64))


def _half(b: Builder, name: str, x: str, part: Half) -> str:
    """One gated convolution on ``x``, its activation, the shortcut and the batch norm behind it."""
    channels = b.types[x].shape[0]
    stride = len(part.weights) // channels
    third = 2 ** (FRACTION + 1) // 3
    table = np.tile([-third, 0, third + 1], (channels, 1))
    level = b.add(f"{name}_level", Thresholds(), x, table=table, rising=np.ones(channels, np.int64))
    conv = GatedConv2d((stride, stride), SAME)
    end = 2 * part.weights[0].size + 1  # beyond every sum: what lies further out opens or closes the gate for good
    gate = np.clip(np.floor(3 * part.threshold), -end, end).astype(np.int64)
    sums = b.add(f"{name}_conv", conv, level, weights=part.weights, threshold=gate)
    norm = Affine(part.norm.gain / 3, part.norm.offset + part.shift_x)
    t = scaled(b, f"{name}_norm", sums, norm, (0, FRACTION), STREAM)
    bent = b.add(f"{name}_prelu", PRelu(SLOPE), t, slope=fixed(f"{name}_prelu", part.slope, SLOPE))
    shortcut, pooled = x, 0
    if stride == 2:
        shortcut = b.add(f"{name}_pool", SumPool2d(), x)
        shortcut, pooled = b.add(f"{name}_doubled", Concat(), shortcut, shortcut), POOLED
    y = _shifted(b, f"{name}_shift", bent, part.shift_y, pooled)
    total = b.add(f"{name}_add", Add(), y, shortcut)
    return scaled(b, f"{name}_out", total, part.after, (FRACTION + pooled, FRACTION), STREAM)


def _shifted(b: Builder, name: str, bent: str, shift_y: Array, pooled: int) -> str:
    """The shifted result of PReLU, rounded to the bits of the stream and ``pooled`` more."""
    ones, shift = np.ones(len(shift_y), np.int64), SLOPE - pooled
    end = 1 << (STREAM + pooled - 1)
    add = fixed(name, shift_y, FRACTION + SLOPE)
    return b.add(name, MultiplyShift(shift, -end, end - 1), bent, mul=ones, add=add)


FAMILY = IntegerFamily("fracbnn", matches, build, "conv1, layer1.0.conv1 with a threshold, ..., linear")
