"""Max and sum pooling against torch, their types' ranges, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from cpu_backend.engine import CpuEngine
from ir.engine import Prepared
from ir.graph import Graph, Node
from ir.ops import MaxPool2d, Operand, OperatorError, SumPool2d
from ir.ops.pooling import Pool
from ir.target import Cpu, SharedMemory, Target
from ir.types import Array, DType, TensorType


def by_torch(x: Array, op: Pool) -> Array:
    """torch.nn.functional on padded doubles, exact for the values here; the average is not divided."""
    top, left, bottom, right = op.padding
    outside = -np.inf if isinstance(op, MaxPool2d) else 0.0
    padded = functional.pad(torch.from_numpy(x.astype(np.float64))[None], (left, right, top, bottom), value=outside)
    if isinstance(op, MaxPool2d):
        return functional.max_pool2d(padded, op.kernel, op.stride)[0].numpy()
    return functional.avg_pool2d(padded, op.kernel, op.stride, divisor_override=1)[0].numpy()


def random_pool(seed: int) -> tuple[tuple[int, int, int], Pool]:
    rng = np.random.default_rng(seed)
    kernel = (int(rng.integers(1, 6)), int(rng.integers(1, 6)))
    stride = (int(rng.integers(1, 5)), int(rng.integers(1, 5)))
    padding = tuple(int(rng.integers(0, k)) for k in (*kernel, *kernel))
    rows = int(rng.integers(max(1, kernel[0] - padding[0] - padding[2]), 9))
    columns = int(rng.integers(max(1, kernel[1] - padding[1] - padding[3]), 9))
    kind = MaxPool2d if seed % 2 else SumPool2d
    return (2, rows, columns), kind(kernel, stride, padding)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(120))
def test_values_and_ranges(seed: int) -> None:
    """Equal to torch; a frame full of either end of the range reaches the type's, unless all windows are cut alike."""
    shape, op = random_pool(seed)
    rng = np.random.default_rng(seed)
    low, high = sorted(rng.integers(-300, 300, 2).tolist())
    type_ = op.infer([Operand(TensorType.of_range(shape, low, high))])
    reached = []
    for x in (np.full(shape, low), np.full(shape, high), rng.integers(low, high + 1, shape)):
        got = op.evaluate([x])
        assert got.dtype == np.int64 and got.shape == type_.shape
        assert np.array_equal(got, by_torch(x, op))
        reached += [int(got.min()), int(got.max())]
    assert (min(reached), max(reached)) == (type_.lo, type_.hi)


def test_a_global_sum_is_a_window_of_the_whole_extent() -> None:
    x = np.random.default_rng(1).integers(0, 255, (3, 5, 7), endpoint=True)
    assert np.array_equal(SumPool2d((5, 7), (1, 1)).evaluate([x]).reshape(3), x.sum(axis=(1, 2)))
    assert SumPool2d((5, 7), (1, 1)).infer([Operand(TensorType.of_range(x.shape, 0, 255))]).hi == 35 * 255


def test_padding_never_wins_and_counts_as_zero() -> None:
    x = np.full((1, 2, 2), -7)
    assert MaxPool2d((2, 2), (1, 1), (1, 1, 1, 1)).evaluate([x]).tolist() == [[[-7] * 3] * 3]
    corner = SumPool2d((2, 2), (1, 1), (1, 1, 1, 1)).evaluate([x])
    assert corner.tolist() == [[[-7, -14, -7], [-14, -28, -14], [-7, -14, -7]]]
    assert MaxPool2d((2, 2), (1, 1), (1, 1, 0, 0)).evaluate([x.astype(np.float64)]).tolist() == [[[-7.0] * 2] * 2]


@pytest.mark.parametrize("kind", [MaxPool2d, SumPool2d])
@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        (((2, 2), (1, 1), (2, 0, 0, 0)), "smaller than the window"),
        (((2, 3), (1, 1), (0, 0, 0, 3)), "smaller than the window"),
        (((2, 2), (1, 1), (0, -1, 0, 0)), "must be 0 or more"),
        (((6, 2), (1, 1), (1, 0, 0, 0)), "larger than the input"),
        (((0, 2), (1, 1), (0, 0, 0, 0)), "at least 1"),
    ],
)
def test_refusals(kind: type[Pool], attributes: tuple[tuple[int, ...], ...], message: str) -> None:
    with pytest.raises(OperatorError, match=message):
        kind(*attributes).infer([Operand(TensorType.of_range((1, 4, 4), 0, 1))])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "op", [MaxPool2d((3, 3), (2, 2), (1, 1, 0, 0)), SumPool2d(), SumPool2d((5, 2), (1, 3), (4, 1, 4, 0))]
)
def test_cpu_engine_takes_any_window(op: Pool) -> None:
    target = Target("t", Cpu("rv64gc", 0, 1, 1000.0, "host"), SharedMemory(1 << 20, 1.0, 64, True))
    x = TensorType.of_dtype((2, 4, 4), DType("uint", 4))
    view = Graph("g", {"x": x}, (Node("p", op, ("x",)),), ("p",), {}).verify().view("p")
    assert CpuEngine().objection(view, target) is None
    prepared = CpuEngine().prepare(view, target)
    assert isinstance(prepared, Prepared)
    assert CpuEngine().candidates(prepared, target)[0].cycles > 0
