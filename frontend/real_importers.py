"""Functions, cuts and enlargements of networks without quantisers, from PyTorch's names to the graph's operators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch.fx import Node as FxNode

from frontend.builder import Builder, Imported, Importer, arguments, pair, shape_of
from frontend.transposed import Transposed, outputs_first
from ir.ops import Conv2d, Curve, DepthToSpace, Interpolate, Slice


def _curve(name: str, *parameters: float) -> Importer:
    def importer(b: Builder, node: FxNode) -> Imported:
        b.require(node, not [a for a in node.args[1:] if a is not None], f"arguments {node.args[1:]} are not supported")
        return Curve(name, *parameters), (b.tensor(node, 0),)

    return importer


def _elu(b: Builder, node: FxNode) -> Imported:
    _, alpha, scale, input_scale = arguments(node, None, 1.0, 1.0, 1.0)
    b.require(node, scale == input_scale == 1, "scales are not supported (allowed: 1)")
    return Curve("elu", float(alpha)), (b.tensor(node, 0),)


def _gelu(b: Builder, node: FxNode) -> Imported:
    approximate = node.kwargs.get("approximate", "none")
    b.require(node, approximate == "none", f"approximate '{approximate}' is not supported (allowed: none)")
    return Curve("gelu"), (b.tensor(node, 0),)


def cut(b: Builder, node: FxNode, source: Any, axis: int, kept: range) -> Imported:
    """Some of the entries of an axis of a tensor (1, C, H, W) or (1, C)."""
    shape = shape_of(source)
    axis %= len(shape)
    if kept == range(shape[axis]):
        return b.names[source]
    b.require(node, axis > 0 and len(kept) > 0, f"cuts axis {axis} of {shape} (allowed: channels, rows, columns)")
    spans = [range(n) for n in (*shape[1:], 1, 1)[:3]]
    spans[axis - 1] = kept
    first, step, count = zip(*((s.start, s.step, len(s)) for s in spans), strict=True)
    return Slice(first, step, count), (b.names[source],)


def _parts(b: Builder, node: FxNode) -> Imported:
    """Several tensors; each is cut out where it is taken (`_part`)."""
    return b.tensor(node, 0)


def _part(b: Builder, node: FxNode) -> Imported:
    source, index = node.args[:2]
    split = isinstance(source, FxNode) and str(source.target) in PARTS
    b.require(node, split, "takes a part of something that is not supported")
    assert isinstance(source, FxNode) and isinstance(index, int)
    axis = int(arguments(source, None, None, 0)[2])
    sizes = [int(value.shape[axis]) for value in source.meta["val"]]
    first = sum(sizes[:index])
    return cut(b, node, source.args[0], axis, range(first, first + sizes[index]))


PARTS = ("aten.chunk.default", "aten.split.Tensor", "aten.split_with_sizes.default")


def _conv_transpose(b: Builder, node: FxNode) -> Imported:
    x, weights, bias, stride, padding, _, groups, dilation = arguments(node, None, None, None, 1, 0, 0, 1, 1)
    s, pads, before, after = pair(stride), pair(padding), shape_of(x), shape_of(node)
    b.require(node, s[0] == s[1], f"strides {s} are not supported (allowed: two equal ones)")
    b.require(node, pair(dilation) == (1, 1), f"dilation {dilation} is not supported (allowed: 1)")
    w = outputs_first(b.constant(node, weights, "the weight"), int(groups))
    form = Transposed.of(before[2:], w.shape[2:], s[0], pads, after[2:], int(groups))
    values = {"weights": form.spread(w)}
    if bias is not None:
        values["bias"] = np.repeat(b.constant(node, bias, "the bias"), s[0] ** 2)
    tensor = b.step(node, "phases", form.op, b.names[x], *b.constants_of(node.name, **values))
    made = Conv2d.output_extent(form.op, before[2:], (form.rows.length, form.columns.length))  # type: ignore[arg-type]
    shuffle = DepthToSpace(s[0], "crd")
    if (made[0] * s[0], made[1] * s[0]) == after[2:]:
        return shuffle, (tensor,)
    return Slice((0, 0, 0), (1, 1, 1), after[1:]), (b.step(node, "whole", shuffle, tensor),)  # type: ignore[arg-type]


def _bilinear(b: Builder, node: FxNode) -> Imported:
    _, _, height, width = shape_of(node)
    corners = bool(arguments(node, None, None, False)[2])
    return Interpolate(height, width, "align_corners" if corners else "half_pixel"), (b.tensor(node, 0),)


REAL_IMPORTERS: Mapping[str, Importer] = {
    "<built-in function getitem>": _part,
    "aten.abs.default": _curve("abs"),
    "aten.conv_transpose2d.input": _conv_transpose,
    "aten.elu.default": _elu,
    "aten.elu_.default": _elu,
    "aten.exp.default": _curve("exp"),
    "aten.gelu.default": _gelu,
    "aten.hardsigmoid.default": _curve("hardsigmoid", 1 / 6, 0.5),
    "aten.hardsigmoid_.default": _curve("hardsigmoid", 1 / 6, 0.5),
    "aten.hardswish.default": _curve("hardswish"),
    "aten.hardswish_.default": _curve("hardswish"),
    "aten.silu.default": _curve("swish", 1.0),
    "aten.silu_.default": _curve("swish", 1.0),
    "aten.tanh.default": _curve("tanh"),
    "aten.upsample_bilinear2d.vec": _bilinear,
    **dict.fromkeys(PARTS, _parts),
}
