"""Operators of networks without quantisers: the graph gives what PyTorch gives, or an error names the node."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from frontend.errors import ModelError
from frontend.importer import import_program
from frontend.lower.single import is_float, to_single
from frontend.quantisers import quantize_activation
from ir.executor import execute
from ir.graph import Graph, GraphError
from ir.kinds import kind_of
from ir.ops import Affine, Conv2d, Reshape
from ir.records import Picture

PICTURE = Picture(8, 6, "rgb", mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 2.0))
Function = Callable[["Parts", Tensor], Tensor]


class Parts(nn.Module):
    """One function of the picture, and modules and parameters that it may use."""

    def __init__(self, function: Function) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.function = function
        self.conv, self.norm, self.deep = nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.Conv2d(3, 3, 3, groups=3, padding=1)
        self.dense, self.small, self.slope = nn.Linear(144, 5), nn.Linear(3, 4, bias=False), nn.PReLU(3)
        for value in (self.norm.weight, self.norm.bias, self.norm.running_mean, self.norm.running_var):
            assert value is not None
            value.data.uniform_(0.3, 2)
        self.w = nn.Parameter(torch.linspace(-1, 1, 3).reshape(1, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


def imported(function: Function) -> tuple[Graph, nn.Module]:
    module = Parts(function).eval()
    return import_program(torch.export.export(module, (torch.zeros(1, 3, 6, 8),)), "net", PICTURE), module


FUNCTIONS: dict[str, Function] = {
    "relu": lambda m, x: F.relu(x),
    "relu in place": lambda m, x: F.relu_(x * 1),
    "relu6": lambda m, x: F.relu6(3 * x),
    "hardtanh": lambda m, x: F.hardtanh(x, -0.5, 0.7),
    "clamp": lambda m, x: x.clamp(min=-0.2),
    "leaky relu": lambda m, x: F.leaky_relu(x, 0.2),
    "prelu": lambda m, x: m.slope(x),
    "sigmoid": lambda m, x: torch.sigmoid(x),
    "softmax": lambda m, x: F.softmax(x, -3),
    "add": lambda m, x: x + F.relu(x),
    "add in place": lambda m, x: F.relu(x).add_(x),
    "add a number": lambda m, x: 1.5 + x,
    "add per channel": lambda m, x: x + m.w,
    "subtract": lambda m, x: x - m.w,
    "divide": lambda m, x: x / (2.0),
    "multiply": lambda m, x: m.w * x,
    "gate": lambda m, x: torch.sigmoid(x.mean((2, 3), keepdim=True)) * x,
    "average pool": lambda m, x: F.avg_pool2d(x, 3, 2, 1),
    "average pool inside": lambda m, x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
    "max pool": lambda m, x: F.max_pool2d(x, 3, 2, 1),
    "adaptive": lambda m, x: F.adaptive_avg_pool2d(x, (3, 2)),
    "global": lambda m, x: F.adaptive_avg_pool2d(x, 1).flatten(1),
    "mean": lambda m, x: x.mean([-1, -2]),
    "linear": lambda m, x: m.dense(x.flatten(1)),
    "view": lambda m, x: m.dense(x.reshape(x.size(0), -1)),
    "linear of means": lambda m, x: m.small(x.mean((2, 3))),
    "addmm": lambda m, x: torch.addmm(m.dense.bias, x.view(1, -1), m.dense.weight.t()),
    "flatten": lambda m, x: F.relu(x.flatten(1)),
    "norm": lambda m, x: m.norm(m.conv(x)),
    "norm twice": lambda m, x: m.norm(m.norm(m.conv(x))),
    "norm of a shared map": lambda m, x: (lambda y: m.norm(y) + y)(m.conv(x)),
    "depthwise": lambda m, x: F.dropout(m.deep(x), 0.5, m.training),
    "dilated": lambda m, x: F.conv2d(x, m.conv.weight, m.conv.bias, padding=2, dilation=2),
    "dilated depthwise": lambda m, x: F.conv2d(x, m.deep.weight, None, 1, (3, 1), (3, 2), 3),
    "same": lambda m, x: F.conv2d(x, m.deep.weight, None, 1, "same", (1, 2), 3),
    "shortcut": lambda m, x: F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 1)),
    "rows only": lambda m, x: x[:, :, ::3],
    "pad": lambda m, x: F.pad(x, (1, 0, 2, 3)),
    "concat": lambda m, x: torch.cat((x, 2 * x), 1),
    "nearest": lambda m, x: F.interpolate(x, scale_factor=2),
    "silu": lambda m, x: F.silu(m.conv(x)),
    "hard swish": lambda m, x: F.hardswish(4 * x),
    "hard sigmoid": lambda m, x: F.hardsigmoid(4 * x),
    "gelu": lambda m, x: F.gelu(x),
    "elu": lambda m, x: F.elu(x, 0.7),
    "tanh": lambda m, x: torch.tanh(x),
    "max pool with a last window": lambda m, x: F.max_pool2d(x, 3, (2, 3), (0, 1), ceil_mode=True),
    "transposed": lambda m, x: F.conv_transpose2d(m.conv(x), m.conv.weight, None, 2, 1, 1),
    "transposed groups": lambda m, x: F.conv_transpose2d(x, m.deep.weight, m.deep.bias, 3, 1, 0, 3),
    "bilinear": lambda m, x: F.interpolate(x, scale_factor=2, mode="bilinear"),
    "bilinear corners": lambda m, x: F.interpolate(x, size=(9, 13), mode="bilinear", align_corners=True),
    "channels": lambda m, x: m.conv(x)[:, 1:5:2, 1:-1],
    "halves": lambda m, x: (lambda a, b: a * b)(*m.conv(x).chunk(2, 1)),
    "parts": lambda m, x: x.split([1, 4, 3], -1)[1],
    "shuffle": lambda m, x: F.relu(m.conv(x).view(1, 2, 3, 4, 6).transpose(1, 2).reshape(1, 6, 4, 6)),
    "unshuffle": lambda m, x: x.view(1, 3, 3, 2, 4, 2).permute(0, 1, 3, 5, 2, 4).reshape(1, 12, 3, 4) * 2,
    "views at the end": lambda m, x: torch.sigmoid(m.conv(x).view(1, 2, 3, 4, 6).permute(0, 1, 3, 4, 2)),
    "other shape": lambda m, x: F.relu(x.reshape(1, 6, 3, 8)),
    "squeezed": lambda m, x: m.small(F.adaptive_avg_pool2d(x, 1).squeeze(3).squeeze(2)),
    "pixel shuffle": lambda m, x: F.pixel_shuffle(torch.cat((x, x, x, x), 1), 2),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gives_what_pytorch_gives(name: str) -> None:
    graph, module = imported(FUNCTIONS[name])
    single = to_single(graph)
    assert kind_of(single) == "float32" and is_float(graph)
    rng = np.random.default_rng(1)
    x = rng.integers(0, 256, (3, 6, 8))
    mean, std = (np.array(v).reshape(3, 1, 1) for v in (PICTURE.mean, PICTURE.std))
    with torch.no_grad():
        wanted = module.double()(torch.from_numpy((x / 255 - mean) / std)[None])[0].numpy()
    for each, tolerance in ((graph, 1e-12), (single, 1e-5)):
        (output,) = each.outputs
        got = execute(each, {"input": x})[output]
        assert got.reshape(wanted.shape) == pytest.approx(wanted, rel=tolerance, abs=tolerance)


def test_batch_norms_and_flattening_are_folded() -> None:
    names = {name: [type(n.op) for n in to_single(imported(FUNCTIONS[name])[0]).nodes] for name in FUNCTIONS}
    assert names["norm"] == names["norm twice"] == [Affine, Conv2d]
    assert names["norm of a shared map"].count(Affine) == 2  # the picture, and the norm beside which others read
    assert names["linear"] == [Affine, Conv2d]
    assert names["flatten"].count(Reshape) == 1


@pytest.mark.parametrize(
    ("function", "what"),
    [
        (lambda m, x: x[0:0, 1:], "aten.slice.Tensor): cuts axis 0 of"),
        (lambda m, x: F.pad(x, (1, 1), value=1.0), "with 1.0 (allowed: zeros"),
        (lambda m, x: F.pad(x, (1, 1, 1, 1), mode="reflect"), "mode 'reflect' is not supported"),
        (lambda m, x: x.mean(1), "axes [1] are not supported (allowed: [2, 3])"),
        (lambda m, x: F.softmax(x, 2), "axis 2 is not supported (allowed: 1, the channels)"),
        (lambda m, x: F.adaptive_avg_pool2d(x, (4, 2)), "(4, 2) windows do not divide the extent (6, 8)"),
        (lambda m, x: F.avg_pool2d(x, 4, ceil_mode=True), "ceil_mode and divisor_override are not supported"),
        (lambda m, x: F.softmax(x.view(1, 1, 3, 6, 8), 1), "reads shape [(1, 1, 3, 6, 8)]: no (1, C[, H, W])"),
        (lambda m, x: F.conv_transpose2d(x, m.deep.weight, None, (2, 1)), "strides (2, 1) are not supported (allowed:"),
        (lambda m, x: F.gelu(x, approximate="tanh"), "approximate 'tanh' is not supported (allowed: none)"),
        (lambda m, x: x + x.mean((2, 3), keepdim=True), "adds tensors of shapes (1, 3, 6, 8) and (1, 3, 1, 1)"),
        (lambda m, x: x / 0.0, "divides by zero"),
        (lambda m, x: x / x, "the divisor must be a constant"),
        (lambda m, x: F.interpolate(x, size=(12, 8)), "(6, 8) to (12, 8) is no whole factor for both"),
    ],
)
def test_what_has_no_counterpart_is_named(function: Function, what: str) -> None:
    with pytest.raises(ModelError) as raised:
        imported(function)
    assert what in str(raised.value) and "node '" in str(raised.value) and "\n" not in str(raised.value)


def test_half_quantised_networks_are_no_float_networks() -> None:
    graph, _ = imported(lambda m, x: m.conv(quantize_activation(x, 4)))
    assert not is_float(graph)
    with pytest.raises(GraphError, match=r"node 'quantize_activation' gives float64.*, which is neither frozen nor"):
        kind_of(to_single(graph))


def test_weights_beyond_float32_are_refused() -> None:
    graph, _module = imported(lambda m, x: m.norm(m.conv(x)))
    huge = {**graph.constants, "norm.weight": np.full(6, 1e300)}
    with pytest.raises(ModelError, match=r"constant 'norm\.weights' leaves the range of float32"):
        to_single(graph.with_nodes(graph.nodes, huge))
