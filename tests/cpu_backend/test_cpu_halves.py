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


AT_THE_END = {
    "bytes": (2, 2, 2, 2, 2, 2, 2, 2, 1),
    "two of bytes": (4, 4, 3, 3, 3, 5, 4, 4, 4),
    "bytes of rows 012": (6, 6, 5, 7, 7, 3, 7, 5, 5),
    "bytes of rows 01": (6, 6, 5, 7, 7, 3, 7, 6, 5),
    "bytes of rows 02": (6, 6, 5, 6, 6, 6, 7, 5, 5),
    "bytes of rows 12": (7, 7, 4, 7, 7, 3, 7, 5, 5),
    "bytes of rows 0": (6, 6, 5, 6, 6, 6, 7, 6, 5),
    "bytes of rows 1": (7, 7, 4, 6, 6, 5, 7, 6, 5),
    "bytes of rows 2": (7, 7, 4, 6, 6, 6, 7, 5, 5),
    "halves": (7, 7, 4, 6, 6, 6, 7, 6, 5),
}
"""Magnitudes which just fit such parts, sums of 17, or, of other rows, which just do not, of 18."""
BEYOND = {"bytes": (8, "two of bytes"), "two of bytes": (4, "bytes of rows 012")}
"""A weight that may not be larger, and what the layer takes if it is; of five the last."""


def sums_at_the_end_of_8_bits() -> list[cpu_cases.Case]:
    """Elements of four bits: 15 times weights of 17 span 255, of 18 more; signs say where the sums lie. Elements are
    those for which all parts are largest or least. A result for eight sums: one part too large shows."""
    further = []
    for kind, (i, reached) in BEYOND.items():
        further.append((reached, np.array(AT_THE_END[kind]) + (np.arange(9) == i)))
    further.append(("bytes of rows 012", np.array(AT_THE_END["two of bytes"]) + (np.arange(9) == 5)))
    cases = []
    for kind, magnitudes in [*((kind, np.array(m)) for kind, m in AT_THE_END.items()), *further]:
        for signs in (0, 0b101, 0b110011010, (1 << 9) - 1):
            w = magnitudes * np.where(signs >> np.arange(9) & 1, -1, 1)
            for x in (DType("uint", 4), DType("int", 4)):
                lo, hi = (0, 15) if x.kind == "uint" else (-8, 7)
                window = np.where(w > 0, hi, lo).reshape(3, 3)
                for inside in (window, lo + hi - window):
                    value = np.pad(inside, ((0, 0), (0, 1)))
                    all_channels = np.broadcast_to(w.reshape(1, 3, 3), (70, 1, 3, 3))
                    layer = depthwise_layer(all_channels, x, np.full(70, 1 << 5), np.arange(70), 8, (-128, 127))
                    cases.append(of_kind(kind, layer, value))
    return cases


def vectors_of_their_own() -> list[cpu_cases.Case]:
    """One channel of the second vector decides about that vector only; elements of seven bits, with whose largest, 127,
    8 bits hold two products, and of eight bits, for which they are not tried."""
    w = np.zeros((70, 9), np.int64)
    w[:, 0], w[40, 4] = 2, 1
    mul, add = np.full(70, 1 << 5), np.arange(70)
    cases = []
    for bits, kinds in ((7, ["bytes", "bytes of rows 012"]), (8, "halves")):
        for value in ((1 << bits) - 1, 0):
            layer = depthwise_layer(w.reshape(70, 1, 3, 3), DType("uint", bits), mul, add, 8, (-128, 127))
            cases.append(of_kind(kinds, layer, value))
    return cases


@pytest.mark.parametrize("machine", MACHINES)
def test_at_the_ends_of_8_bits(machine: str, driver_programs: Programs, tmp_path: Path) -> None:
    driver_programs.check([*sums_at_the_end_of_8_bits(), *vectors_of_their_own()], MACHINES[machine], tmp_path)


def clipped_by_one_operation() -> list[cpu_cases.Case]:
    """Results of three bits from sums whose values are far below and above them, and from -4 to 3; at the ends of these
    sums and in between."""
    cases = []
    for most, kind in ((7, "halves"), (1, "bytes")):
        w = most * np.array([1, -1, 1, -1, 1, 1, -1, -1, 1])
        graph_w = np.broadcast_to(w.reshape(1, 3, 3), (70, 1, 3, 3))
        for shift, add, above in ((8, 0, 120), (12, 0, 4), (8, 2 << 8, 120)):
            mul, adds = np.full(70, 256 // most), np.full(70, add) - 128
            layer = depthwise_layer(graph_w, DType("uint", 4), mul, adds, shift, (0, 7))
            for window in (np.where(w > 0, 15, 0), np.where(w < 0, 15, 0), np.arange(9)):
                cases.append(of_kind(kind, layer, np.pad(window.reshape(3, 3), ((0, 0), (0, 1)))))
            assert above_of(layers_of(layer)[0]) == above, (most, shift, add)
    return cases


@pytest.mark.parametrize("machine", MACHINES)
def test_clipped_by_one_operation(machine: str, driver_programs: Programs, tmp_path: Path) -> None:
    driver_programs.check(clipped_by_one_operation(), MACHINES[machine], tmp_path)
