"""Placement on chains with engines that answer from tables: against all intervals tried one by one, and the reasons."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby, product

import pytest
from fake_engines import BYTES, FakeEngine, chain, cpu, target
from hypothesis import given, settings
from hypothesis import strategies as st

from ir.engine import Candidate
from ir.target import Resources
from partition import Plan, PlanError, partition

DSP = Resources(dsp=1)


def dsp(cycles: int, count: int) -> Candidate:
    return Candidate(cycles, Resources(dsp=count), {"count": count})


def check(plan: Plan, names: list[str]) -> None:
    """Every node once, in order, every region's inputs made before it."""
    placed = [node.name for region in plan.regions for node in region.graph.nodes]
    assert placed == names
    assert [d.node for d in plan.decisions] == names
    ready = {"x"}
    for region in plan.regions:
        assert set(region.graph.inputs) <= ready
        ready |= set(region.graph.outputs)
        assert set(region.choices) == {node.name for node in region.graph.nodes}
        for node in region.graph.nodes:
            decision = next(d for d in plan.decisions if d.node == node.name)
            assert decision.engine == region.engine.name
    assert names[-1] in ready


Tables = st.integers(1, 5).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(1, 5000), min_size=n, max_size=n),
        st.lists(st.none() | st.tuples(st.integers(1, 4000), st.integers(0, 6)), min_size=n, max_size=n),
        st.integers(0, 12),
        st.sampled_from(["throughput", "latency"]),
    )
)


def best_by_hand(on_cpu: list[int], on_device: list[tuple[int, int] | None], budget: int, objective: str) -> float:
    """The least time in ms over all sets of nodes on the accelerator; neighbours are one region. One candidate a node,
    clocks of 1 MHz, one CPU cycle for each byte that crosses, regions one after the other, each as slow as its slowest
    node."""
    times = []
    for chosen in product((False, True), repeat=len(on_cpu)):
        if any(inside and not given for inside, given in zip(chosen, on_device, strict=True)):
            continue
        rest = sum(cycles for cycles, inside in zip(on_cpu, chosen, strict=True) if not inside)
        device = blocks = 0
        for inside, run in groupby(zip(chosen, on_device, strict=True), key=lambda pair: pair[0]):
            if inside:
                given = [each for _, each in run if each]
                device += max(cycles for cycles, _ in given)
                blocks += sum(count for _, count in given)
                rest += 2 * BYTES
        if blocks <= budget:
            times.append((device + rest if objective == "latency" else max(device, rest)) / 1000)
    return min(times)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(Tables)
def test_the_best_placement_of_a_chain_is_found(case: tuple[list[int], list[tuple[int, int] | None], int, str]) -> None:
    on_cpu, on_device, budget, objective = case
    graph = chain(len(on_cpu))
    names = [node.name for node in graph.nodes]
    table = {name: [dsp(*given)] for name, given in zip(names, on_device, strict=True) if given}
    against = {name: "not this one" for name in names if name not in table}
    device = FakeEngine("dev", "device", table, against)
    board = target(Resources(dsp=budget) if budget else Resources(lut=1), objective)  # type: ignore[arg-type]
    plan = partition(graph, [device, cpu(dict(zip(names, on_cpu, strict=True)))], board)
    check(plan, names)
    got = plan.latency_ms if objective == "latency" else plan.interval_ms
    assert got == pytest.approx(best_by_hand(on_cpu, on_device, budget, objective), rel=1e-3, abs=1e-5)
    assert got <= sum(on_cpu) / 1000 + 1e-5  # never slower than the CPU alone
    assert plan.resources.dsp <= budget


def test_decisions_carry_the_engines_own_words() -> None:
    device = FakeEngine("dev", "device", {"b": [dsp(1, 1)]}, {"a": "a is odd"}, {"c": "its weights are too wide"})
    plan = partition(chain(3), [device, cpu({"a": 500, "b": 500, "c": 500})], target(DSP))
    assert [(d.engine, d.reason) for d in plan.decisions] == [
        ("cpu", "a is odd"),
        ("dev", "dev note of b"),
        ("cpu", "its weights are too wide"),
    ]
    assert [region.name for region in plan.regions] == ["cpu0", "fpga0", "cpu1"]
    assert plan.decisions[0].operator == "MaxPool2d"


def test_without_fabric_all_is_on_the_cpu_and_says_so() -> None:
    device = FakeEngine("dev", "device", {"a": [dsp(1, 1)], "b": [dsp(1, 1)]})
    plan = partition(chain(2), [device, cpu({"a": 500, "b": 500})], target(None))
    check(plan, ["a", "b"])
    assert {d.reason for d in plan.decisions} == {"the board has no programmable logic"}
    assert plan.resources == Resources() and plan.device_ms == 0 and plan.cpu_ms == 1


@pytest.mark.parametrize("kind", ["dsp", "lut", "bram18", "uram", "ff"])
def test_an_exhausted_budget_names_the_resource(kind: str) -> None:
    """Three equal layers, two of which fit."""
    table = {name: [Candidate(10, Resources(**{kind: 4}))] for name in "abc"}
    board = target(Resources(lut=9 if kind == "lut" else 99, dsp=9, bram18=9, uram=9, ff=9))
    plan = partition(chain(3), [FakeEngine("dev", "device", table), cpu(dict.fromkeys("abc", 5000))], board)
    check(plan, ["a", "b", "c"])
    on_cpu = [d for d in plan.decisions if d.engine == "cpu"]
    assert [d.reason for d in on_cpu] == [f"budget exhausted ({kind.upper()})"]
    assert not plan.resources.exceeds(board.fabric.budget)  # type: ignore[union-attr]


def test_fixed_resources_count() -> None:
    table = {"a": [dsp(1, 2)]}
    fits = FakeEngine("dev", "device", table, fixed=Resources(dsp=3))
    plan = partition(chain(1), [fits, cpu({"a": 9000})], target(Resources(dsp=5)))
    assert plan.decisions[0].engine == "dev" and plan.resources.dsp == 5
    plan = partition(chain(1), [fits, cpu({"a": 9000})], target(Resources(dsp=4)))
    assert (plan.decisions[0].engine, plan.decisions[0].reason) == ("cpu", "budget exhausted (DSP)")


def test_the_budget_goes_to_the_slowest_layer() -> None:
    """Two layers, four ways each; eight DSP: the pace is 50, not the 100 of an even split."""
    ways = [(800, 1), (400, 2), (200, 4), (100, 8)]
    small = [(100, 1), (50, 2), (25, 4)]
    table = {"a": [dsp(c // 2, n) for c, n in ways], "b": [dsp(c, n) for c, n in small]}
    device = FakeEngine("dev", "device", table)
    plan = partition(chain(2), [device, cpu({"a": 90_000, "b": 90_000})], target(Resources(dsp=9)))
    (region,) = plan.regions
    assert {name: c.configuration["count"] for name, c in region.choices.items()} == {"a": 4, "b": 1}
    assert plan.device_ms == pytest.approx(0.1)


def test_a_layer_that_does_not_slow_the_cpu_stays_there() -> None:
    """The head is no bottleneck: moving it would cost DSPs and gain nothing."""
    table = {"a": [dsp(900, 3)], "b": [dsp(10, 2)]}
    device = FakeEngine("dev", "device", table)
    plan = partition(chain(2), [device, cpu({"a": 90_000, "b": 100})], target(Resources(dsp=9)))
    assert [d.engine for d in plan.decisions] == ["dev", "cpu"]
    assert plan.decisions[1].reason == "not the bottleneck, leaves 2 DSP free"


def test_a_slower_accelerator_gives_the_times() -> None:
    table = {"a": [dsp(9000, 1)]}
    plan = partition(chain(1), [FakeEngine("dev", "device", table), cpu({"a": 500})], target(Resources(dsp=9)))
    assert plan.decisions[0].reason == "on the accelerator a frame would take 9.000 instead of 0.500 ms"


def test_transfers_count() -> None:
    """The same layer, at a bandwidth at which its bytes take longer than the CPU needs."""
    device = FakeEngine("dev", "device", {"a": [dsp(10, 1)]})
    engines = [device, cpu({"a": 2000})]
    assert partition(chain(1), engines, target(DSP)).decisions[0].engine == "dev"
    slow = target(DSP, gbs=1e-6 * 2 * BYTES / 3)  # 3 ms for both tensors
    assert partition(chain(1), engines, slow).decisions[0].engine == "cpu"


def test_what_runs_nowhere_is_named_with_every_engines_reason() -> None:
    device = FakeEngine("dev", "device", {"a": [dsp(1, 1)]}, {"b": "no b here"})
    host = cpu({"a": 1}, vetoes={"b": "b is too wide"})
    with pytest.raises(PlanError, match=r"chain: node 'b' \(MaxPool2d\) runs nowhere: dev: no b here; cpu: b is too"):
        partition(chain(2), [device, host], target(DSP))


def test_a_layer_only_the_accelerator_takes_has_to_fit() -> None:
    device = FakeEngine("dev", "device", {"a": [dsp(1, 7)], "b": [dsp(1, 7)]})
    host = cpu({"b": 1}, against={"a": "no kernel"})
    plan = partition(chain(2), [device, host], target(Resources(dsp=7)))
    assert [d.engine for d in plan.decisions] == ["dev", "cpu"]
    with pytest.raises(PlanError, match="some nodes cannot run on the CPU, and with them the accelerator exceeds"):
        partition(chain(2), [device, host], target(Resources(dsp=6)))


def test_without_a_cpu_engine_there_is_no_plan() -> None:
    with pytest.raises(PlanError, match="no engine runs on the CPU"):
        partition(chain(1), [FakeEngine("dev", "device", {"a": [dsp(1, 1)]})], target(DSP))


def test_what_is_streamed_from_memory_counts() -> None:
    """1 GB/s at 1 MHz: 1000 bytes a cycle. Two nodes of 10 cycles that stream 8000 bytes each need 16 between them,
    where no block is left to keep the weights of one."""
    streamed = Candidate(10, Resources(), {"kept": False}, traffic=8000)
    kept = Candidate(10, Resources(dsp=1), {"kept": True})
    device = FakeEngine("dev", "device", {"a": [streamed, kept], "b": [streamed, kept]})
    slow = cpu({"a": 10**6, "b": 10**6})
    times = {}
    for blocks in (0, 1, 2):
        plan = partition(chain(2), (device, slow), target(Resources(dsp=blocks), gbs=1.0))
        (region,) = plan.regions
        times[blocks] = sum(c.traffic for c in region.choices.values()), plan.device_ms * 1000
    # and the sixteen bytes that the region's own input and output move
    assert times[0] == (16000, pytest.approx(16.016)) and times[1] == (8000, pytest.approx(10.0))
    assert times[2][1] == pytest.approx(10.0)


def test_a_cycle_budget_is_fast_enough() -> None:
    """Within it the smallest accelerator wins; where it cannot be kept, the fastest."""
    ways = [dsp(8000 // count, count) for count in (1, 2, 4, 8)]
    device = FakeEngine("dev", "device", {"a": ways, "b": ways})
    board = target(Resources(dsp=8))
    assert board.fabric is not None
    used = {}
    for budget in (None, 4000, 100):
        fabric = replace(board.fabric, cycle_budget=budget)
        plan = partition(chain(2), [device, cpu({"a": 90_000, "b": 90_000})], replace(board, fabric=fabric))
        used[budget] = plan.resources.dsp, plan.device_ms
    assert used == {None: (8, pytest.approx(2.0)), 4000: (4, pytest.approx(4.0)), 100: (8, pytest.approx(2.0))}


def test_two_accelerators_share_the_board() -> None:
    """One is good at a, the other at b, and the fabric has room for both."""
    one = FakeEngine("one", "device", {"a": [dsp(100, 3)], "b": [dsp(5000, 3)]})
    two = FakeEngine("two", "device", {"b": [dsp(100, 3)]}, {"a": "no a"})
    host = cpu({"a": 90_000, "b": 90_000})
    plan = partition(chain(2), [one, two, host], target(Resources(dsp=6)))
    assert [d.engine for d in plan.decisions] == ["one", "two"] and plan.resources.dsp == 6
    assert plan.device_ms == pytest.approx(0.2)  # one after the other
    plan = partition(chain(2), [one, two, host], target(Resources(dsp=5)))
    assert {d.engine for d in plan.decisions} != {"cpu"} and plan.resources.dsp <= 5
