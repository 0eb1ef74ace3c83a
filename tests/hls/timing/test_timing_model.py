"""The timed model against one that goes cycle by cycle, on random networks and on a real accelerator."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "layers"))

from cycle_model import simulate_cycles
from design_runs import folded
from layer_graphs import Sketch, activations

from hls.heterocl.lower import lower
from hls.program import schedule
from hls.timing import DeadlockError, Network, Process, Runner, measure, network_of, runs


def random_network(seed: int) -> Network:
    """Stages in a row with branches between them: each stream from an earlier stage to a later one, its words at random
    cycles of both."""
    rng = np.random.default_rng(seed)
    stages = int(rng.integers(2, 6))
    periods = rng.integers(3, 25, stages)
    touched: list[list[tuple[int, int]]] = [[] for _ in range(stages)]
    links = [(i, i + 1) for i in range(stages - 1)]
    for _ in range(int(rng.integers(0, 4))):
        first, second = sorted(rng.choice(stages, 2, replace=False).tolist())
        links.append((first, second))
    depths = {}
    for number, (writer, reader) in enumerate(links, 1):
        words = int(rng.integers(1, min(periods[writer], periods[reader]) + 1))
        depths[f"s{number}"] = int(rng.integers(1, 7))
        for stage, event in ((reader, -number), (writer, number)):
            touched[stage] += [(int(c), event) for c in rng.choice(periods[stage], words, replace=False)]
    processes = []
    for i, events in enumerate(touched):
        ordered = sorted(events)  # of a cycle the reads come first
        cycles, streams = zip(*ordered, strict=True)
        processes.append(Process(f"p{i}", streams, cycles, int(periods[i])))
    return Network(tuple(depths), tuple(processes), depths)


@pytest.mark.parametrize("block", range(8))
def test_random_networks_end_in_the_same_cycles(block: int) -> None:
    finished = 0
    for seed in range(40 * block, 40 * block + 40):
        network, latency = random_network(seed), 1 + seed % 5
        peaks: dict[str, int] = {}
        expected = simulate_cycles(network, latency, 3, peaks)
        outcome = Runner(network, latency).run(3, count=True)
        assert outcome.finished == (expected is not None), seed
        if expected is not None:
            assert outcome.end.tolist() == expected, seed
            assert outcome.peaks == peaks, seed
            finished += 1
    assert 10 < finished < 40  # both kinds are among them


def test_enough_in_order_is_enough_in_time() -> None:
    """A stage that touches one stream a cycle, and reads first, never stops in time if it does not in order."""
    tried = 0
    for seed in range(600):
        network = random_network(seed)
        if all(_one_a_cycle(p, 1) and _one_a_cycle(p, -1) for p in network.processes) and runs(network):
            tried += 1
            assert Runner(network, 4).run(1).finished, seed
    assert tried > 50


def _one_a_cycle(process: Process, sign: int) -> bool:
    cycles = [c for c, e in zip(process.cycles, process.events, strict=True) if e * sign > 0]
    return len(set(cycles)) == len(cycles)


@pytest.mark.parametrize("latency", [1, 6])
def test_an_accelerator_ends_in_the_same_cycles(latency: int) -> None:
    net = Sketch({"x": activations((3, 6, 8), 4)}, np.random.default_rng(3))
    start = net.scale("a", net.conv("conv_a", "x", 4))
    graph = net.graph("small", net.concat("joined", net.block("short", start), net.pool("pool", start))).verify()
    network = network_of(lower(schedule(folded(graph, np.random.default_rng(3)))))
    for depth in (2, 7):
        shallow = network.with_depths({name: min(d, depth) for name, d in network.depths.items()})
        expected = simulate_cycles(shallow, latency, 3)
        outcome = Runner(shallow, latency).run(3)
        assert outcome.finished == (expected is not None)
        if expected is not None:
            assert outcome.end.tolist() == expected
    assert Runner(network, latency).run(3).end.tolist() == simulate_cycles(network, latency, 3)


def two_stages(depth: int, burst: int = 4) -> Network:
    """A writer of ``burst`` words in a row, idle as long again; a reader of a word every other cycle."""
    cycles = range(burst)
    return Network(
        ("s",),
        (
            Process("w", (1,) * burst, cycles, 2 * burst),
            Process("r", (-1,) * burst, [2 * c for c in cycles], 2 * burst),
        ),
        {"s": depth},
    )


def test_the_timing_of_a_burst() -> None:
    """By hand. The writer's words are due in cycles 1, 2, 3, 4 (latency 1) and readable one later; the reader takes
    them in 2, 4, 6, 8 and is done with its cycle 7 in 9, which leaves in 10."""
    timing = measure(two_stages(4), latency=1)
    writer, reader = timing.stages
    assert (writer.start, reader.start, reader.end) == (0, 2, 2 + 8 + 1)
    assert (timing.latency, timing.interval, timing.fill, timing.lost) == (11, 8, 3, 0)
    assert timing.streams[0].peak == 3  # written 1 2 3 4, read 2 4 6 8: a place read in 4 is written from 5 on
    assert timing.frames_per_second(80) == 10e6
    assert [row["starved"] for row in timing.rows()] == [0, 0]


def test_frames_take_the_fill_and_an_interval_each() -> None:
    network = two_stages(1)  # the last three words of a burst wait a cycle each, before the writer's idle cycles
    timing = measure(network, latency=2)
    assert (timing.interval, timing.lost) == (8 + 3, 3)
    for frames in (5, 9):
        assert Runner(network, 2).run(frames).end.max() == timing.fill + frames * timing.interval


def test_what_a_stage_waits_for() -> None:
    """A stage of 5 cycles beside one of 8 waits 3 cycles a frame: for words behind it, for room before it."""
    chain = Network(
        ("a", "b"),
        (
            Process("slow", (1,), (7,), 8),
            Process("quick", (-1, 2), (0, 4), 5),
            Process("last", (-2,), (0,), 5),
        ),
        {"a": 2, "b": 2},
    )
    timing = measure(chain, latency=1)
    slow, quick, _ = timing.stages
    assert (slow.starved, slow.blocked, timing.bottleneck) == (0, 0, slow)
    assert (quick.starved, quick.blocked) == (3, 0)
    assert quick.stall == pytest.approx(3 / 8)
    turned = Network(("a",), (Process("quick", (1,), (4,), 5), Process("slow", (-1,), (0,), 8)), {"a": 2})
    quick, slow = measure(turned, latency=1).stages
    assert (quick.starved, quick.blocked, slow.stall) == (0, 3, 0)


def test_a_network_that_stops_is_refused() -> None:
    fork = Process("fork", (1, 2), (0, 1), 2)
    join = Process("join", (-2, -1), (0, 1), 2)
    with pytest.raises(DeadlockError, match="'a' needs depth 2, has 1"):
        wide = Process("fork", (1, 1, 2, 2), (0, 1, 2, 3), 4)
        both = Process("join", (-2, -2, -1, -1), (0, 1, 2, 3), 4)
        measure(Network(("a", "b"), (wide, both), {"a": 1, "b": 1}))
    assert measure(Network(("a", "b"), (fork, join), {"a": 1, "b": 1})).interval > 2


def test_what_two_frames_prove_holds_cycle_by_cycle() -> None:
    """Where a run ends early because a pace is known to be kept or missed, or all frames to be alike, so it is in the
    frames that follow in the other model."""
    early = {"kept": 0, "missed": 0, "steady": 0}
    for seed in range(200):
        network, latency = random_network(seed), 1 + seed % 5
        expected = simulate_cycles(network, latency, 20)
        if expected is None:
            continue
        intervals, runner = np.diff(expected, axis=1), Runner(network, latency)
        for pace in (int(intervals.max()), int(intervals[:, -1].max()), int(intervals[:, -1].max()) - 1):
            outcome = runner.run(10, pace=pace)
            if outcome.known:
                run = outcome.end.shape[1]
                assert outcome.end.tolist() == [row[:run] for row in expected], seed
                late = intervals[:, run - 2 :].max(axis=0) > pace
                assert late.all() or not late.any(), (seed, pace)
                early["missed" if late.all() else "kept"] += 1
        outcome = runner.run(10, steady=True)
        if outcome.known:
            after = intervals[:, outcome.end.shape[1] - 2 :]
            assert (after == after[0, 0]).all(), seed
            early["steady"] += 1
    assert min(early.values()) > 20, early


def test_stages_counted_until_they_are_alike() -> None:
    """Peaks and waits of a run that ends early are those of a long one."""
    found = 0
    for seed in range(200):
        runner = Runner(random_network(seed), 3)
        short = runner.run(12, count=True, steady=True)
        if short.known and short.end.shape[1] < 12:
            long = runner.run(24, count=True)
            assert short.peaks == long.peaks, seed
            assert short.starved[:, -1].tolist() == long.starved[:, -1].tolist(), seed
            assert short.blocked[:, -1].tolist() == long.blocked[:, -1].tolist(), seed
            found += 1
    assert found > 20
