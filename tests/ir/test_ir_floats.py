"""Float graphs: operators against PyTorch, kinds that never mix, tolerances that hold and mean something."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from ir.executor import execute
from ir.graph import Graph, GraphError, Node
from ir.kinds import kind_of
from ir.layouts import Plain
from ir.ops import (
    Add,
    Affine,
    AveragePool2d,
    Clip,
    Conv2d,
    MaxPool2d,
    Op,
    Operand,
    OperatorError,
    Pad,
    PRelu,
    Reshape,
    Sigmoid,
    Softmax,
)
from ir.records import Picture
from ir.tolerance import tolerances
from ir.types import Array, DType, TensorType

X = np.random.default_rng(0).standard_normal((4, 6, 7))
T = torch.from_numpy(X)
SLOPE, SCALE, OFFSET = np.random.default_rng(1).standard_normal((3, 4))
FLOAT32 = DType("float", 32)


@pytest.mark.parametrize(
    ("op", "more", "wanted"),
    [
        (Clip(-0.5, float("inf")), (), T.clamp(min=-0.5)),
        (PRelu(), (SLOPE,), F.prelu(T[None], torch.from_numpy(SLOPE))[0]),
        (Sigmoid(), (), torch.sigmoid(T)),
        (Softmax(), (), F.softmax(T, 0)),
        (Affine(), (SCALE, OFFSET), F.batch_norm(T[None], torch.zeros(4).double(), torch.ones(4).double(),
                                                torch.from_numpy(SCALE), torch.from_numpy(OFFSET), eps=0.0)[0]),
        (AveragePool2d((3, 2), (2, 1), (1, 0, 1, 0)), (), F.avg_pool2d(T, (3, 2), (2, 1), (1, 0))),
        (AveragePool2d((3, 3), (2, 2), (1, 1, 1, 1), False), (), F.avg_pool2d(T, 3, 2, 1, count_include_pad=False)),
        (Reshape((T.numel(), 1, 1)), (), T.reshape(-1, 1, 1)),
        (Pad((1, 2, 3, 0), (2, 1)), (), F.pad(T, (2, 0, 1, 3, 2, 1))),
        (MaxPool2d((1, 1), (2, 3)), (), T[:, ::2, ::3]),
    ],
)  # fmt: skip
def test_operators_give_what_pytorch_gives(op: Op, more: tuple[Array, ...], wanted: torch.Tensor) -> None:
    got = op.evaluate([X, *more])
    assert got == pytest.approx(wanted.numpy(), rel=1e-12, abs=1e-12)
    operands = [Operand(TensorType(X.shape, FLOAT32)), *(Operand(TensorType.of_values(m), m) for m in single(more))]
    assert op.infer(operands) == TensorType(got.shape, FLOAT32)


def single(values: tuple[Array, ...]) -> list[Array]:
    return [v.astype(np.float32) for v in values]


def test_sigmoid_keeps_its_relative_error_where_it_is_tiny() -> None:
    assert Sigmoid().evaluate([np.array([-700.0, 700.0])]) == pytest.approx([np.exp(-700.0), 1.0], rel=1e-12)


@pytest.mark.parametrize(
    ("op", "types", "message"),
    [
        (Conv2d(), ["float32", "int8"], "mixes integers and floats: float32.2x4x4., int8"),
        (Add(), ["uint8", "float32"], "mixes integers and floats"),
        (AveragePool2d(), ["uint8"], "takes floats, got uint8"),
        (Softmax(), ["int8"], "takes floats, got int8"),
        (PRelu(2), ["float32", "float32"], "shift of floats must be 0, is 2"),
        (Pad(channels=(1, 0)), ["bipolar"], "a bipolar tensor has no zeros"),
    ],
)
def test_what_is_not_defined_is_one_clear_error(op: Op, types: list[str], message: str) -> None:
    shapes = [(2, 4, 4), (2, 2, 1, 1) if isinstance(op, Conv2d) else (2,) if isinstance(op, PRelu) else (2, 4, 4)]
    operands = []
    for shape, name in zip(shapes, types, strict=False):
        dtype = DType.parse(name)
        constant = np.ones(shape, np.float32 if name == "float32" else np.int64) if operands else None
        operands.append(Operand(TensorType.of_dtype(shape, dtype), constant))
    with pytest.raises(OperatorError, match=message):
        op.infer(operands)


def test_the_kinds_of_graphs() -> None:
    ones = np.ones(2, np.float32)
    constants = {"s": ones, "w": np.ones((2, 2, 1, 1), np.float32), "v": np.ones((2, 2, 1, 1), np.int64)}
    byte = TensorType.of_dtype((2, 4, 4), DType("uint", 8))

    def graph(*nodes: Node) -> Graph:
        used = {i for node in nodes for i in node.inputs}
        given = {k: v for k, v in constants.items() if k in used}
        return Graph("g", {"x": byte}, nodes, (nodes[-1].name,), given).verify()

    affine = Node("a", Affine(), ("x", "s", "s"))
    assert kind_of(graph(Node("c", Conv2d(), ("x", "v")))) == "integer"
    assert kind_of(graph(affine, Node("c", Conv2d(), ("a", "w")))) == "float32"
    with pytest.raises(GraphError, match=r"node 'c' gives integers .* and 'a' floats: a network is of integers or"):
        kind_of(graph(affine, Node("c", Conv2d(), ("x", "v"))))
    with pytest.raises(GraphError, match=r"'d' \(Conv2d\): mixes integers and floats"):
        graph(affine, Node("c", Conv2d(), ("a", "w")), Node("d", Conv2d(), ("c", "v")))


def test_floats_come_back_from_memory_as_they_were() -> None:
    type_ = TensorType((3, 4, 5), FLOAT32)
    values = np.random.default_rng(2).standard_normal(type_.shape).astype(np.float32)
    back = Plain().unpack(Plain().pack(values, type_), type_)
    assert back.dtype == np.float32 and np.array_equal(back, values)


def test_a_pictures_normalisation_needs_numbers_for_every_channel() -> None:
    with pytest.raises(ValueError, match="three numbers each"):
        Picture(4, 4, "rgb", mean=(0.5,), std=(1.0,))
    with pytest.raises(ValueError, match="none that is zero"):
        Picture(4, 4, "rgb", mean=(0.5,) * 3, std=(1.0, 0.0, 1.0))


def deep(layers: int) -> tuple[Graph, dict[str, Array]]:
    """Convolutions with ReLU and residual sums, of values that keep their magnitude."""
    rng = np.random.default_rng(5)
    constants: dict[str, Array] = {}
    nodes: list[Node] = []
    last = "x"
    for k in range(layers):
        constants[f"w{k}"] = (rng.standard_normal((8, 8, 3, 3)) / 6).astype(np.float32)
        constants[f"b{k}"] = rng.standard_normal(8).astype(np.float32) / 4
        nodes.append(Node(f"c{k}", Conv2d(padding=(1, 1, 1, 1)), (last, f"w{k}", f"b{k}")))
        nodes.append(Node(f"r{k}", Clip(0.0, float("inf")), (f"c{k}",)))
        last = f"r{k}"
        if k % 2:
            nodes.append(Node(f"s{k}", Add(), (last, f"r{k - 1}")))
            last = f"s{k}"
    x = rng.standard_normal((8, 10, 10)).astype(np.float32)
    return Graph("deep", {"x": TensorType(x.shape, FLOAT32)}, tuple(nodes), (last,), constants).verify(), {"x": x}


def test_single_precision_stays_within_the_tolerance_and_small_errors_do_not() -> None:
    """PyTorch in float32 as the executor; then weights that are off by a 2,000th in the last layer."""
    graph, frame = deep(12)
    values = execute(graph, frame)
    allowed = tolerances(graph, values)
    tensors = {"x": torch.from_numpy(frame["x"])}
    for node in graph.nodes:
        more = [torch.tensor(graph.constants[i]) for i in node.inputs if i in graph.constants]
        read = [tensors[i] for i in node.inputs if i in tensors]
        if isinstance(node.op, Conv2d):
            tensors[node.name] = F.conv2d(read[0][None], more[0], more[1], padding=1)[0]
        else:
            tensors[node.name] = F.relu(read[0]) if isinstance(node.op, Clip) else read[0] + read[1]
        error = np.abs(tensors[node.name].numpy() - values[node.name])
        assert (error <= allowed[node.name]).all(), node.name
    wrong = graph.with_nodes(graph.nodes, {**graph.constants, "w11": graph.constants["w11"] * np.float32(1.0005)})
    (name,) = graph.outputs
    assert (np.abs(execute(wrong, frame)[name] - values[name]) > allowed[name]).mean() > 0.2
