"""What a plan says about itself, on tables whose answers are known by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fake_engines import BYTES, FakeEngine, chain, cpu, target

from ir.engine import Candidate
from ir.graph import Graph, Node
from ir.ops import MaxPool2d
from ir.target import Host, Resources
from partition import Explanation, Plan, partition


def explanation(plan: Plan) -> Explanation:
    assert plan.explanation is not None
    return plan.explanation


WAYS = [Candidate(8000 // count, Resources(dsp=count)) for count in (1, 2, 4, 8, 16)]


def test_the_accelerator_is_the_bottleneck() -> None:
    """Two nodes share ten multipliers: eight each would be 1000 cycles, four each are 2000. With eleven, a tenth more,
    it stays at 2000; at 1.1 MHz it is 2000 / 1.1."""
    device = FakeEngine("dev", "device", {"a": WAYS, "b": WAYS})
    plan = partition(chain(2), [device, cpu({"a": 90_000, "b": 80_000})], target(Resources(dsp=10)))
    why = explanation(plan)
    assert why.bottleneck == "accelerator: a, 2000 cycles a frame, 1 more within 2 %"
    assert why.gap == 0 and why.objective == "throughput"
    alone = {a.what: a.ms for a in why.alternatives}
    assert alone == {"CPU only": pytest.approx(170.0), "dev only": pytest.approx(2.0)}
    larger = {a.what: a.ms for a in why.larger}
    assert larger["10 % more DSPs"] == pytest.approx(2.0)
    assert larger["CPU at 1 MHz"] == pytest.approx(2.0)


def test_more_of_what_runs_out_helps() -> None:
    """Fifteen multipliers are 2000 cycles (eight and four); the sixteenth, a tenth more, makes them 1000."""
    device = FakeEngine("dev", "device", {"a": WAYS, "b": WAYS})
    plan = partition(chain(2), [device, cpu({"a": 90_000, "b": 80_000})], target(Resources(dsp=15)))
    larger = {a.what: a.ms for a in explanation(plan).larger}
    assert plan.interval_ms == pytest.approx(2.0) and larger["10 % more DSPs"] == pytest.approx(1.0)


def test_the_cpu_is_the_bottleneck() -> None:
    device = FakeEngine("dev", "device", {"a": WAYS}, {"b": "too odd"})
    plan = partition(chain(2), [device, cpu({"a": 90_000, "b": 80_000})], target(Resources(dsp=10)))
    why = explanation(plan)
    assert why.bottleneck == "CPU: 80.016 ms, 100% of it b"
    impossible = next(a for a in why.alternatives if a.what == "dev only")
    assert impossible.ms is None and impossible.note == "b: too odd"


def test_an_accelerator_too_small_for_all_says_what_it_lacks() -> None:
    device = FakeEngine("dev", "device", {"a": WAYS, "b": WAYS})
    plan = partition(chain(2), [device, cpu({"a": 90_000, "b": 80_000})], target(Resources(dsp=1)))
    impossible = next(a for a in explanation(plan).alternatives if a.what == "dev only")
    assert impossible.ms is None and impossible.note == "more than the board has (DSP)"


def test_memory_is_the_bottleneck() -> None:
    """Sixteen bytes at 1.6e-6 GB/s take 10 ms; the layer takes 0.5 ms."""
    device = FakeEngine("dev", "device", {"a": WAYS})
    slow = target(Resources(dsp=16), gbs=2 * BYTES / 10e6)
    plan = partition(chain(1), [device, cpu({"a": 90_000})], slow)
    why = explanation(plan)
    assert why.bottleneck == "memory: 10.000 ms for what the accelerator moves"
    assert plan.resources.dsp == 1  # faster would be waste


def test_an_invocation_costs_the_cpu() -> None:
    """A layer of 3 ms on the CPU is worth one call of 1 ms and not one of 4."""
    device = FakeEngine("dev", "device", {"a": WAYS})
    board = target(Resources(dsp=16))
    for microseconds, engine in ((1000.0, "dev"), (4000.0, "cpu")):
        memory = replace(board.memory, invocation_us=microseconds)
        plan = partition(chain(1), [device, cpu({"a": 3000})], replace(board, memory=memory))
        assert [d.engine for d in plan.decisions] == [engine]
        assert plan.cpu_ms == pytest.approx(1.016 if engine == "dev" else 3.0)


def test_the_host_hands_tensors_over() -> None:
    """Sixteen bytes, a cycle each: 0.016 ms at the RISC-V core's 1 MHz, a quarter of that at a host's 4 MHz; the other
    side's layer stays with the core."""
    device = FakeEngine("dev", "device", {"a": WAYS}, {"b": "too odd"})
    board = replace(target(Resources(dsp=16)), host=Host("aarch64", 4.0))
    plan = partition(chain(2), [device, cpu({"a": 3000, "b": 100})], board)
    assert [d.engine for d in plan.decisions] == ["dev", "cpu"]
    assert plan.cpu_ms == pytest.approx(0.1 + 0.004)


def test_a_region_has_so_many_ports() -> None:
    """A chain of 26 nodes, all of which are outputs: 23 beside what enters are a region, the others another."""
    names = tuple(f"n{i}" for i in range(26))
    made = zip(names, ("x", *names), strict=False)
    nodes = tuple(Node(name, MaxPool2d((1, 1), (1, 1)), (source,)) for name, source in made)
    graph = Graph("chain", chain(1).inputs, nodes, names, {}).verify()
    device = FakeEngine("dev", "device", {name: [Candidate(1)] for name in names})
    everywhere = [device, cpu(dict.fromkeys(names, 90_000))]
    plan = partition(graph, everywhere, target(Resources(dsp=1)))
    ports = [len(r.graph.inputs) + len(r.graph.outputs) for r in plan.regions]
    assert [r.engine.name for r in plan.regions] == ["dev", "dev"] and sum(ports) == 28 and max(ports) <= 24
    alone = {a.what: a.note for a in explanation(plan).alternatives}
    assert alone["dev only"] == "27 tensors enter or leave, a region has 24 ports"
