"""Exported programs node by node: what each operator becomes, and errors that name node and operator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from frontend.errors import ModelError
from frontend.importer import import_program, with_batch_of_one
from frontend.lower.freeze import freeze
from frontend.quantisers import QuantActivation, QuantConv2d, SpaceToDepth, quantize_weight_tanh
from ir.executor import execute
from ir.graph import Graph
from ir.ops import BatchNorm, Concat, Conv2d, FakeQuantize, MaxPool2d
from ir.ops import SpaceToDepth as SpaceToDepthOp
from ir.records import Picture

PICTURE = Picture(width=8, height=6, order="rgb")


def imported(module: nn.Module, *shapes: tuple[int, ...]) -> Graph:
    examples = tuple(torch.zeros(shape) for shape in shapes or ((1, 3, 6, 8),))
    return import_program(torch.export.export(module.eval(), examples), "net", PICTURE)


def refusal(module: nn.Module, *shapes: tuple[int, ...]) -> str:
    with pytest.raises(ModelError) as raised:
        imported(module, *shapes)
    assert "\n" not in str(raised.value)
    return str(raised.value)


class Functional(nn.Module):
    """A module around one function of its input, with the parameters that it may want."""

    def __init__(self, function: object) -> None:
        super().__init__()
        self.function = function
        self.w = nn.Parameter(torch.linspace(-1, 1, 4 * 3 * 3 * 3).reshape(4, 3, 3, 3))
        self.b = nn.Parameter(torch.ones(4))

    def forward(self, *inputs: Tensor) -> Tensor:
        result: Tensor = self.function(self, *inputs)  # type: ignore[operator]
        return result


def op_of(graph: Graph) -> object:
    return graph.by_name[graph.outputs[0]].op


def test_attributes_of_each_operator() -> None:
    conv = imported(Functional(lambda m, x: F.conv2d(x, m.w, m.b, stride=(2, 1), padding=(0, 2))))
    assert op_of(conv) == Conv2d((2, 1), (0, 2, 0, 2), 1)
    assert conv.by_name[conv.outputs[0]].inputs[1:] == ("w", "b")
    depthwise = imported(nn.Conv2d(3, 3, 3, groups=3, bias=False))
    assert op_of(depthwise) == Conv2d(groups=3)
    pool = imported(nn.MaxPool2d((3, 2), stride=(1, 2)))
    assert op_of(pool) == MaxPool2d((3, 2), (1, 2))
    assert op_of(imported(nn.MaxPool2d(2))) == MaxPool2d((2, 2), (2, 2))
    assert op_of(imported(SpaceToDepth(2))) == SpaceToDepthOp(2)
    assert op_of(imported(QuantActivation(3))) == FakeQuantize(7.0, 0, 7)
    assert op_of(imported(nn.BatchNorm2d(3, eps=0.25))) == BatchNorm(0.25, False)
    join = imported(Functional(lambda m, x: torch.cat((x, F.max_pool2d(x, 1), x), 1)))
    assert op_of(join) == Concat() and join.types[join.outputs[0]].shape == (9, 6, 8)


def test_weights_are_bent_in_double_precision() -> None:
    net = QuantConv2d(3, 2, 3, bits=5)
    graph = imported(net)
    (quantise,) = (n for n in graph.nodes if n.name.endswith(".quantised"))
    assert quantise.op == FakeQuantize(15.0, -15, 15)
    w = net.weight.detach().numpy().astype(np.float64)
    expected = np.tanh(w) / np.abs(np.tanh(w)).max()
    np.testing.assert_array_equal(graph.constants[quantise.inputs[0]], expected)


@pytest.mark.parametrize(
    "geometry",
    [{"padding": 2, "dilation": 2}, {"padding": (0, 3), "dilation": (1, 3), "stride": (2, 1)}, {"padding": "same"},
     {"padding": "same", "dilation": (2, 3)}, {"padding": "valid", "dilation": (1, 2), "groups": 3}],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:Using padding='same'")
def test_dilated_and_same_kernels_give_the_integers_of_torch(geometry: dict[str, Any]) -> None:
    """The integer convolution against PyTorch's of the same integers, kernels of 2 x 3 and 3 x 2 taps."""
    rng = np.random.default_rng(2)
    x = rng.integers(0, 256, (3, 6, 8))
    for size in ((2, 3), (3, 2)):
        net = QuantConv2d(3, 6, size, bits=4, **geometry)
        graph = imported(net)
        frozen = freeze(graph).graph
        (output,) = frozen.outputs
        levels = torch.round(torch.tanh(net.weight.double()) / torch.tanh(net.weight.double()).abs().max() * 7)
        convolution = {"stride": 1, "dilation": 1, "groups": 1} | geometry
        expected = F.conv2d(torch.from_numpy(x[None]).double(), levels.detach(), None, **convolution)
        assert np.array_equal(execute(frozen, {"input": x})[output], expected[0].numpy())


def test_a_shared_layer_is_quantised_once_and_its_uses_have_names_of_their_own() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = QuantConv2d(3, 3, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.conv(self.conv(x))
            return y

    graph = imported(Twice())
    assert [n.name for n in graph.nodes if isinstance(n.op, Conv2d)] == ["conv", "conv_2"]
    assert sum(n.name.endswith(".quantised") for n in graph.nodes) == 1


def test_branches_come_out_as_they_run_not_as_they_were_made() -> None:
    class Late(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.second, self.first = QuantActivation(2), QuantActivation(4)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.second(self.first(x))
            return y

    graph = imported(Late())
    assert [n.name for n in graph.nodes] == ["input.scaled", "first", "second"]
    assert graph.by_name["second"].inputs == ("first",)


def test_parameters_nobody_reads_are_left_out() -> None:
    graph = imported(Functional(lambda m, x: F.max_pool2d(x, 2)))
    assert not graph.constants


@pytest.mark.parametrize(
    ("function", "operator", "what"),
    [
        (lambda m, x: F.conv2d(x, m.w, None, 1, 300, 200), "aten.conv2d.default", "makes a kernel of (401, 401)"),
        (lambda m, x: F.conv2d(x, 2 * x, None, 1, 9, 2), "aten.conv2d.default", "kernel that is computed is not"),
        (lambda m, x: F.max_pool2d(x, 2, dilation=2), "aten.max_pool2d.default", "dilation is not supported"),
        (lambda m, x: torch.cat((x, x), 2), "aten.cat.default", "axis 2 is not supported (allowed: 1"),
        (lambda m, x: quantize_weight_tanh(x, 4), "hetero.quantize_weight_tanh", "needs a parameter"),
        (lambda m, x: F.conv2d(x, quantize_weight_tanh(m.w, 9)), "hetero.quantize_weight_tanh", "9 bits are not"),
        (lambda m, x: F.conv2d(x, quantize_weight_tanh(m.w * 0, 4)), "aten.mul.Tensor", "computes on constants alone"),
        (lambda m, x: torch.sin(x), "aten.sin.default", "is not supported (supported: aten.abs.default"),
        (lambda m, x: torch.add(x, x, alpha=2), "aten.add.Tensor", "alpha and rounding modes are not supported"),
    ],
)
def test_what_has_no_counterpart_is_named(function: object, operator: str, what: str) -> None:
    message = refusal(Functional(function))
    assert message.startswith("net: node '") and operator in message and what in message


def test_the_module_of_an_unsupported_operator_is_named() -> None:
    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.MaxPool2d(2), nn.LogSigmoid())

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.body(x)
            return y

    assert "at body.1: operator aten.log_sigmoid.default" in refusal(Outer())


def test_all_zero_weights_and_quantiser_widths() -> None:
    net = QuantConv2d(3, 2, 1)
    nn.init.zeros_(net.weight)
    assert "weights 'weight' are all zero or not finite" in refusal(net)
    assert "9 bits are not supported (allowed: 1..8)" in refusal(QuantActivation(9))


def test_inputs_have_to_be_one_picture_of_the_right_size() -> None:
    assert "has shape (1, 3, 5, 8), needs (1, C, 6, 8)" in refusal(nn.MaxPool2d(2), (1, 3, 5, 8))
    assert "has shape (2, 3, 6, 8)" in refusal(nn.MaxPool2d(2), (2, 3, 6, 8))
    two = Functional(lambda m, x, y: torch.cat((x, y), 1))
    assert "one input is supported, this is a second" in refusal(two, (1, 3, 6, 8), (1, 3, 6, 8))


def test_other_axes_than_the_batch_may_not_be_open() -> None:
    axes = ({0: torch.export.Dim("batch"), 2: torch.export.Dim("height")},)
    program = torch.export.export(nn.ReLU(), (torch.zeros(4, 3, 6, 8),), dynamic_shapes=axes)
    with pytest.raises(ModelError, match=r"net: axis 2 of its input is open: export with static shapes"):
        with_batch_of_one(program, "net")
    net, batch = Functional(lambda m, x: x.cos()), ({0: torch.export.Dim("batch")},)
    program = torch.export.export(net, (torch.zeros(4, 3, 6, 8),), dynamic_shapes={"inputs": (batch[0],)})
    with pytest.raises(ModelError, match=r"node 'cos' .*operator aten.cos.default is not supported"):
        with_batch_of_one(program, "net")


def test_batch_norm_in_training_mode_is_refused() -> None:
    program = torch.export.export(nn.BatchNorm2d(3).train(), (torch.zeros(1, 3, 6, 8),))
    with pytest.raises(ModelError, match=r"aten\.|training mode"):
        import_program(program, "net", PICTURE)
    assert "needs weight, bias and running statistics" in refusal(nn.BatchNorm2d(3, affine=False))


@pytest.mark.parametrize("network", ["ultranet", "ultranet_bypass"])
def test_the_imported_graph_computes_what_torch_computes(network: str) -> None:
    from frontend.zoo import ENTRIES

    entry = ENTRIES[network]
    torch.manual_seed(7)
    module = entry.factory().double().eval()
    picture = np.random.default_rng(7).integers(0, 256, entry.input_shape[1:])
    program = torch.export.export(module, (torch.zeros(entry.input_shape, dtype=torch.float64),))
    graph = import_program(program, network, entry.picture)
    got = execute(graph, {"input": picture})[graph.outputs[0]]
    with torch.no_grad():
        want = module(torch.from_numpy(picture[None] / 255.0)).numpy()[0]
    assert np.allclose(got, want, rtol=0, atol=1e-9)
