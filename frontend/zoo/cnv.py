"""CNV: binary or ternary VGG-like classifiers of 32x32 pictures, from files of integer weights and thresholds.

Umuroglu et al., FINN: A Framework for Fast, Scalable Binarized Neural Network Inference, FPGA 2017 (arXiv:1612.07119).
Tensors ``wN`` (O, I, 3, 3) are valid 3x3 convolutions, then ``wN`` (O, I) fully connected layers; ``tN`` (O, 1 or 2)
are the thresholds of every layer but the last. An activation is the number of thresholds below the accumulator, and
stands for -1, +1 (one threshold) or -1, 0, +1 (two). A file says nothing about pooling: 2x2 max-pools stand in front of
the convolutions that have more outputs than the one before, or after every second convolution but the last.

Accumulators as the files count them: twice the sum in layer 0; the number of agreeing bits, ``(fan_in + sum) / 2``,
where weights and activations are bipolar; the sum elsewhere. Layer 0 reads ``floor((2 * v / 255 - 1) * 128)``, clamped
to int8, which is ``v - 128`` for every byte v: the network here reads the bytes, and its first thresholds rise by 128
times the sum of the weights.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt

import numpy as np

from frontend.errors import ModelError
from frontend.zoo.integers import Arrays, Builder, IntegerFamily, Integers
from frontend.zoo.labels import cifar_labels
from ir.ops import Conv2d, MaxPool2d, Sign, Thresholds
from ir.records import ClassifierHead, Dequantise, Picture
from ir.types import Array, DType, TensorType

SIDE = 32
ZERO = 128
"""The byte that layer 0 takes for 0."""
BEYOND = 1 << 30


@dataclass(frozen=True, eq=False)
class _Layer:
    """``weights`` (O, I, KH, KW); ``thresholds`` (O, N), None in the last layer; ``pooled``: a 2x2 max-pool follows."""

    weights: Array
    thresholds: Array | None
    pooled: bool

    @property
    def binary(self) -> bool:
        return bool((self.weights != 0).all())


def matches(state: Arrays) -> bool:
    """w0, w1, ... and t0, t1, ... with one threshold tensor less, and nothing else; the first a convolution."""
    count = sum(bool(re.fullmatch(r"w\d+", name)) for name in state)
    wanted = {*(f"w{i}" for i in range(count)), *(f"t{i}" for i in range(count - 1))}
    return count > 1 and set(state) == wanted and state["w0"].ndim == 4


def build(state: Arrays) -> Integers:
    """The integer graph of a CNV. ModelError names the tensor that does not fit the family."""
    layers = _layers(state)
    b = Builder({"input": TensorType.of_dtype((3, SIDE, SIDE), DType("uint", 8))})
    last, steps = "input", 0
    for i, layer in enumerate(layers):
        kind = "conv" if state[f"w{i}"].ndim == 4 else "fc"
        last = b.add(f"{kind}{i}", Conv2d(), last, weights=layer.weights)
        if layer.thresholds is None:
            break
        bounds = _bounds(layer, i, steps)
        rising, steps = np.ones(len(bounds), np.int64), bounds.shape[1]
        if steps == 1:
            last = b.add(f"act{i}", Sign(), last, threshold=bounds[:, 0], rising=rising)
        else:
            last = b.add(f"act{i}", Thresholds(offset=-1), last, table=bounds, rising=rising)
        if layer.pooled:
            last = b.add(f"pool{i}", MaxPool2d(), last)
    weight_bits = 1 if all(layer.binary for layer in layers) else 2
    widths = f"w{weight_bits}a{steps}"
    outputs, fan_in = len(layers[-1].weights), layers[-1].weights[0].size
    # No scale of the scores is published: counted in standard deviations of a sum of random signs.
    dequantise = {last: Dequantise(1 / sqrt(fan_in), (0.0,) * outputs)}
    picture = Picture(width=SIDE, height=SIDE, order="rgb")
    head = ClassifierHead(cifar_labels(outputs))
    convs = sum(w.ndim == 4 for name, w in state.items() if name.startswith("w"))
    description = f"CNV, {convs} convolutions and {len(layers) - convs} dense layers, {widths.upper()}"
    return Integers(b.graph(f"cnv_{widths}", last), dequantise, picture, head, description)


def _bounds(layer: _Layer, index: int, steps: int) -> Array:
    """The least sums (O, N) above the thresholds; ``steps``: thresholds of the layer before, 0 for the picture."""
    assert layer.thresholds is not None
    t, flat = layer.thresholds, layer.weights.reshape(len(layer.weights), -1)
    if index == 0:
        return np.asarray(t // 2 + 1 + ZERO * flat.sum(1, keepdims=True))
    if steps == 1:
        if not layer.binary:
            raise ModelError(f"'w{index}' holds zeros, but reads bipolar activations (allowed: -1 and 1)")
        return 2 * t - flat.shape[1] + 1
    return t + 1


def _layers(state: Arrays) -> list[_Layer]:
    count = len(state) // 2 + 1
    weights = [_integral(state, f"w{i}") for i in range(count)]
    thresholds = [_integral(state, f"t{i}") for i in range(count - 1)]
    kernels = [w.shape for w in weights if w.ndim == 4]
    for i, w in enumerate(weights):
        if w.ndim != (4 if i < len(kernels) else 2):
            raise ModelError(f"'w{i}' has shape {w.shape}: convolutions (O, I, KH, KW) come first, then (O, I)")
        if w.min() < -1 or w.max() > 1:
            raise ModelError(f"'w{i}' holds {w.min()}..{w.max()} (allowed: -1, 0 and 1)")
        inputs = 3 if i == 0 else len(weights[i - 1])
        if w.ndim == 4 and (w.shape[1] != inputs or w.shape[2] != w.shape[3]):
            raise ModelError(f"'w{i}' has shape {w.shape}, needs {inputs} input channels and a square kernel")
    for i, t in enumerate(thresholds):
        if t.ndim != 2 or len(t) != len(weights[i]) or t.shape[1] not in (1, 2):
            raise ModelError(f"'t{i}' has shape {t.shape}, needs ({len(weights[i])}, 1) or ({len(weights[i])}, 2)")
        if t.shape[1] != thresholds[0].shape[1]:
            raise ModelError(f"'t{i}' has {t.shape[1]} thresholds a channel, 't0' has {thresholds[0].shape[1]}")
    pools, extent = _pooling(kernels, weights[len(kernels)].shape[1] if len(kernels) < count else None)
    layers = []
    for i, w in enumerate(weights):
        pooled = i < len(kernels) and pools[i]
        if w.ndim == 2:
            inputs = len(weights[i - 1]) * (extent**2 if i == len(kernels) else 1)
            if w.shape[1] != inputs:
                raise ModelError(f"'w{i}' has shape {w.shape}, needs {inputs} inputs")
            side = extent if i == len(kernels) else 1
            w = w.reshape(len(w), -1, side, side)
        layers.append(_Layer(w, np.sort(thresholds[i], axis=1) if i < count - 1 else None, pooled))
    return layers


def _pooling(kernels: Sequence[tuple[int, ...]], fan_in: int | None) -> tuple[Sequence[bool], int]:
    """(whether a pool follows, for each convolution; the side of what the last one gives).

    The first of the family's two arrangements after which the first dense layer's ``fan_in`` fits.
    """
    grows = [a[0] < b[0] for a, b in pairwise(kernels)] + [False]
    second = [i % 2 == 1 and i < len(kernels) - 1 for i in range(len(kernels))]
    sides = []
    for pools in (grows, second):
        side = SIDE
        for shape, pooled in zip(kernels, pools, strict=True):
            side = (side - shape[2] + 1) // (2 if pooled else 1)
        sides.append(side)
        if side > 0 and (kernels[-1][0] * side**2 == fan_in if fan_in else side == 1):
            return pools, side
    left = " or ".join(f"{side}x{side}" for side in dict.fromkeys(sides))
    wanted = f"'w{len(kernels)}' has {fan_in} inputs" if fan_in else "the last layer needs to leave one pixel"
    raise ModelError(f"{wanted}, but {SIDE}x{SIDE} pictures leave {kernels[-1][0]} channels of {left}")


def _integral(state: Arrays, name: str) -> Array:
    """The tensor as int64; what lies beyond every sum is moved to `BEYOND`, where it means the same."""
    value = state[name].astype(np.float64)
    if not value.size:
        raise ModelError(f"'{name}' is empty")
    rounded = np.rint(value)
    if not (rounded == value).all():
        raise ModelError(f"'{name}' holds values that are no integers")
    return np.clip(rounded, -BEYOND, BEYOND).astype(np.int64)


FAMILY = IntegerFamily("cnv", matches, build, "weights w0, w1, ... and thresholds t0, t1, ... of all but the last")
