"""The planner: what may share memory, what must be converted, what does not fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from host import checks
from host.errors import PackageError
from host.manifest import Manifest, Region, Tensor
from host.plan import Plan, make_plan, same_bytes
from ir.engine import Port
from ir.layouts import Plain, Words
from ir.types import DType, TensorType
from tests.host import fake


def random_network(seed: int) -> Manifest:
    """A random graph of regions on both sides, with one or two outputs each, in random layouts."""
    random = np.random.default_rng(seed)
    layouts = [Plain(), Words(4, 4, 2), Words(8, 4, 4), Words(2, 5, 2), Words(8, 8, 8)]

    def port(name: str, side: str) -> Port:
        return Port(name, Plain() if side == "cpu" else layouts[random.integers(len(layouts))])

    def tensor(name: str) -> Tensor:
        extents = random.integers(1, 9, 2)
        return Tensor(name, (8, int(extents[0]), int(extents[1])), DType("uint", 8), 0, 15)

    tensors = [tensor("in")]
    regions: list[Region] = []
    for index in range(int(random.integers(2, 9))):
        side = "device" if random.integers(2) else "cpu"
        sources = random.choice(len(tensors), min(len(tensors), int(random.integers(1, 3))), replace=False)
        made = [tensor(f"t{index}_{output}") for output in range(int(random.integers(1, 3)))]
        inputs = tuple(port(tensors[s].name, side) for s in sources)
        outputs = tuple(port(t.name, side) for t in made)
        regions.append(Region(f"r{index}", side, inputs, outputs, ("regions/r.c",)))
        tensors += made
    used = {p.tensor for region in regions for p in region.inputs}
    results = tuple(t.name for t in tensors[1:] if t.name not in used)
    return Manifest("random", fake.board(), tuple(tensors), ("in",), results, tuple(regions))


def run_in_any_order(plan: Plan, seed: int) -> None:
    """Executes the plan on shadow memory in a random order that the dependencies allow, tracking who wrote each byte.

    Every step must find in its inputs what their writers left there, and so must the end in the outputs.
    """
    random = np.random.default_rng(seed)
    memories = {True: np.full(plan.pool_bytes, -1), False: np.full(plan.arena_bytes, -1)}

    def view(index: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
        buffer = plan.buffers[index]
        return memories[buffer.in_pool][buffer.offset : buffer.offset + buffer.bytes]

    for index in plan.inputs:
        view(index)[:] = index
    done: set[int] = set()
    running: set[int] = set()
    while len(done) < len(plan.steps):
        ready = [i for i, s in enumerate(plan.steps) if i not in done | running and set(s.after) <= done]
        # A step is started, with its outputs open for writing, or one that runs ends, still needing its inputs.
        if ready and (not running or random.integers(2)):
            started = int(random.choice(ready))
            running.add(started)
            for index in plan.steps[started].writes:
                view(index)[:] = index
        else:
            ended = int(random.choice(sorted(running)))
            running.remove(ended)
            done.add(ended)
            for index in (*plan.steps[ended].reads, *plan.steps[ended].writes):
                assert (view(index) == index).all(), f"{plan.steps[ended].name}: {plan.buffers[index].tensor} was lost"
    for index in plan.outputs:
        assert (view(index) == index).all()


@pytest.mark.parametrize("seed", range(40))
def test_no_value_is_overwritten_in_any_order(seed: int) -> None:
    manifest = random_network(seed)
    checks.check(manifest)
    plan = make_plan(manifest)
    assert all(buffer.offset % 64 == 0 for buffer in plan.buffers)
    for order in range(10):
        run_in_any_order(plan, order)


def chain(length: int) -> Manifest:
    tensors = [Tensor.of(f"t{i}", TensorType.of_range((8, 16, 16), 0, 15)) for i in range(length + 1)]
    regions = [
        Region(f"r{i}", "cpu", (Port(f"t{i}", Plain()),), (Port(f"t{i + 1}", Plain()),), ("regions/r.c",))
        for i in range(length)
    ]
    return Manifest("chain", fake.board(), tuple(tensors), ("t0",), (f"t{length}",), tuple(regions))


def test_a_chain_needs_two_buffers() -> None:
    assert make_plan(chain(9)).arena_bytes == 2 * 8 * 16 * 16


def test_offsets_are_whole_cache_lines() -> None:
    manifest = chain(3)
    plan = make_plan(replace(manifest, board=replace(manifest.board, cache_line=1024)))
    assert [buffer.offset % 1024 for buffer in plan.buffers] == [0] * 4
    assert plan.arena_bytes % 1024 == 0


def test_frames_that_do_not_fit_the_pool() -> None:
    with pytest.raises(PackageError, match="3 frames in flight need 2304 bytes of DMA memory; board 'fake' has 1000"):
        make_plan(fake.manifest(pool_bytes=1000))


def test_only_differing_bytes_are_converted() -> None:
    def steps(writer: Words | Plain, reader: Words | Plain) -> list[str]:
        tensors = [Tensor.of(name, TensorType.of_range((8, 4, 4), 0, 15)) for name in ("a", "b", "c")]
        regions = (
            Region("p", "device", (Port("a", Plain()),), (Port("b", writer),), ("regions/r.c",)),
            Region("q", "device", (Port("b", reader),), (Port("c", Plain()),), ("regions/r.c",)),
        )
        manifest = Manifest("pair", fake.board(), tuple(tensors), ("a",), ("c",), regions)
        return [step.name for step in make_plan(manifest).steps]

    assert steps(Plain(), Plain()) == ["p", "q"]
    assert steps(Plain(), Words(8, 8, 8)) == ["p", "q"]  # full words of native width
    assert steps(Words(2, 4, 1), Words(8, 4, 4)) == ["p", "q"]  # full words, one stream of nibbles
    assert steps(Words(4, 4, 4), Words(8, 4, 4)) == ["p", "unpack b", "pack b", "q"]
    assert steps(Plain(), Words(8, 4, 4)) == ["p", "pack b", "q"]


@pytest.mark.parametrize("layout", [Words(2, 4, 1), Words(4, 8, 4), Words(8, 8, 8), Words(3, 4, 2), Words(1, 64, 8)])
def test_the_same_bytes_are_the_same(layout: Words) -> None:
    """`same_bytes` may only unite layouts that `ir.layouts` packs to equal bytes."""
    kind = TensorType((24, 2, 3), DType("int", max(8, layout.bits)), -8, 7)
    values = np.random.default_rng(1).integers(-8, 8, kind.shape)
    united = same_bytes(layout, Tensor.of("t", kind))
    assert united.pack(values, kind) == layout.pack(values, kind)


@pytest.mark.parametrize("layout", [Words(8, 8, 8), Words(8, 1, 1), Words(32, 1, 4), Words(4, 2, 1)])
def test_bipolar_lanes_are_not_plain(layout: Words) -> None:
    """Plain bipolar elements are -1 and +1, lanes hold 0 and 1: full words of native width are no exception."""
    kind = TensorType.of_dtype((32, 2, 3), DType("bipolar", 1))
    values = np.random.default_rng(1).choice([-1, 1], kind.shape)
    united = same_bytes(layout, Tensor.of("t", kind))
    assert united != Plain()
    assert united.pack(values, kind) == layout.pack(values, kind)


def test_a_bipolar_input_holds_no_zero() -> None:
    tensor = Tensor.of("bits", TensorType.of_dtype((2, 1, 1), DType("bipolar", 1)))
    assert tensor.objection(np.array([[[1]], [[-1]]])) is None
    assert tensor.objection(np.array([[[1]], [[0]]])) == "input 'bits': a value is 0, bipolar ones are -1 or +1"
