"""QONNX in plain torch, one line an operator: what the files mean, told independently of the importer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name
from onnx import helper, numpy_helper
from torch import Tensor

from ir.types import Array


def quant(x: Tensor, scale: Tensor, zero: Tensor, bits: Tensor, a: Mapping[str, Any]) -> Tensor:
    """qonnx/custom_op/general/quant.py, with rounding to even."""
    assert a["rounding_mode"] == b"ROUND"
    width, signed, narrow = int(bits), a["signed"], a["narrow"]
    lo, hi = (-(2 ** (width - 1)) + narrow, 2 ** (width - 1) - 1) if signed else (0, 2**width - 1 - narrow)
    return (torch.round(torch.clamp(x / scale + zero, lo, hi)) - zero) * scale


def conv(x: Tensor, w: Tensor, *bias_and_attributes: Any) -> Tensor:
    *bias, a = bias_and_attributes
    top, left = a["pads"][:2]
    return F.conv2d(x, w, bias[0] if bias else None, a["strides"], (top, left), a["dilations"], a["group"])


def norm(x: Tensor, gamma: Tensor, beta: Tensor, mean: Tensor, var: Tensor, a: Mapping[str, Any]) -> Tensor:
    return F.batch_norm(x, mean, var, gamma, beta, False, 0.0, a["epsilon"])


OPERATORS: Mapping[str, Callable[..., Tensor]] = {
    "Add": lambda x, y, a: x + y,
    "BatchNormalization": norm,
    "Concat": lambda x, y, a: torch.cat([x, y], a["axis"]),
    "Conv": conv,
    "Div": lambda x, y, a: x / y,
    "Flatten": lambda x, a: x.flatten(a["axis"]),
    "Gather": lambda x, i, a: x[int(i)],
    "MatMul": lambda x, y, a: x @ y,
    "Mul": lambda x, y, a: x * y,
    "Pow": lambda x, y, a: x**y,
    "Quant": quant,
    "Relu": lambda x, a: torch.relu(x),
    "Reshape": lambda x, shape, a: x.reshape([int(n) for n in shape]),
    "Resize": lambda x, roi, scales, a: x.repeat_interleave(int(scales[2]), 2).repeat_interleave(int(scales[3]), 3),
    "Shape": lambda x, a: torch.tensor(x.shape),
    "Sub": lambda x, y, a: x - y,
    "Transpose": lambda x, a: x.permute(a["perm"]),
    "Unsqueeze": lambda x, a: x.unsqueeze(a["axes"][0]),
}


def evaluate(path: Path, x: Array, dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    """Every tensor of the file by name, computed in ``dtype``."""
    graph = onnx.load(path).graph
    values = {each.name: torch.from_numpy(numpy_helper.to_array(each).copy()) for each in graph.initializer}
    values[graph.input[0].name] = torch.from_numpy(np.array(x))
    values = {name: v.to(dtype) if v.is_floating_point() else v for name, v in values.items()}
    for node in graph.node:
        attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        values[node.output[0]] = OPERATORS[node.op_type](*(values[name] for name in node.input), attributes)
    return values
