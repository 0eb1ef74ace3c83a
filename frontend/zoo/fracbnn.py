"""FracBNN for CIFAR-sized pictures: a residual network of binary weights and fractional (1.4-bit) activations.

Zhang et al., FracBNN: Accurate and FPGA-Efficient Binary Neural Networks with Fractional Activations, FPGA 2021
(arXiv:2012.12206). A binary convolution reads the thermometer code of the picture; blocks of two precision-gated 3x3
convolutions follow, and a linear layer. A block whose first convolution has twice as many outputs as inputs has stride
2, and its shortcut is average-pooled and doubled. Names are those of `frontend.zoo.fracbnn_state`.

**Integers.** Bits, levels and gated sums are exact; gates become ``floor(3 * t)``, since sums count in thirds. What
stands between two convolutions is float in the file and fixed-point here, in `STREAM_BITS` bits. Steps are those of
`STREAM`, of which the levels' edges are multiples, but for the rounding of multipliers, which each channel's steps take
up (`fixed_point.carried`). A half of a block is

    level = Thresholds(x)                                    to -1, -1/3, 1/3, 1
    sums  = GatedConv2d(level)
    y     = MultiplyShift(sums) + MultiplyShift(sums)        batch norm and RPReLU (`fixed_point.bent`)
    x     = MultiplyShift(y + x)                             batch norm

A pooled shortcut is a sum of four pixels: the y that meets it has two more bits.
"""

from __future__ import annotations

import numpy as np

from frontend.errors import ModelError
from frontend.zoo.fixed_point import Affine, Grid, bent, carried, mean, signed
from frontend.zoo.fracbnn_state import Gated, blocks, half, matches, tensors_of
from frontend.zoo.integers import Arrays, Builder, IntegerFamily, Integers
from frontend.zoo.labels import cifar_labels
from ir.ops import Add, Concat, Conv2d, GatedConv2d, Sign, SumPool2d, Thresholds
from ir.records import ClassifierHead, Dequantise, Picture
from ir.types import Array, DType, TensorType

SIDE = 32
SAME = (1, 1, 1, 1)

STREAM = Grid(3 * 2.0**18, 0.5)
"""But for what `carried` changes."""
STREAM_BITS = 26
"""They hold +-42: normalised activations lie far inside."""

THIRDS = Grid(3.0)
"""Of gated sums."""
LEVELS = (-2 / 3, 0.0, 2 / 3)
"""Between the levels -1, -1/3, 1/3 and 1."""

MEAN = Grid(2.0**10)
MEAN_BITS = 16
"""The linear layer's elements: what convolutions on vectors take."""
WEIGHT_BITS = 8
"""Of the linear layer: symmetric, one scale per class."""


def build(state: Arrays) -> Integers:
    """The integer graph of a FracBNN. ModelError names the tensor that does not fit the family."""
    tensors = tensors_of(state)
    b = Builder({"input": TensorType.of_dtype((3, SIDE, SIDE), DType("uint", 8))})
    stem = tensors.bits("conv1")
    x = thermometer(b, "input", stem.shape[1])
    x = b.add("conv1", Conv2d(padding=SAME), x, weights=stem)
    x, grid = carried(b, "bn1", x, tensors.norm("bn1", len(stem)), (Grid(), STREAM), signed(STREAM_BITS))
    names = blocks(tensors)
    for block in names:
        for number in ("1", "2"):
            x, grid = _half(b, f"{block}_{number}", x, grid, half(tensors, block, number, b.types[x].shape[0]))
    weights, bias = tensors.linear(b.types[x].shape[0], "linear")
    tensors.require_all_used()
    x, dequantise = classifier(b, x, grid, weights, bias)
    picture = Picture(width=SIDE, height=SIDE, order="rgb")
    description = f"FracBNN, {2 * len(names) + 2} layers, binary weights, fractional activations"
    head = ClassifierHead(cifar_labels(len(bias)))
    return Integers(b.graph("fracbnn", x), {x: dequantise}, picture, head, description)


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


def gated(b: Builder, name: str, level: str, part: Gated, stride: int) -> str:
    """The gated sums, in thirds, of levels 0..3; the kernel's size is that of its weights."""
    size = part.weights.shape[2]
    end = 2 * part.weights[0].size + 1  # beyond every sum: what lies further out opens or closes the gate for good
    gate = np.clip(np.floor(3 * part.threshold), -end, end).astype(np.int64)
    conv = GatedConv2d((stride, stride), (size // 2,) * 4)
    return b.add(name, conv, level, weights=part.weights, threshold=gate)


def activation(b: Builder, name: str, sums: str, part: Gated, grid: Grid) -> str:
    """Batch norm and RPReLU of gated sums."""
    norm = Affine(part.norm.gain, part.norm.offset + part.shift_x)
    slopes = part.slope, np.ones(len(part.slope))
    return bent(b, name, sums, norm, slopes, part.shift_y, (THIRDS, grid))


def classifier(b: Builder, x: str, grid: Grid, weights: Array, bias: Array) -> tuple[str, Dequantise]:
    """The mean of each channel and the linear layer on it; ``weights`` (classes, channels)."""
    x = mean(b, "mean", x, (grid, MEAN), signed(MEAN_BITS))
    largest = np.abs(weights).max(axis=1)
    steps = signed(WEIGHT_BITS)[1] / np.where(largest > 0, largest, 1)
    x = b.add("linear", Conv2d(), x, weights=np.rint(weights * steps[:, None]).astype(np.int64)[:, :, None, None])
    return x, Dequantise(float(1 / MEAN.steps), tuple(map(float, bias)), tuple(map(float, 1 / steps)))


def _half(b: Builder, name: str, x: str, grid: Grid, part: Gated) -> tuple[str, Grid]:
    """One gated convolution on ``x``, its activation, the shortcut and the batch norm behind it."""
    channels = b.types[x].shape[0]
    stride = len(part.weights) // channels
    edges = np.rint(np.outer(np.ones(channels) * grid.steps, LEVELS)).astype(np.int64)
    level = b.add(f"{name}_level", Thresholds(), x, table=edges, rising=np.ones(channels, np.int64))
    sums = gated(b, f"{name}_conv", level, part, stride)
    if stride == 2:
        x, grid = b.add(f"{name}_pool", SumPool2d(), x), grid.of_sum(4).twice()
        x = b.add(f"{name}_doubled", Concat(), x, x)
    y = activation(b, f"{name}_act", sums, part, Grid(grid.steps))
    total = b.add(f"{name}_add", Add(), y, x)
    return carried(b, f"{name}_out", total, part.after, (grid, STREAM), signed(STREAM_BITS))


FAMILY = IntegerFamily("fracbnn", matches, build, "conv1, layer1.0.conv1 with a threshold, ..., linear")
