"""What strangers' exporters write: views of more than three axes, transposed convolutions, gates, uncounted padding."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))

from onnx_build import Network, integers_of, run
from onnx_exact import evaluate
from onnx_floats import SHAPE, compare

from frontend.errors import ModelError
from frontend.lower.freeze import freeze
from frontend.onnx.importer import import_onnx
from frontend.transposed import Transposed, outputs_first
from ir.executor import execute
from ir.ops import DepthToSpace
from ir.types import Array

RNG = np.random.default_rng(4)


def viewed(net: Network, x: str, shape: list[int]) -> str:
    return net.add("Reshape", x, net.constant(shape, "int64"))


def shuffled(net: Network, x: str, channels: int, groups: int = 2) -> str:
    """ShuffleNet's mixing of channels."""
    wide = viewed(net, x, [1, groups, channels // groups, 6, 8])
    return viewed(net, net.add("Transpose", wide, perm=[0, 2, 1, 3, 4]), [1, channels, 6, 8])


def test_channels_are_shuffled(tmp_path: Path) -> None:
    net = Network(SHAPE)
    y = shuffled(net, net.add("Concat", "x", net.add("Neg", "x"), axis=1), 8)
    first, second = net.add("Slice", y, *(net.constant([n], "int64") for n in (0, 4, 1))), net.add("Relu", y)
    compare(net, net.add("Concat", shuffled(net, first, 4), second, axis=1), tmp_path)


def test_pixels_become_channels_and_back_through_six_axes(tmp_path: Path) -> None:
    """As exporters write pixel_unshuffle and pixel_shuffle: orders that no single transposition of blocks gives."""
    net = Network(SHAPE)
    y = net.add("Transpose", viewed(net, "x", [0, 4, 3, 2, 4, 2]), perm=[0, 1, 3, 5, 2, 4])
    y = net.add("Tanh", viewed(net, y, [0, 16, 3, 4]))
    y = net.add("Transpose", viewed(net, y, [0, 4, 2, 2, 3, 4]), perm=[0, 1, 4, 2, 5, 3])
    compare(net, viewed(net, y, [0, 4, 6, 8]), tmp_path)


def test_a_detector_ends_with_five_axes(tmp_path: Path) -> None:
    net = Network(SHAPE)
    y = net.add("Mul", viewed(net, "x", [1, 2, 2, 6, 8]), net.constant(3.0))
    y = net.add("Sigmoid", net.add("Transpose", y, perm=[0, 1, 3, 4, 2]))
    compare(net, net.add("Unsqueeze", y, net.constant([0], "int64")), tmp_path)


def test_views_of_views(tmp_path: Path) -> None:
    net = Network(SHAPE)
    y = net.add("Transpose", viewed(net, "x", [2, 2, 2, 3, 2, 4]), perm=[5, 1, 3, 0, 4, 2])
    y = net.add("Transpose", viewed(net, y, [4, 2, 1, 3, 4, 2]), perm=[1, 5, 4, 2, 0, 3])
    compare(net, net.add("Flatten", y, axis=3), tmp_path)


def test_what_needs_several_axes_of_a_view_is_refused_by_name(tmp_path: Path) -> None:
    net = Network(SHAPE)
    y = net.add("ReduceMax", viewed(net, "x", [1, 2, 2, 6, 8]), net.constant([1, 3], "int64"))
    with pytest.raises(ModelError, match=r"\(ReduceMax\): operand 0 has shape \(1, 2, 2, 6, 8\): more than three axes"):
        import_onnx(net.save(tmp_path, y))


def test_shares_along_an_axis_of_a_view(tmp_path: Path) -> None:
    """Up to opset 12 they were taken along all axes from that one on, which is refused."""
    for axis in (1, 2, 4):
        net = Network(SHAPE)
        y = net.add("Softmax", viewed(net, "x", [1, 2, 2, 6, 8]), axis=axis)
        compare(net, net.add("Transpose", y, perm=[0, 2, 1, 4, 3]), tmp_path)
    for attributes in ({}, {"axis": 4}):
        net = Network(SHAPE)
        y = net.add("Softmax", viewed(net, "x", [1, 2, 2, 6, 8]), **attributes)
        with pytest.raises(
            ModelError, match=r"\(Softmax\): operand 0 has shape \(1, 2, 2, 6, 8\): more than three axes"
        ):
            import_onnx(net.save(tmp_path, y, opset=12))


def _split(net: Network, x: str, sizes: list[int], axis: int) -> list[str]:
    names = [f"{x}_part{i}" for i in range(len(sizes))]
    net.add("Split", x, net.constant(sizes, "int64"), axis=axis)
    net.nodes[-1].output[:] = names
    return names


def _grid_head(net: Network, x: str) -> str:
    """YOLOv5's: three anchors of two pixels by eight with four numbers each; centres by a grid, sizes by anchors."""
    rng = np.random.default_rng(6)
    y = net.add("Transpose", viewed(net, x, [1, 3, 4, 2, 8]), perm=[0, 1, 3, 4, 2])
    centre, size, score = _split(net, net.add("Sigmoid", y), [2, 1, 1], 4)
    grid, anchors = rng.normal(0, 3, (1, 3, 2, 8, 2)), rng.uniform(5, 40, (1, 3, 1, 1, 1))
    centre = net.add("Mul", net.add("Add", net.add("Mul", centre, net.constant(2.0)), net.constant(grid)),
                     net.constant(8.0))  # fmt: skip
    size = net.add("Mul", net.add("Pow", net.add("Mul", size, net.constant(2.0)), net.constant(2.0)),
                   net.constant(np.broadcast_to(anchors, (1, 3, 2, 8, 1))))  # fmt: skip
    return viewed(net, net.add("Concat", centre, size, score, axis=4), [1, 48, 4])


def test_a_head_of_grids_and_anchors(tmp_path: Path) -> None:
    net = Network(SHAPE)
    compare(net, _grid_head(net, "x"), tmp_path)


def test_a_head_of_distances_from_points(tmp_path: Path) -> None:
    """YOLOv8's: points less and plus the distances of both corners, times each point's stride."""
    rng = np.random.default_rng(7)
    net = Network(SHAPE)
    first, second = _split(net, viewed(net, "x", [1, 4, 48]), [2, 2], 1)
    points, stride = rng.uniform(0, 9, (1, 2, 48)), rng.choice([8.0, 16.0], (1, 48))
    low, high = net.add("Sub", net.constant(points), first), net.add("Add", net.constant(points), second)
    centre = net.add("Div", net.add("Add", low, high), net.constant(2.0))
    corners = net.add("Concat", centre, net.add("Sub", high, low), axis=1)
    compare(net, net.add("Mul", corners, net.constant(stride)), tmp_path)


def test_a_head_behind_quantisers(tmp_path: Path) -> None:
    """onnxruntime's QDQ around what moves the head's values; the grid's arithmetic is left in floats."""
    net = Network(SHAPE)
    x = net.round_trip("x", 0.04, 7, "uint8")
    y = net.round_trip(net.add("Conv", x, net.weights(RNG.integers(-90, 91, (12, 4, 3, 3)), 0.01), strides=[3, 1],
                               pads=[1, 1, 1, 1]), 0.1, 128, "uint8")  # fmt: skip
    y = net.round_trip(viewed(net, y, [1, 3, 4, 2, 8]), 0.1, 128, "uint8")
    first, second = (net.round_trip(part, 0.1, 128, "uint8") for part in _split(net, y, [2, 2], 2))
    grid = RNG.uniform(0, 2, (1, 3, 2, 2, 8))
    y = net.add("Concat", net.add("Add", first, net.constant(grid)), net.add("Sigmoid", second), axis=2)
    path = net.save(tmp_path, y)
    imported = import_onnx(path)
    made = freeze(imported.graph)
    x_values = RNG.normal(0, 3, SHAPE)
    (name,), (output,) = made.graph.inputs, made.graph.outputs
    got = execute(made.graph, {name: made.quantise[name].integers(x_values[0])})[output]
    expected = _head_of(path, x_values, grid)
    assert np.allclose(got.reshape(expected.shape), expected, rtol=1e-12)


def _head_of(path: Path, x: Array, grid: Array) -> Array:
    """By ONNX's definitions up to the quantised views, which are then computed with directly."""
    values = evaluate(path, x, until="Split")
    quantised = next(v for k, v in reversed(values.items()) if k.startswith("dequantizelinear"))
    first, second = quantised[:, :, :2], quantised[:, :, 2:]
    return np.concatenate([first + grid.astype(np.float32), 1 / (1 + np.exp(-second))], 2)


def test_integers_are_shuffled_between_quantisers(tmp_path: Path) -> None:
    """onnxruntime stands QuantizeLinear and DequantizeLinear around every operator, those of the view included."""
    net = Network(SHAPE)

    def rounded(x: str) -> str:
        return net.round_trip(x, 0.05, 3, "uint8")

    wide = rounded(viewed(net, rounded("x"), [1, 2, 2, 6, 8]))
    y = rounded(net.add("Transpose", wide, perm=[0, 2, 1, 3, 4]))
    path = net.save(tmp_path, rounded(viewed(net, y, [1, 4, 6, 8])))
    x = RNG.normal(0, 2, SHAPE).astype(np.float32)
    expected = evaluate_views(path, x)
    imported, frozen = integers_of(path)
    assert np.array_equal(run(imported, frozen, x.astype(np.float64)), expected)


def evaluate_views(path: Path, x: np.ndarray) -> np.ndarray:
    return np.asarray(list(evaluate(path, x).values())[-1])


@pytest.mark.parametrize(
    "attributes",
    [
        {"strides": [2, 2]},
        {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]},
        {"strides": [3, 3], "pads": [0, 2, 1, 0], "dilations": [2, 1]},
        {"strides": [2, 2], "auto_pad": "SAME_UPPER"},
        {"pads": [2, 1, 0, 2]},
    ],
)
def test_transposed_convolutions(attributes: dict[str, object], tmp_path: Path) -> None:
    net = Network(SHAPE)
    weights, bias = net.constant(RNG.normal(0, 1, (4, 3, 3, 4))), net.constant(RNG.normal(0, 1, 3))
    compare(net, net.add("ConvTranspose", "x", weights, bias, **attributes), tmp_path)


@pytest.mark.parametrize(
    ("groups", "kernel", "stride", "cut"), [(2, (3, 4), 2, 1), (6, (2, 5), 3, 0), (3, (1, 2), 2, 1)]
)
def test_groups_of_transposed_convolutions(groups: int, kernel: tuple[int, int], stride: int, cut: int) -> None:
    """Against PyTorch: ONNX's own evaluator has none."""
    x, w = RNG.normal(0, 1, (6, 4, 5)), RNG.normal(0, 1, (6, 2, *kernel))
    expected = torch.conv_transpose2d(
        torch.tensor(x[None]), torch.tensor(w), stride=stride, padding=cut, groups=groups
    )[0].numpy()
    form = Transposed.of(x.shape[1:], kernel, stride, (cut, cut), expected.shape[1:], groups)
    phases = form.op.evaluate([x, form.spread(outputs_first(w, groups))])
    y = DepthToSpace(stride, "crd").evaluate([phases])
    assert np.allclose(y[:, : expected.shape[1], : expected.shape[2]], expected)


def test_unequal_strides_of_a_transposed_convolution_are_refused(tmp_path: Path) -> None:
    net = Network(SHAPE)
    y = net.add("ConvTranspose", "x", net.constant(np.ones((4, 1, 2, 2))), strides=[2, 1])
    with pytest.raises(ModelError, match=r"strides \(2, 1\) are not supported \(allowed: two equal ones\)"):
        import_onnx(net.save(tmp_path, y))


@pytest.mark.parametrize("shape", [(1, 4, 1, 1), (1, 1, 6, 8), (4, 1, 1)])
@pytest.mark.parametrize("turned", [False, True])
def test_gates(shape: tuple[int, ...], turned: bool, tmp_path: Path) -> None:
    net = Network(SHAPE)
    axes = [2, 3] if shape[-1] == 1 else [1]
    gate = net.add("HardSigmoid", net.add("ReduceMean", "x", net.constant(axes, "int64")))
    gate = viewed(net, gate, list(shape))
    compare(net, net.add("Mul", *((gate, "x") if turned else ("x", gate))), tmp_path)


@pytest.mark.parametrize("ceil", [0, 1])
def test_means_of_what_is_inside_the_picture(ceil: int, tmp_path: Path) -> None:
    net = Network((1, 3, 7, 9))
    y = net.add("AveragePool", "x", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 0, 1], ceil_mode=ceil)
    compare(net, y, tmp_path, (1, 3, 7, 9))


@pytest.mark.parametrize("axis", [1, -1])
def test_logarithms_of_shares(axis: int, tmp_path: Path) -> None:
    net = Network(SHAPE)
    compare(net, net.add("LogSoftmax", net.add("Mul", "x", net.constant(5.0)), axis=axis), tmp_path)


def test_axes_in_any_order_move_nothing(tmp_path: Path) -> None:
    net = Network(SHAPE)
    path = net.save(tmp_path, net.add("ReduceMean", "x", net.constant([-1, -2], "int64"), keepdims=1))
    assert [type(node.op).__name__ for node in import_onnx(path).graph.nodes] == ["SumPool2d", "Affine"]
    compare(net, net.nodes[-1].output[0], tmp_path)
