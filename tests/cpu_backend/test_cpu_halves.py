"""Depthwise maps in 16 bits: what is proven holds for every sum; at the bounds of 16 bits and just beyond them."""

from __future__ import annotations

from pathlib import Path

import cpu_cases
import numpy as np
import pytest
from cpu_blocks import depthwise_layer, halves_graph, of_kind
from cpu_programs import Programs

from cpu_backend.emit.convolution import depthwise_halves
from cpu_backend.layers import Layer, layers_of
from ir.ops import MultiplyShift, OperatorError
from ir.types import Array, DType

MACHINES = {"x86-asan": None, "vlen128": 128, "vlen256": 256, "vlen512": 512}


def both(layer: Layer) -> tuple[Array, Array] | None:
    """Every sum of every channel requantised by the operator's formula and by the kernel's, both (sums, C); None where
    nothing is proven."""
    halves, op = depthwise_halves(layer), layer.nodes[-1].op
    assert isinstance(op, MultiplyShift)
    if halves is None:
        return None
    w, (_, mul, add) = layer.first.operands[1].constant, layer.nodes[-1].operands
    ends = np.stack([w * min(layer.x.lo, 0), w * max(layer.x.hi, 0)]).reshape(2, len(w), -1)
    least, most = ends.min(0).sum(1), ends.max(0).sum(1)
    sums = np.clip(np.arange(least.min(), most.max() + 1)[:, None], least, most)
    expected = (sums * mul.constant + add.constant + (1 << op.shift - 1)) >> op.shift
    inside = (sums << halves.scale) + halves.map.arrays["before"].astype(np.int64)
    assert inside.min() >= -(1 << 15) and inside.max() < 1 << 15
    assert np.array_equal(halves.weights, w << halves.scale) and np.abs(halves.weights).max() < 128
    half = inside * halves.map.arrays["mul"] >> 15
    got = half >> int(halves.map.fields["shift"]) - 15
    inside_32 = (sums << halves.scale) * halves.map.arrays["mul"] + halves.map.arrays["add"].astype(np.int64)
    portable = np.clip(inside_32 >> int(halves.map.fields["shift"]), op.lo, op.hi)
    if above := int(halves.map.fields.get("above", 0)):
        assert got.min() >= 0 and op.lo == 0
        got = np.maximum(np.minimum(got, 127) - above, 0)
    got = np.clip(got, op.lo, op.hi) if not above else got
    np.testing.assert_array_equal(portable, got)
    return np.clip(expected, op.lo, op.hi), got


def above_of(layer: Layer) -> int | None:
    """What stands for 0 in 8 bits, 0 for nothing; None where nothing is proven."""
    halves = depthwise_halves(layer)
    return int(halves.map.fields.get("above", 0)) if halves else None


def test_what_is_proven_holds_for_every_sum() -> None:
    proven = 0
    for seed in range(60):
        try:
            (layer,) = layers_of(halves_graph(np.random.default_rng(seed)))
            found = both(layer)
        except OperatorError:
            continue
        if found:
            proven += 1
            np.testing.assert_array_equal(*found)
    assert proven >= 20


def test_results_of_four_bits_from_weights_of_four_bits() -> None:
    """The whole of the results' range is used, as quantisers leave it; most such layers are proven."""
    rng, proven = np.random.default_rng(5), 0
    for _ in range(20):
        w, mul = rng.integers(-7, 8, (64, 1, 3, 3)), rng.integers(1 << 13, 1 << 14, 64)
        (layer,) = layers_of(
            depthwise_layer(w, DType("uint", 4), mul, rng.integers(-(1 << 17), 1 << 18, 64), 18, (0, 15))
        )
        found = both(layer)
        if found:
            proven += 1
            assert found[0].max() == 15 and above_of(layer) == 112
            np.testing.assert_array_equal(*found)
    assert proven >= 10


@pytest.mark.parametrize(
    ("addend", "positive", "above"),
    [
        (8, 0, 112),  # sums from -120: results from -112, which -127 + 15 still leaves room for
        (7, 0, 0),
        (8, 1, 112),  # up to 23
        (7, 1, 0),
        (9, 0, 111),  # none above 15: as little as will do
        (121, 0, 112),  # up to 121
        (15, 0, 105),
        (16, 0, 112),  # one above 15
    ],
)
def test_where_one_operation_clips(addend: int, positive: int, above: int) -> None:
    """Elements of four bits, a result for each sum."""
    w = np.array([-8, 0, 0, 0, positive, 0, 0, 0, 0]).reshape(1, 1, 3, 3)
    graph = depthwise_layer(
        np.concatenate([w, w]), DType("uint", 4), np.array([256] * 2), np.array([addend << 8] * 2) - 128, 8, (0, 15)
    )
    (layer,) = layers_of(graph)
    found = both(layer)
    assert found and above_of(layer) == above
    np.testing.assert_array_equal(*found)


def full(total: int) -> Array:
    """Nine weights of this sum, of which the largest is 127."""
    w = np.full(9, 127)
    w[-1] = total - 8 * 127
    return w.reshape(1, 3, 3)


def sums_at_the_end_of_16_bits() -> list[cpu_cases.Case]:
    """Elements of five bits: 31 times weights of 1057 are 32767, which leaves no room for an addend; of 1058 they leave
    16 bits."""
    cases = []
    for total, further, kind in ((1057, 0, "halves"), (1057, 128, "whole"), (1058, 0, "pairs")):
        for sign in (1, -1):
            for value in (31, 30):
                w = sign * np.stack([full(total), full(1017), full(1016)])
                add = np.full(3, sign * further - 128)  # with the rounding half nothing is added
                layer = depthwise_layer(w, DType("uint", 5), np.array([1, 1, 1]), add, 8, (-128, 127))
                cases.append(of_kind(kind, layer, value))
    return cases


@pytest.mark.parametrize("machine", MACHINES)
def test_at_the_ends_of_16_bits(machine: str, driver_programs: Programs, tmp_path: Path) -> None:
    driver_programs.check(sums_at_the_end_of_16_bits(), MACHINES[machine], tmp_path)


def sums_at_the_end_of_8_bits() -> list[cpu_cases.Case]:
    """Elements of four bits: 15 times weights of 17 span 255, of 18 more; signs say where the sums lie."""
    cases = []
    for total, kind in ((17, "bytes"), (18, "halves")):
        for negative in (0, 3, 9):
            w = np.array([2, 2, 2, 2, 2, 2, 2, 2, total - 16]) * np.where(np.arange(9) < negative, -1, 1)
            for x, values in ((DType("uint", 4), (0, 15)), (DType("int", 4), (-8, 7))):
                for value in values:
                    all_channels = np.broadcast_to(w.reshape(1, 3, 3), (70, 1, 3, 3))
                    mul, add = np.full(70, 1 << 7), np.arange(70)
                    layer = depthwise_layer(all_channels, x, mul, add, 8, (-128, 127))
                    cases.append(of_kind(kind, layer, value))
    return cases


@pytest.mark.parametrize("machine", MACHINES)
def test_at_the_ends_of_8_bits(machine: str, driver_programs: Programs, tmp_path: Path) -> None:
    driver_programs.check(sums_at_the_end_of_8_bits(), MACHINES[machine], tmp_path)
