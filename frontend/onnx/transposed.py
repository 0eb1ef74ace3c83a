"""ConvTranspose, as a convolution and `DepthToSpace` (`frontend.transposed`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from frontend.dilation import dilated, dilated_shape
from frontend.onnx.builder import Builder, Value
from frontend.onnx.linear import Weights, bias_of, convolved, weights_of
from frontend.onnx.model import OnnxNode, check_shape
from frontend.onnx.rule import Rule
from frontend.transposed import Transposed, outputs_first
from ir.ops import DepthToSpace, Slice
from ir.types import Array


def _numbers(b: Builder, node: OnnxNode, key: str, default: int, count: int) -> tuple[int, ...]:
    given = tuple(int(n) for n in node.attributes.get(key, (default,) * count))
    b.require(node, len(given) == count, f"{key} {given} has to be {count} numbers")
    b.require(node, all(0 <= n < 1 << 16 for n in given), f"{key} {given} is out of bounds")
    return given


def _sizes(
    b: Builder, node: OnnxNode, extents: tuple[int, ...], kernel: tuple[int, ...], stride: int
) -> tuple[list[int], list[int]]:
    """(what is cut off in front, rows and columns of the result)."""
    extra = _numbers(b, node, "output_padding", 0, 2)
    auto = str(node.attributes.get("auto_pad", "NOTSET"))
    b.require(node, auto in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"), f"auto_pad '{auto}' is unknown")
    whole = [stride * (n - 1) + e + k for n, e, k in zip(extents, extra, kernel, strict=True)]
    wanted = list(_numbers(b, node, "output_shape", 0, 2)) if "output_shape" in node.attributes else []
    if not wanted and auto in ("NOTSET", "VALID"):
        pads = _numbers(b, node, "pads", 0, 4) if auto == "NOTSET" else (0,) * 4
        return list(pads[:2]), [n - p - q for n, p, q in zip(whole, pads[:2], pads[2:], strict=True)]
    wanted = wanted or [n * stride for n in extents]
    less = [n - m for n, m in zip(whole, wanted, strict=True)]
    b.require(node, min(less) >= 0, f"a result of {wanted} is larger than what its kernel reaches, {whole}")
    return [n // 2 if auto == "SAME_UPPER" else n - n // 2 for n in less], wanted


def _conv_transpose(b: Builder, node: OnnxNode) -> None:
    x, weights, groups = b.value(node), weights_of(b, node, 1, swap=True), int(node.attributes.get("group", 1))
    outputs, inputs, *kernel = weights.integers.shape
    b.require(node, len(kernel) == 2, f"{len(kernel)} spatial axes are not supported (allowed: 2)")
    b.require(node, len(x.shape) == 4 and x.shape[0] == 1, f"takes (1, C, H, W), got shape {x.shape}")
    b.require(node, groups >= 1 and inputs % groups == 0, f"{inputs} channels do not divide into {groups} groups")
    b.require(node, x.shape[1] == inputs, f"{x.shape[1]} channels meet weights for {inputs}")
    stated = [int(n) for n in node.attributes.get("kernel_shape", kernel)]
    b.require(node, stated == kernel, f"kernel_shape {stated} is not that of its weights, {kernel}")
    strides, dilations = _numbers(b, node, "strides", 1, 2), _numbers(b, node, "dilations", 1, 2)
    b.require(node, strides[0] == strides[1] >= 1, f"strides {strides} are not supported (allowed: two equal ones)")
    b.require(node, min(dilations) >= 1, f"dilations {dilations} need to be positive")
    reach = dilated_shape(weights.integers.shape, dilations)
    check_shape(f"{b.graph}: {node}: its kernel", reach)
    kernel = list(reach[2:])
    cut, size = _sizes(b, node, x.shape[2:], tuple(kernel), strides[0])
    b.require(node, min(size) >= 1, f"leaves {size} rows and columns of {x.shape}")
    form = Transposed.of(x.shape[2:], kernel, strides[0], cut, size, groups)
    x = b.arranged(node, x, (1, 2, 3))

    def spread(values: Array) -> Array:
        return form.spread(dilated(outputs_first(values.swapaxes(0, 1), groups), dilations))

    block = strides[0] ** 2
    lengths = (form.rows.length, form.columns.length)
    check_shape(f"{b.graph}: {node}: its kernel", (groups * outputs * block, inputs // groups, *lengths))
    scale = None if weights.scale is None else np.repeat(np.tile(weights.scale, groups), block)
    bias = bias_of(b, node, 2, groups * outputs)
    part = replace(node, outputs=(f"{node.outputs[0]}.phases",)) if block > 1 else node
    wide = None if bias is None else np.repeat(bias, block)
    tensor = convolved(b, part, x.tensor, form.op, Weights(spread(weights.integers), scale), wide)
    if block > 1:
        tensor = b.emit(node, DepthToSpace(strides[0], "crd"), tensor)
    made = (groups * outputs, *size)
    if b.types[tensor].shape != made:
        tensor = b.emit(node, Slice((0, 0, 0), (1, 1, 1), made), tensor)
    b.define(node, Value(tensor, (1, *made), (1, 2, 3)))


RULES: Mapping[str, Rule] = {"ConvTranspose": _conv_transpose}
