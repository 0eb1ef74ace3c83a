"""Stream depths: the token simulation agrees with the stage simulator, and one place less deadlocks in both."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from design_runs import folded, simulated
from layer_graphs import Sketch, activations

from hls.heterocl.lower import lower
from hls.heterocl.simulate import Simulator
from hls.layers.movement import Fork
from hls.program import Design, schedule
from hls.sizing import memory_words, with_depths, with_sized_streams
from hls.timing import DeadlockError, Network, Process, Runner, check, least_depth, needed_depths, network_of
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


@cache
def shallow(seed: int) -> tuple[Graph, Design, Network]:
    """A design with every stream at depth 2, and its network."""
    graph = bypass(seed)
    design = folded(graph, np.random.default_rng(seed))
    design = with_depths(design, {wire.name: 2 for stage in design.stages for wire in stage.targets})
    return graph, design, network_of(lower(schedule(design)))


@pytest.mark.parametrize("seed", [1, 2])
def test_the_least_depth_runs_and_one_less_deadlocks(seed: int) -> None:
    graph, design, network = shallow(seed)
    needs = {name: depth for name, depth in needed_depths(network).items() if depth > 2}
    ((deep, least),) = needs.items()
    inputs = {"x": np.random.default_rng(seed).integers(0, 16, (4, 8, 12))}
    expected = execute(graph, inputs)

    check(network.with_depths(needs))
    got = simulated(graph, with_depths(design, needs))(inputs)
    for name in graph.outputs:
        assert np.array_equal(got[name], expected[name])

    says = (
        rf"'{deep}', full at depth {least - 1}, whose reader 'joined' waits for '.*'; "
        rf"'{deep}' needs depth {least}, has {least - 1}"
    )
    with pytest.raises(DeadlockError, match=says) as in_values:
        simulated(graph, with_depths(design, {deep: least - 1}))(inputs)
    with pytest.raises(DeadlockError, match=says) as in_order:
        check(network.with_depths({deep: least - 1}))
    assert in_values.value.blocked == in_order.value.blocked
    assert in_values.value.needs == in_order.value.needs == {deep: least}


def test_a_depth_far_too_small_is_told_the_same_need() -> None:
    graph, design, network = shallow(1)
    with pytest.raises(DeadlockError) as in_values:
        simulated(graph, design)({"x": np.zeros((4, 8, 12), np.int64)})
    with pytest.raises(DeadlockError) as in_order:
        check(network)
    assert in_values.value.needs == in_order.value.needs
    (depth,) = in_values.value.needs.values()
    assert depth > 10


def test_the_place_can_be_at_the_fork_as_well() -> None:
    graph, design, network = shallow(2)
    (branch,) = (name for name in branches(design) if least_depth_or_none(network, name))
    least = least_depth(network, branch, 2)
    assert least > 2
    inputs = {"x": np.random.default_rng(2).integers(0, 16, (4, 8, 12))}
    got = simulated(graph, with_depths(design, {branch: least}))(inputs)
    assert np.array_equal(got["head"], execute(graph, inputs)["head"])
    with pytest.raises(DeadlockError, match="whose reader 'joined' waits for"):
        simulated(graph, with_depths(design, {branch: least - 1}))(inputs)


def least_depth_or_none(network: Network, stream: str) -> int | None:
    try:
        return least_depth(network, stream)
    except DeadlockError:
        return None


def test_sized_streams_hold_less_than_a_frame_and_run() -> None:
    graph = bypass(4)
    design = folded(graph, np.random.default_rng(4))
    sized = with_sized_streams(design).design
    before = {w.name: w.depth for s in design.stages for w in s.targets}
    after = {w.name: w.depth for s in sized.stages for w in s.targets}
    assert sum(after[name] for name in branches(design)) < sum(before[name] for name in branches(design))
    inputs = {"x": np.random.default_rng(5).integers(0, 16, (4, 8, 12))}
    got = simulated(graph, sized)(inputs)
    assert all(np.array_equal(got[name], execute(graph, inputs)[name]) for name in graph.outputs)


def test_no_stream_exceeds_its_depth_in_any_simulation() -> None:
    design = folded(bypass(6), np.random.default_rng(6))
    module = lower(schedule(design))
    network = network_of(module)
    ports = [np.zeros(port.wire.shape, np.int64) for port in design.ports]
    peaks = Simulator(module).run(*ports).peaks
    timed = Runner(network, latency=3).run(2, count=True).peaks
    for name, depth in network.depths.items():
        # How far a stage runs ahead depends on the order in which stages get their turn.
        assert 0 < peaks[name] <= depth and 0 < timed[name] <= depth


def test_a_channel_that_nobody_fills_is_reported() -> None:
    starved = Network(("a",), (Process("reader", (-1,)),), {"a": 2})
    with pytest.raises(DeadlockError, match="'reader' waits for 'a', that nobody writes"):
        check(starved)


def test_no_depth_helps_against_a_wrong_order() -> None:
    # The reader wants b first, the writer fills a first and needs an answer on c before it goes on.
    network = Network(
        ("a", "b", "c"), (Process("writer", (1, -3, 2)), Process("reader", (-2, 3, -1))), {"a": 1, "b": 1, "c": 1}
    )
    with pytest.raises(DeadlockError):
        least_depth(network, "a")
    with pytest.raises(DeadlockError):
        check(network.with_depths({"a": 9, "b": 9, "c": 9}))


@pytest.mark.parametrize(("words", "held"), [(1, 1), (2, 2), (3, 4), (17, 32), (33, 512), (512, 512), (513, 1024)])
def test_a_stream_is_as_deep_as_its_memory(words: int, held: int) -> None:
    assert memory_words(words) == held
