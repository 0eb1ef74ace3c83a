"""Binary and gated convolutions drawn at random."""

from __future__ import annotations

import numpy as np
from layer_graphs import Rng, Sketch, multiply_shift, thresholds

from ir.graph import Graph
from ir.ops import Conv2d, GatedConv2d, Sign
from ir.types import Array, DType, TensorType

KERNELS = [(1, 1), (3, 3), (3, 3), (3, 3), (5, 5), (7, 7), (2, 3), (1, 3), (4, 1)]


def bipolar(shape: tuple[int, int, int]) -> TensorType:
    return TensorType.of_dtype(shape, DType("bipolar", 1))


def sign(rng: Rng, sums: TensorType) -> tuple[Sign, Array, Array]:
    """Thresholds over the range of the sums and just beside it; in some layers all rise."""
    threshold = rng.integers(sums.lo - 1, sums.hi + 2, sums.shape[0])
    return Sign(), threshold, rng.integers(rng.integers(2), 2, sums.shape[0])


def add_sign(sketch: Sketch, name: str, source: str) -> str:
    op, threshold, rising = sign(sketch.rng, sketch.type_of(source))
    return sketch.add(name, op, source, threshold=threshold, rising=rising)


def add_binary_conv(
    sketch: Sketch,
    name: str,
    source: str,
    outputs: int,
    kernel: tuple[int, int] = (3, 3),
    op: Conv2d | None = None,
    gated: bool = False,
) -> str:
    """A convolution with weights of -1 and +1, padded to the picture's size where no ``op`` says otherwise."""
    half = ((kernel[0] - 1) // 2, (kernel[1] - 1) // 2)
    op = op or Conv2d(padding=(*half, *half))
    rng, shape = sketch.rng, (outputs, sketch.type_of(source).shape[0] // op.groups, *kernel)
    w = rng.choice([-1, 1], shape)
    if not gated:
        return sketch.add(name, op, source, w=w)
    terms = int(np.prod(shape[1:]))
    gate = rng.integers(-2 * terms - 2, 2 * terms + 3, outputs)
    return sketch.add(name, GatedConv2d(op.stride, op.padding, op.groups), source, w=w, threshold=gate)


def random_layer(seed: int, gated: bool) -> Graph:
    """One layer of random kernel, stride, padding, groups, channels and extents, requantised in every way or not."""
    rng = np.random.default_rng(seed)
    kernel = KERNELS[rng.integers(len(KERNELS))]
    groups = int(rng.choice([1, 1, 1, 2, 3]))
    channels, outputs = groups * int(rng.integers(1, 8)), groups * int(rng.integers(1, 5))
    if kernel == (1, 1) and rng.random() < 0.5:
        channels = int(rng.choice([64, 72, 128]))  # a full word, and several of them
        groups, outputs = 1, int(rng.integers(1, 9))
    stride = (int(rng.integers(1, 3)), int(rng.integers(1, 3)))
    some = [int(rng.integers(0, k)) for k in (*kernel, *kernel)]
    padding = (some[0], some[1], some[2], some[3]) if rng.random() < 0.7 else (0, 0, 0, 0)
    rows = int(rng.integers(max(1, kernel[0] - padding[0] - padding[2]), kernel[0] + 4))
    columns = int(rng.integers(max(1, kernel[1] - padding[1] - padding[3]), kernel[1] + 5))
    shape = (channels, rows, columns)
    x = TensorType.of_dtype(shape, DType("uint", 2)) if gated else bipolar(shape)
    sketch = Sketch({"x": x}, rng)
    last = add_binary_conv(sketch, "conv", "x", outputs, kernel, Conv2d(stride, padding, groups), gated)
    sums = sketch.type_of("conv")
    form = rng.integers(4)
    if form == 1:
        last = add_sign(sketch, "act", "conv")
    elif form == 2:
        op, table, rising = thresholds(rng, sums, int(rng.integers(1, 8)))
        last = sketch.add("act", op, "conv", table=table, rising=rising)
    elif form == 3:
        scale, mul, add = multiply_shift(rng, sums, int(rng.integers(1, 9)), bool(rng.integers(2)))
        last = sketch.add("act", scale, "conv", mul=mul, add=add)
    return sketch.graph(f"layer{seed}", last).verify()
