"""Normalisations by what a network computes itself, from PyTorch's names: sums, and functions of them.

``(x - mean) / sqrt(mean((x - mean)^2) + eps) * weight + bias``, where the means are taken over the channels of a pixel
(layer norm, Ba et al. 2016), over all pixels of a group of channels (group norm, Wu and He 2018) or of one channel
(instance norm, Ulyanov et al. 2016).
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import numpy as np
from torch.fx import Node as FxNode

from frontend import channels_last
from frontend.builder import Builder, Imported, Importer, arguments, shape_of
from ir.ops import Affine, Arithmetic, Curve, Reduce, Reshape

Shape = tuple[int, int, int]


def _layer_norm(b: Builder, node: FxNode) -> Imported:
    x, axes, weight, bias, eps = arguments(node, None, None, None, None, 1e-5)[:5]
    shape = shape_of(x)
    b.require(node, len(axes) == 1, f"normalises {len(axes)} axes of {shape} (allowed: the channels)")
    if channels_last.is_viewed(b, x):
        tensor, extents = channels_last.tensor_of(b, node, x), (shape[3], shape[1], shape[2])
    else:
        b.require(node, len(shape) == 2, f"normalises columns of {shape} (allowed: the channels)")
        tensor, extents = b.names[x], (shape[1], 1, 1)
    normal = _standardised(b, node, tensor, extents, (0,), eps)
    made = _scaled(b, node, normal, extents[0], weight, bias)
    return channels_last.result(b, node, made) if channels_last.is_viewed(b, x) else made


def _group_norm(b: Builder, node: FxNode) -> Imported:
    x, groups, weight, bias, eps = arguments(node, None, None, None, None, 1e-5)[:5]
    return _grouped(b, node, x, int(groups), weight, bias, eps)


def _instance_norm(b: Builder, node: FxNode) -> Imported:
    x, weight, bias, _, _, own, _, eps = arguments(node, None, None, None, None, None, True, 0.1, 1e-5)[:8]
    if own:
        return _grouped(b, node, x, shape_of(x)[1], weight, bias, eps)
    mean, variance = (b.constant(node, node.args[i], "what was measured in training") for i in (3, 4))
    scale = 1 / np.sqrt(variance.astype(np.float64) + eps)
    constants = b.constants_of(f"{node.name}.measured", scale=scale, offset=-mean * scale)
    return _scaled(b, node, b.step(node, "normal", Affine(), b.names[x], *constants), len(scale), weight, bias)


def _grouped(b: Builder, node: FxNode, x: FxNode, groups: int, weight: object, bias: object, eps: float) -> str:
    shape = shape_of(x)
    b.require(node, len(shape) == 4, f"normalises shape {shape} (allowed: (1, C, H, W))")
    _, channels, height, width = shape
    if groups == channels:
        normal = _standardised(b, node, b.names[x], (channels, height, width), (1, 2), eps)
    else:
        grouped = (groups, channels // groups * height, width)
        split = b.step(node, "groups", Reshape(grouped), b.names[x])
        normal = _standardised(b, node, split, grouped, (1, 2), eps)
        normal = b.step(node, "channels", Reshape((channels, height, width)), normal)
    return _scaled(b, node, normal, channels, weight, bias)


def _standardised(b: Builder, node: FxNode, x: str, shape: Shape, axes: tuple[int, ...], eps: float) -> str:
    """x (C, H, W), its mean over these axes 0 and its variance 1."""
    count = prod(shape[axis] for axis in axes)
    channels = 1 if 0 in axes else shape[0]

    def mean(of: str, what: str, plus: float) -> str:
        total = b.step(node, f"{what}_sum", Reduce("sum", axes), of)
        values = {"scale": np.full(channels, 1 / count), "offset": np.full(channels, plus)}
        return b.step(node, what, Affine(), total, *b.constants_of(f"{node.name}.{what}", **values))

    centred = b.step(node, "centred", Arithmetic("subtract"), x, mean(x, "mean", 0.0))
    variance = mean(b.step(node, "squares", Curve("square"), centred), "variance", eps)
    deviation = b.step(node, "deviation", Curve("sqrt"), variance)
    return b.step(node, "normal", Arithmetic("divide"), centred, deviation)


def _scaled(b: Builder, node: FxNode, x: str, channels: int, weight: object, bias: object) -> str:
    scale = np.ones(channels) if weight is None else b.constant(node, weight, "the weight").astype(np.float64)
    offset = np.zeros(channels) if bias is None else b.constant(node, bias, "the bias").astype(np.float64)
    return b.made(node, Affine(), x, *b.constants_of(node.name, scale=scale, offset=offset))


NORM_IMPORTERS: Mapping[str, Importer] = {
    "aten.group_norm.default": _group_norm,
    "aten.instance_norm.default": _instance_norm,
    "aten.layer_norm.default": _layer_norm,
}
