"""Random networks: every executor gives the reference's integers; one that does not is made small, and kept."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import mkdtemp

sys.path.insert(0, str(Path(__file__).parents[1] / "hls" / "layers"))

import every_executor
import numpy as np
import pytest
from every_executor import Executor, Values, differences
from kept_networks import KEPT, from_json, keep, kept, to_json
from random_networks import drawn, shrunk

from cpu_backend import toolchain
from hls.csim import CSimulationError, ap_headers
from ir.executor import outputs_of
from ir.graph import Graph, Node
from ir.ops import Concat, Conv2d, GatedConv2d, MaxPool2d
from ir.types import Array

EXECUTORS: Mapping[str, tuple[Executor, int]] = {
    "portable C": (every_executor.portable_c, 20),
    "RISC-V C": (every_executor.riscv_c, 20),
    "accelerator": (every_executor.native_accelerator, 20),
    "mixed": (every_executor.package_runtime, every_executor.TOGETHER),
}
"""And of how many networks a program is made."""
SEEDS = 17
"""Of 20 networks each: the first in every run, the others in `make test-full`."""


@pytest.fixture(params=EXECUTORS)
def executor(request: pytest.FixtureRequest) -> tuple[Executor, int]:
    if request.param == "RISC-V C":
        try:
            toolchain.riscv_compiler()
            toolchain.emulator()
        except toolchain.ToolError as error:
            pytest.skip(str(error))
    return EXECUTORS[request.param]


def check(seed: int, executor: Executor, size: int, folder: Path, keep_in: Path = KEPT) -> None:
    """The seed's networks, ``size`` in a program. The first that fails is shrunk and kept."""
    graphs = drawn(seed)
    for start in range(0, len(graphs), size):
        some = graphs[start : start + size]
        found = differences(some, executor, folder / f"{start}")
        if not found:
            continue
        bad = {difference.number for difference in found}
        if bad == {every_executor.ALL}:
            pytest.fail(f"{found[0].executor}: networks {start} to {start + len(some) - 1}: {found[0].what}")
        good = [*graphs[:start], *(graph for number, graph in enumerate(some) if number not in bad)]

        def fails(graph: Graph) -> bool:
            return bool(differences([graph], executor, Path(mkdtemp(dir=folder))))

        small = shrunk(seed, {to_json(graph) for graph in good}, some[min(bad)], fails)
        file = keep(small, executor.__name__, keep_in)
        pytest.fail(f"{found[0].executor}: {found[0].what}; {len(bad)} networks; shrunk and kept as {file}")


@pytest.mark.slow
def test_networks_kept(executor: tuple[Executor, int], tmp_path: Path) -> None:
    """Those on which executors disagreed once."""
    graphs = kept()
    if not graphs:
        pytest.skip("no network is kept: executors have not disagreed on any")
    for start in range(0, len(graphs), executor[1]):
        assert not differences(graphs[start : start + executor[1]], executor[0], tmp_path / f"{start}")


@pytest.mark.slow
def test_sample(executor: tuple[Executor, int], tmp_path: Path) -> None:
    check(0, *executor, tmp_path)


@pytest.mark.slow
def test_some_under_ap_int(tmp_path: Path) -> None:
    """Two networks; the Vitis C++ compiles slowly."""
    try:
        ap_headers()
    except CSimulationError as error:
        pytest.skip(str(error))
    assert not differences(drawn(0)[5:7], every_executor.ap_int, tmp_path)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(1, SEEDS))
def test_all(seed: int, executor: tuple[Executor, int], tmp_path: Path) -> None:
    check(seed, *executor, tmp_path)


@pytest.mark.full
def test_more_under_ap_int(tmp_path: Path) -> None:
    for graph in drawn(1):
        assert not differences([graph], every_executor.ap_int, tmp_path)


def test_the_networks_have_what_is_said_of_them() -> None:
    """Branches, joins, sums, depthwise layers, strides, odd sizes, 1 to 8 bits; 20 different ones for a seed."""
    graphs = [graph for seed in range(4) for graph in drawn(seed)]
    assert len({to_json(graph) for graph in graphs}) >= 75
    nodes = [(graph, node) for graph in graphs for node in graph.nodes]
    ops = {type(node.op) for _, node in nodes}
    assert {Concat, Conv2d, GatedConv2d, MaxPool2d} <= ops and len(ops) >= 14
    convs = [(g.types[n.inputs[0]], g.types[n.inputs[1]], n.op) for g, n in nodes if isinstance(n.op, Conv2d)]
    assert any(op.groups == x.shape[0] > 1 for x, _, op in convs)
    assert any(op.groups not in (1, x.shape[0]) for x, _, op in convs)
    assert {op.stride for _, _, op in convs} == {(1, 1), (1, 2), (2, 1), (2, 2)}
    assert {x.dtype.bits for x, _, _ in convs} == set(range(1, 9)) == {w.dtype.bits for _, w, _ in convs}
    assert any(x.shape[1] % 2 and x.shape[2] % 2 and x.shape[1] > 1 for x, _, _ in convs)
    assert any(len(users) > 1 for graph in graphs for users in graph.consumers.values())
    assert any(len(graph.outputs) > 1 for graph in graphs)


def test_json_holds_the_network() -> None:
    for graph in drawn(2):
        again = from_json(to_json(graph))
        assert (again.inputs, again.nodes, again.outputs) == (graph.inputs, graph.nodes, graph.outputs)
        assert again.types == graph.types
        assert all(np.array_equal(value, graph.constants[name]) for name, value in again.constants.items())


def turned_round(graph: Graph, wanted: Sequence[Values], folder: Path) -> Mapping[str, Sequence[Values]]:
    """An executor with a fault: it joins two tensors of different channels in the wrong order."""

    def value(node: Node, values: Mapping[str, Array]) -> Array:
        operands = [graph.constants[i] if i in graph.constants else values[i] for i in node.inputs]
        counts = [graph.types[i].shape[0] for i in node.inputs]
        wrong = isinstance(node.op, Concat) and len(counts) == 2 and counts[0] != counts[1]
        return node.op.evaluate(operands[::-1] if wrong else operands)

    frames = []
    for frame in wanted:
        values = {name: frame[name] for name in graph.inputs}
        for node in graph.nodes:
            values[node.name] = value(node, values)
        frames.append(outputs_of(graph, values))
    return {"turned round": frames}


def test_a_planted_fault_is_found_shrunk_and_kept(tmp_path: Path) -> None:
    """What is kept is the join, on its own but for what makes its operands differ, and the fault shows on it."""
    with pytest.raises(pytest.fail.Exception, match=r"turned round: frame 0: .* shrunk and kept as"):
        check(0, turned_round, 20, tmp_path / "runs", tmp_path / "kept")
    (graph,) = kept(tmp_path / "kept")
    assert len(graph.nodes) <= 4 and sum(isinstance(node.op, Concat) for node in graph.nodes) == 1
    assert max(graph.types[name].elements for name in graph.inputs) <= 4
    assert differences([graph], turned_round, tmp_path)
    assert not differences([graph], every_executor.portable_c, tmp_path)


def test_an_executor_that_fails_is_a_difference(tmp_path: Path) -> None:
    """Also where the program of all networks together is not made: the one that is to blame is found."""

    def refuses(graph: Graph, wanted: Sequence[Values], folder: Path) -> Mapping[str, Sequence[Values]]:
        if any(isinstance(node.op, GatedConv2d) for node in graph.nodes):
            raise toolchain.ToolError("no gates here")
        return {"refuses": [outputs_of(graph, values) for values in wanted]}

    graphs = drawn(1)
    found = differences(graphs, refuses, tmp_path)
    guilty = [i for i, graph in enumerate(graphs) if any(isinstance(node.op, GatedConv2d) for node in graph.nodes)]
    assert guilty and [difference.number for difference in found] == guilty
    assert {difference.what for difference in found} == {"ToolError: no gates here"}
