"""The arena planner: no two live buffers overlap, nothing is misaligned, chains meet the lower bound."""

from __future__ import annotations

import numpy as np
import pytest

from cpu_backend.memory import ALIGNMENT, Lifetime, plan


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
