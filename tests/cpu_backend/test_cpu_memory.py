"""The arena planner: no two live buffers overlap, nothing is misaligned, chains meet the lower bound."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cpu_graphs
import cpu_networks
import numpy as np
import pytest
from test_cpu_regions import bypass

from cpu_backend.codegen import generate
from cpu_backend.engine import PASSES
from cpu_backend.memory import ALIGNMENT, Lifetime, plan
from ir.graph import Graph
from ir.passes.base import run_passes


def overlap(a: Lifetime, b: Lifetime, offsets: dict[str, int]) -> bool:
    together = set(range(a.first, a.last + 1)) & set(range(b.first, b.last + 1))
    bytes_a, bytes_b = (set(range(offsets[x.name], offsets[x.name] + x.size)) for x in (a, b))
    return bool(together and bytes_a & bytes_b)


@pytest.mark.parametrize("seed", range(20))
def test_live_buffers_are_apart(seed: int) -> None:
    rng = np.random.default_rng(seed)
    starts = rng.integers(0, 12, 25)
    buffers = [
        Lifetime(f"b{i}", int(rng.integers(1, 700)), int(s), int(s + rng.integers(0, 6))) for i, s in enumerate(starts)
    ]
    result = plan(buffers)
    for i, a in enumerate(buffers):
        assert result.offsets[a.name] % ALIGNMENT == 0
        assert result.offsets[a.name] + a.size <= result.size
        assert not any(overlap(a, b, dict(result.offsets)) for b in buffers[:i])
    live = [sum(-(-b.size // 64) * 64 for b in buffers if b.first <= t <= b.last) for t in range(20)]
    assert result.lower_bound == max(live) <= result.size


def test_a_chain_needs_its_two_largest_neighbours() -> None:
    sizes = [6400, 3200, 1600, 1600, 64]
    result = plan([Lifetime(str(i), size, i, i + 1) for i, size in enumerate(sizes)])
    assert result.size == result.lower_bound == 9600


def test_nothing_needs_nothing() -> None:
    assert plan([]).size == 0


def test_a_buffer_that_ends_before_it_starts() -> None:
    with pytest.raises(ValueError, match="'x' of 8 bytes lives from 3 to 2"):
        Lifetime("x", 8, 3, 2)


def arenas(name: str, graph: Graph) -> Iterator[tuple[str, int, int]]:
    """Network and machine, its arena, the bytes that live together in its fullest step; for vectors and words of 32."""
    region = run_passes(graph, PASSES)
    for machine, word in (("vectors", 0), ("rv32", 32)):
        memory = generate(region, word=word).memory
        yield f"{name}, {machine}", memory.size, memory.lower_bound


def report(rows: list[tuple[str, int, int]]) -> None:
    """A line per network, and the assertion."""
    for name, size, bound in rows:
        print(f"{name:32} arena {size:8} bytes, live together {bound:8}: {100 * (size / bound - 1):.1f} % above")
    for name, size, bound in rows:
        assert bound <= size <= 1.05 * bound, name


@pytest.mark.parametrize("network", ["ultranet", "ultranet_bypass"])
def test_arena_of_trained_networks(network: str, shared_data: Path) -> None:
    rows = list(arenas(network, cpu_networks.load(shared_data, network)[0]))
    report(rows)
    assert rows[0][2] > 100_000  # the picture of the first layer is there


@pytest.mark.parametrize("seed", range(4))
def test_arena_of_small_networks(seed: int) -> None:
    report([row for name, make in cpu_graphs.NETWORKS.items() for row in arenas(f"{name}.{seed}", make(seed))])
    report(list(arenas(f"bypass.{seed}", bypass(seed))))


def test_arena_of_random_lifetimes() -> None:
    """60 sets of up to 60 buffers, of up to 8 steps."""
    rows = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        count = int(rng.integers(5, 60))
        starts, steps = rng.integers(0, count, count), np.minimum(rng.geometric(0.35, count), 8)
        buffers = [
            Lifetime(f"b{i}", int(rng.integers(1, 20000)), int(s), int(s + n))
            for i, (s, n) in enumerate(zip(starts, steps, strict=True))
        ]
        result = plan(buffers)
        rows.append((f"random.{seed}", result.size, result.lower_bound))
    report(rows)
