"""Sizing: deep streams where they keep the pace, shallow ones elsewhere, and what is given up where memory is short."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "layers"))

from design_runs import DSP, simulated
from layer_graphs import Sketch, activations
from test_timing_model import random_network

from hls.design import build_design
from hls.heterocl.lower import lower
from hls.nodes.conv_shape import Folding
from hls.program import Design, schedule
from hls.sizing import SHALLOW, Search, Sized, memory_words, with_depths, with_sized_streams
from hls.timing import DeadlockError, Network, Process, Runner, measure, needed_depths, network_of, paced_depths
from hls.timing.latest import latest_times
from ir.executor import execute
from ir.graph import Graph

FOLDINGS = {
    "conv_a": Folding(simd=4, pe=1, rows=3, pixels=2),
    "conv_b": Folding(simd=1, pe=2, channels=1, width=1),
    "head": Folding(simd=1, pe=4, words=8, channels=2, width=1),
}
"""With them the short branch has to hold more than a shift register does."""


@cache
def bypass() -> tuple[Graph, Design, Network]:
    """A short branch beside a long one with a pool in it, joined; streams at depth 2."""
    net = Sketch({"x": activations((4, 10, 40), 4)}, np.random.default_rng(1))
    start = net.scale("a", net.conv("conv_a", "x", 8))
    long = net.scale("b", net.conv("conv_b", net.pool("pool", start), 8))
    joined = net.concat("joined", net.block("short", start), long)
    graph = net.graph("bypass", net.conv("head", joined, 4, kernel=1)).verify()
    design = build_design(graph, {name: folding.configuration for name, folding in FOLDINGS.items()}, DSP)
    design = with_depths(design, {wire.name: SHALLOW for stage in design.stages for wire in stage.targets})
    return graph, design, network_of(lower(schedule(design)))


@cache
def sized(bram18: int | None = None) -> Sized:
    return with_sized_streams(bypass()[1], bram18)


def depths_of(design: Design) -> dict[str, int]:
    return {wire.name: wire.depth for stage in design.stages for wire in stage.targets}


def test_the_slowest_stage_sets_the_pace() -> None:
    result = sized()
    slowest = max(stage.cycles for stage in result.design.stages)
    assert result.timing.interval == slowest == result.design.cycles
    assert result.lost == 0
    assert measure(network_of(lower(schedule(result.design)))).interval == slowest


def test_one_memory_less_is_slower_or_stops() -> None:
    _, _, network = bypass()
    chosen = {name: depth for name, depth in depths_of(sized().design).items() if name in network.depths}
    deep = [name for name, depth in chosen.items() if depth > SHALLOW]
    assert deep
    for name in deep:
        less = max(w for w in range(1, chosen[name]) if memory_words(w) < chosen[name])
        assert _interval(network.with_depths({**chosen, name: memory_words(less)})) > sized().timing.interval


def _interval(network: Network) -> float:
    try:
        return measure(network).interval
    except DeadlockError:
        return float("inf")


def test_short_of_memory_it_runs_and_says_what_that_costs() -> None:
    graph, _, _ = bypass()
    most = bram18(sized().design)
    poor = sized(most - 1)
    assert bram18(poor.design) < most
    assert poor.timing.interval == poor.design.cycles + poor.lost >= sized().timing.interval
    inputs = {"x": np.random.default_rng(5).integers(0, 16, (4, 10, 40))}
    got, expected = simulated(graph, poor.design)(inputs), execute(graph, inputs)
    assert all(np.array_equal(got[name], expected[name]) for name in graph.outputs)


def bram18(design: Design) -> int:
    return sum(stage.resources.bram18 for stage in design.stages)


def test_a_design_too_large_anyway_is_not_made_slower() -> None:
    assert sized(0).lost == 0


def test_a_ceiling_is_kept_and_used() -> None:
    burst = Process("burst", (1,) * 64, range(64), 128)
    even = Process("even", (-1,) * 64, range(0, 128, 2), 128)
    network = Network(("s",), (burst, even), {"s": 2})
    shallow = measure(network, latency=1)
    (depths,) = paced_depths(Runner(network, 1), network.depths, memory_words, {"s": 1}, ceiling=16)
    assert depths == {"s": 16}
    assert 128 < measure(network.with_depths(depths), latency=1).interval < shallow.interval


def test_what_holds_nobody_up_stays_shallow() -> None:
    """The window holds eight words back, so the branch beside it has to hold them. Weights arrive early, in a frame of
    32, and the convolution does not wait for them: places there would not help, however many."""
    cycles = range(40)
    steps = [((-2, -1) if c < 32 else ()) + ((4,) if c >= 8 else ()) for c in cycles]
    feed = Process("feed", (1,) * 32, range(32), 32)
    source = Process("source", (2, 3) * 32, [c for c in range(32) for _ in (2, 3)], 32)
    window = Process("window", [e for step in steps for e in step], [c for c in cycles for _ in steps[c]], 40)
    join = Process("join", (-4, -3) * 32, [c for c in range(32) for _ in (4, 3)], 32)
    streams = ("fed", "in", "beside", "out")
    depths = needed_depths(Network(streams, (feed, source, window, join), dict.fromkeys(streams, 1)))
    assert depths["fed"] == depths["in"] == 1 and 8 <= depths["beside"] <= 10


def test_what_is_given_up_is_bounded() -> None:
    burst = Process("burst", (1,) * 64, range(64), 128)
    even = Process("even", (-1,) * 64, range(0, 128, 2), 128)
    network = Network(("s",), (burst, even), {"s": 2})
    intervals = []
    for slack in (0.0, 0.1, 0.2, 0.4):
        (depths,) = paced_depths(Runner(network, 1), network.depths, lambda words: words, {"s": 1}, (slack,))
        intervals.append(measure(network.with_depths(depths), latency=1).interval)
        assert intervals[-1] <= 128 * (1 + slack)
        less = measure(network.with_depths({"s": depths["s"] - 1}), latency=1).interval
        assert depths["s"] == 2 or less > 128 * (1 + slack)
    assert intervals == sorted(intervals) and intervals[0] == 128 < intervals[-1]


def test_steps_at_the_latest() -> None:
    """By hand, from the reader's first word on, which it takes in cycle 0 and is done with in 1. It takes one every 4
    cycles; the writer leaves each the cycle before. But that one is busy for 8 cycles of 16, so it cannot wait for
    3 cycles three times: the last word is a cycle early."""
    burst = Process("burst", (1,) * 4, range(4), 8)
    reader = Process("reader", (-1,) * 4, range(0, 8, 2), 8)
    latest = latest_times(Runner(Network(("s",), (burst, reader), {"s": 2}), 1), {"s": 4}, pace=16)
    assert (latest - latest[4] + 1).tolist() == [-1, 3, 7, 10, 1, 5, 9, 13]


def test_random_networks_keep_the_pace_they_have_with_room() -> None:
    deep = 0
    for seed in range(150):
        network, latency = random_network(seed), 1 + seed % 5
        network = network.with_depths(dict.fromkeys(network.streams, 1))
        network = network.with_depths(needed_depths(network))
        roomy = {name: max(words, network.depths[name]) for name, words in network.tokens.items()}
        best = measure(network.with_depths(roomy), latency).interval
        runner, cost = Runner(network, latency), dict.fromkeys(network.streams, 1)
        (depths,) = paced_depths(runner, network.depths, lambda words: words, cost)
        assert measure(network.with_depths(depths), latency).interval <= best, seed
        assert all(network.depths[name] <= depth <= roomy[name] for name, depth in depths.items()), seed
        deep += depths != network.depths
    assert deep > 15


def test_a_search_that_ends_early_keeps_the_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = sized()  # which is kept for other tests, so it has to be searched for first
    monkeypatch.setattr("hls.timing.pace.SEARCH_EVENTS", 0)
    early = with_sized_streams(bypass()[1])
    assert early.lost == 0
    assert bram18(early.design) > bram18(whole.design)


@pytest.mark.parametrize("latency", [1, 30])
def test_the_assumed_latency_is_the_callers(latency: int) -> None:
    _, design, _ = bypass()
    assert with_sized_streams(design, latency=latency).lost == 0


def test_a_network_is_searched_once() -> None:
    """Designs that differ in the memory of their board alone share what was found; others do not."""
    _, design, _ = bypass()
    searches: dict[bytes, Search] = {}
    most = bram18(sized().design)
    for budget in (None, most - 1, most):
        shared, alone = with_sized_streams(design, budget, searches=searches), sized(budget)
        assert depths_of(shared.design) == depths_of(alone.design)
        assert shared.timing == alone.timing
    (search,) = searches.values()
    assert len(search.chosen) > 1
    with_sized_streams(design, latency=30, searches=searches)
    assert len(searches) == 2
