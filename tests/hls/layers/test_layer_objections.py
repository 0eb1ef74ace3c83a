"""What the accelerator does not take: the reason names the attribute and what is allowed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from layer_graphs import activations
from test_layer_flows import TARGET

from hls.engine import DataflowEngine
from ir.engine import Reason
from ir.graph import Graph, Node, NodeView
from ir.ops import Conv2d, FakeQuantize, MaxPool2d, MultiplyShift, Op, SpaceToDepth, Thresholds
from ir.types import Array, DType, TensorType

X = activations((4, 8, 8), 4)
BIPOLAR = TensorType.of_dtype((4, 8, 8), DType("bipolar", 1))
ENGINE = DataflowEngine()


def node(op: Op, *constants: Array, x: TensorType = X) -> NodeView:
    named = {f"k{i}": value for i, value in enumerate(constants)}
    return Graph("g", {"x": x}, (Node("n", op, ("x", *named)),), ("n",), named).verify().view("n")


def weights(*shape: int, value: int = -3) -> Array:
    return np.full(shape, value)


@pytest.mark.parametrize(
    ("view", "message"),
    [
        (node(Conv2d(stride=(2, 1)), weights(4, 4, 3, 3)), None),
        (node(Conv2d(groups=2), weights(4, 2, 3, 3)), None),
        (node(Conv2d(), weights(4, 4, 1, 3)), None),
        (node(Conv2d(padding=(9, 9, 9, 9)), weights(4, 4, 17, 3)), "kernel 17x3 has no generator (allowed: up to 16)"),
        (node(FakeQuantize(15.0, 0, 15)), "float32 runs on the CPU"),
        (node(Conv2d(), weights(4, 4, 3, 3, value=1 << 30)), "exceed every port of dsp48e2 (allowed: 27x18)"),
        (node(MaxPool2d(), x=TensorType((4, 8, 8), DType("float", 32))), "float32 runs on the CPU"),
        (node(MaxPool2d(), x=BIPOLAR), None),
        (node(Conv2d(), weights(4, 4, 3, 3), x=BIPOLAR), "bipolar activations meet weights in -3..-3 (allowed: -1 and"),
        (node(Conv2d(groups=2), weights(4, 2, 1, 3, value=-1), x=BIPOLAR), None),
        (node(Thresholds(), weights(4, 2), weights(4), x=activations((4, 8, 8), 4)), None),
        (node(Conv2d(padding=(2, 0, 1, 3)), weights(4, 4, 2, 2)), None),
        (node(MaxPool2d((3, 3), (2, 2), (1, 1, 0, 0))), None),
        (node(MaxPool2d((2, 1), (2, 1))), None),
        (node(SpaceToDepth(4)), None),
        (node(MultiplyShift(3, 0, 3), weights(4), weights(4)), None),
    ],
)
def test_objections(view: NodeView, message: str | None) -> None:
    reason = ENGINE.objection(view, TARGET)
    if message is None:
        assert reason is None
        assert ENGINE.candidates(ENGINE.prepare(view, TARGET), TARGET)  # type: ignore[arg-type]
    else:
        assert isinstance(reason, Reason) and message in reason.text and "\n" not in reason.text


def test_no_fabric() -> None:
    reason = ENGINE.objection(node(MaxPool2d()), replace(TARGET, fabric=None))
    assert reason is not None and reason.text == "the board has no programmable logic"
