"""Binary layers in company: streams that fork, join, pool and leave the region; a trained network on its pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from binary_graphs import add_binary_conv, add_sign, bipolar
from design_runs import DSP, assert_equal, folded, native, random_inputs, reference, simulated
from layer_graphs import Sketch, activations
from test_layer_flows import TARGET

from hls.design import build_design
from hls.engine import DataflowEngine
from hls.layers.binary import TapWindow, XnorConv
from hls.nodes import RULES
from ir.engine import Configuration, Reason
from ir.executor import execute
from ir.graph import Graph
from ir.ops import Concat, Conv2d, MaxPool2d, Sign, SpaceToDepth, SumPool2d
from ir.types import Array


def company() -> Graph:
    """8-bit picture to bits, pooled, forked, rearranged and joined; bits and sums leave the region."""
    s = Sketch({"x": activations((3, 8, 8), 8), "z": bipolar((4, 4, 4))}, np.random.default_rng(6))
    bits = add_sign(s, "bits", s.conv("first", "x", 4))
    pooled = s.add("pooled", MaxPool2d(), bits)
    blocks = s.add("blocks", SpaceToDepth(2), bits)
    sums = s.add("sums", SumPool2d((3, 2), (2, 2), (1, 1, 0, 1)), bits)
    joined = s.add("joined", Concat(), pooled, blocks, "z")
    last = add_binary_conv(s, "second", joined, 6, (3, 3))
    return s.graph("company", pooled, sums, joined, last).verify()


@pytest.mark.parametrize("seed", range(3))
def test_bipolar_streams_in_company(seed: int) -> None:
    graph, rng = company(), np.random.default_rng(seed)
    run = simulated(graph, folded(graph, rng), garbage=-1)
    for _ in range(2):
        inputs = random_inputs(graph, rng)
        assert_equal(run(inputs), reference(graph, inputs))


def test_bipolar_and_integer_channels_join_as_integers() -> None:
    s = Sketch({"x": bipolar((4, 2, 3)), "y": activations((2, 2, 3), 3, True)}, np.random.default_rng(1))
    s.add("joined", Concat(), "x", "y")
    add_sign(s, "again", "x")
    graph, rng = s.graph("joins", "joined", "again").verify(), np.random.default_rng(2)
    inputs = random_inputs(graph, rng)
    assert_equal(simulated(graph, folded(graph, rng))(inputs), reference(graph, inputs))


def test_a_convolution_of_one_word_needs_no_window() -> None:
    s = Sketch({"x": bipolar((8, 3, 3))}, np.random.default_rng(1))
    graph = s.graph("dense", add_binary_conv(s, "conv", "x", 4, (1, 1)))
    design = build_design(graph, {"conv": {"simd": 8, "pe": 2, "rows": 1, "words": 1}}, DSP)
    assert not any(isinstance(stage, TapWindow) for stage in design.stages)


def test_bipolar_activations_need_bipolar_weights() -> None:
    s = Sketch({"x": bipolar((4, 3, 3))}, np.random.default_rng(1))
    s.conv("conv", "x", 2, bits=2)
    reason = DataflowEngine().objection(s.graph("ternary", "conv").verify().view("conv"), TARGET)
    assert isinstance(reason, Reason)
    assert reason.text == "bipolar activations meet weights in -2..1 (allowed: -1 and +1)"


def test_integer_activations_with_binary_weights_are_packed() -> None:
    s = Sketch({"x": activations((4, 3, 3), 8, True)}, np.random.default_rng(1))
    add_binary_conv(s, "conv", "x", 2)
    prepared = DataflowEngine().prepare(s.graph("first", "conv").verify().view("conv"), TARGET)
    assert "XNOR" not in prepared.note  # type: ignore[union-attr]


POOLED = (1, 3)
"""CNV's convolutions that a 2x2 pooling follows."""


def cnv(weights: Sequence[Array], thresholds: Sequence[Array], layers: int) -> Graph:
    """The first layers of CNV W1A1 on its int8 input, the last of nine without activation.

    The published accumulator is ``2 * sum`` in layer 0 and ``(terms + sum) / 2`` in the others; +1 is above
    a threshold.
    """
    s = Sketch({"x": activations((3, 32, 32), 8, True)}, np.random.default_rng(0))
    last = "x"
    for i, w in enumerate(weights[:layers]):
        values = w.astype(np.int64).reshape(*w.shape[:2], *(w.shape[2:] or (1, 1)))
        last = s.add(f"conv{i}", Conv2d(), last, w=values)
        if i == len(thresholds):
            break
        t = thresholds[i][:, 0]
        bound = t // 2 + 1 if i == 0 else 2 * t - values[0].size + 1
        last = s.add(f"sign{i}", Sign(), last, threshold=bound, rising=np.ones(len(t), np.int64))
        if i in POOLED:
            last = s.add(f"pool{i}", MaxPool2d(), last)
    return s.graph("cnv", last).verify()


def cnv_of(data: Path, layers: int) -> Graph:
    network = np.load(data / "classifiers/cnv_w1a1.npz")
    return cnv([network[f"w{i}"] for i in range(9)], [network[f"t{i}"] for i in range(8)], layers)


def pictures(data: Path, count: int) -> tuple[Array, Array]:
    """Inputs (count, 3, 32, 32) as CNV takes them, and labels."""
    test = np.load(data / "cifar10/test500.npz")
    scaled = np.floor((2 * test["x"][:count].astype(np.float64) / 255 - 1) * 128)
    return np.clip(scaled, -128, 127).astype(np.int64), test["y"][:count]


def wide(graph: Graph) -> dict[str, Configuration]:
    """Whole kernels of full words by up to 16 output channels."""
    choices: dict[str, Configuration] = {}
    for node in graph.nodes:
        options = list(RULES[type(node.op)].configurations(graph.view(node.name), DSP))
        narrow = [o for o in options if int(o.get("pe", 1)) <= 16 and int(o.get("words", 1)) == 1]
        choices[node.name] = max(narrow, key=lambda o: [int(o.get(k, 1)) for k in ("rows", "simd", "pe")])
    return choices


@pytest.mark.parametrize("layers", [3, pytest.param(9, marks=pytest.mark.full)])
def test_cnv_on_its_pictures(shared_data: Path, layers: int) -> None:
    """Trained weights and thresholds, compiled native; the whole network also names the pictures."""
    graph = cnv_of(shared_data, layers)
    design = build_design(graph, wide(graph), DSP)
    assert sum(isinstance(stage, XnorConv) for stage in design.stages) == layers - 1
    run = native(graph, design)
    inputs, labels = pictures(shared_data, 3 if layers < 9 else 20)
    right = 0
    for picture, label in zip(inputs, labels, strict=True):
        got = run({"x": picture})
        assert_equal(got, reference(graph, {"x": picture}))
        right += int(got[graph.outputs[0]].argmax() == label)
    assert layers < 9 or right >= 14


@pytest.mark.full
def test_cnv_reference_is_as_accurate_as_published(shared_data: Path) -> None:
    graph = cnv_of(shared_data, 9)
    inputs, labels = pictures(shared_data, 500)
    right = [execute(graph, {"x": p})["conv8"].argmax() == y for p, y in zip(inputs, labels, strict=True)]
    assert np.mean(right) == pytest.approx(0.812, abs=0.0005)
