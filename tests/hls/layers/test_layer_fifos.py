"""Stream depths: the token simulation agrees with the stage simulator, and one place less deadlocks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from design_runs import folded, simulated
from layer_graphs import Sketch, activations

from hls.fifo import DeadlockError, Network, Process, least_depth, network_of, run
from hls.heterocl.errors import StageError
from hls.heterocl.lower import lower
from hls.layers.movement import Fork
from hls.program import Design, schedule
from hls.sizing import with_depths, with_sized_branches
from ir.executor import execute
from ir.graph import Graph


def bypass(seed: int) -> Graph:
    """A short branch (space to depth) beside a long one (pool, two convolutions), joined."""
    net = Sketch({"x": activations((4, 8, 12), 4)}, np.random.default_rng(seed))
    start = net.scale("a", net.conv("conv_a", "x", 8))
    short = net.block("short", start)
    long = net.scale("b", net.conv("conv_b", net.pool("pool", start), 8))
    long = net.scale("c", net.conv("conv_c", long, 8))
    return net.graph("bypass", net.conv("head", net.concat("joined", short, long), 4, kernel=1)).verify()


def branches(design: Design) -> list[str]:
    return [wire.name for stage in design.stages if isinstance(stage, Fork) for wire in stage.targets]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_least_depth_runs_and_one_less_deadlocks(seed: int) -> None:
    graph = bypass(seed)
    rng = np.random.default_rng(seed)
    design = folded(graph, rng)
    network = network_of(lower(schedule(design)))
    least = {name: least_depth(network, name) for name in branches(design)}
    deep = max(least, key=lambda name: least[name])
    assert least[deep] > 2
    inputs = {"x": rng.integers(0, 16, (4, 8, 12))}
    expected = execute(graph, inputs)

    enough = with_depths(design, {name: max(2, depth) for name, depth in least.items()})
    got = simulated(graph, enough)(inputs)
    for name in graph.outputs:
        assert np.array_equal(got[name], expected[name])

    shallow = with_depths(enough, {deep: least[deep] - 1})
    with pytest.raises(StageError, match="deadlock"):
        simulated(graph, shallow)(inputs)
    with pytest.raises(DeadlockError, match=r"full at depth [0-9]+, whose reader 'joined' waits for 'conv_c_out"):
        run(network, {**network.depths, deep: least[deep] - 1})


def test_sized_branches_hold_less_than_a_frame_and_run() -> None:
    graph = bypass(4)
    design = folded(graph, np.random.default_rng(4))
    sized = with_sized_branches(design)
    before = {w.name: w.depth for s in design.stages for w in s.targets}
    after = {w.name: w.depth for s in sized.stages for w in s.targets}
    assert sum(after[name] for name in branches(design)) < sum(before[name] for name in branches(design))
    assert {n: d for n, d in after.items() if n not in branches(design)} == {
        n: d for n, d in before.items() if n not in branches(design)
    }
    inputs = {"x": np.random.default_rng(5).integers(0, 16, (4, 8, 12))}
    got = simulated(graph, sized)(inputs)
    assert all(np.array_equal(got[name], execute(graph, inputs)[name]) for name in graph.outputs)


def test_no_stream_exceeds_its_depth_in_either_simulation() -> None:
    from hls.heterocl.simulate import Simulator

    design = folded(bypass(6), np.random.default_rng(6))
    module = lower(schedule(design))
    network = network_of(module)
    ports = [np.zeros(port.wire.shape, np.int64) for port in design.ports]
    peaks = Simulator(module).run(*ports).peaks
    tokens = run(network, network.depths)
    # How far a stage runs ahead depends on the order in which stages get their turn.
    for name, depth in network.depths.items():
        assert 0 < tokens[name] <= depth and 0 < peaks[name] <= depth


def test_a_channel_that_nobody_fills_is_reported() -> None:
    starved = Network(("a",), (Process("reader", (-1,)),), {"a": 2})
    with pytest.raises(DeadlockError, match="nobody writes"):
        run(starved, starved.depths)


def test_no_depth_helps_against_a_wrong_order() -> None:
    # The reader wants b first, the writer fills a first and needs an answer on c before it goes on.
    network = Network(
        ("a", "b", "c"), (Process("writer", (1, -3, 2)), Process("reader", (-2, 3, -1))), {"a": 1, "b": 1, "c": 1}
    )
    with pytest.raises(DeadlockError):
        least_depth(network, "a")
    with pytest.raises(DeadlockError):
        run(replace(network, depths={"a": 9, "b": 9, "c": 9}), {"a": 9, "b": 9, "c": 9})
