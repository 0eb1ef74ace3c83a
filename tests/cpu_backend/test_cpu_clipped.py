"""Multiply-shifts whose products leave 32 bits: clipped to where results change, they have the same results there."""

from __future__ import annotations

from pathlib import Path

import cpu_cases
import numpy as np
import pytest
from cpu_blocks import depthwise_layer, of_kind
from cpu_encode import MAP_ARRAYS, build
from cpu_programs import Programs

from cpu_backend.layers import layers_of
from cpu_backend.requantise import requantisation
from ir.graph import Graph, Node
from ir.ops import Conv2d, MultiplyShift
from ir.types import Array, DType, TensorType

MACHINES = {"x86-asan": None, "no-v": 0, "vlen128": 128, "vlen256": 256}
CHANNELS, LEAST = 40, MAP_ARRAYS.index("least")


def quantised(rng: np.random.Generator, lo: int, hi: int, signs: int) -> Graph:
    """Sums of 20 bits and multipliers of 7 to 17, as int8 after training leaves them; ``signs``: -1 or 1 for the least
    multiplier."""
    mul = rng.integers(64, 1 << 17, CHANNELS) * rng.choice([signs, 1], CHANNELS)
    add = rng.integers(-(1 << 27), 1 << 27, CHANNELS)
    x = TensorType.of_dtype((30, 4, 5), DType("uint", 8))
    constants: dict[str, Array] = {"w": rng.integers(-127, 128, (CHANNELS, 30, 1, 1)), "mul": mul, "add": add}
    nodes = (Node("sums", Conv2d(), ("x", "w")), Node("y", MultiplyShift(20, lo, hi), ("sums", "mul", "add")))
    return Graph("case", {"x": x}, nodes, ("y",), constants).verify()


@pytest.mark.parametrize(("lo", "hi"), [(0, 255), (-128, 127), (3, 4), (-1500, 1500)])
@pytest.mark.parametrize("signs", [1, -1])
def test_results_are_the_same_in_32_bits(lo: int, hi: int, signs: int) -> None:
    rng = np.random.default_rng(hi)
    (layer,) = layers_of(quantised(rng, lo, hi, signs))
    found, view = requantisation(layer.map), layer.nodes[-1]
    least, most, mul, add = (found.arrays[key].astype(np.int64) for key in ("least", "most", "mul", "add"))
    assert (least <= most).all() and "wide_add" not in found.arrays
    edges = np.concatenate([end + np.arange(-3, 4)[:, None] for end in (least, most)])
    sums = np.concatenate(
        [edges, rng.integers(view.operands[0].type.lo, view.operands[0].type.hi + 1, (500, CHANNELS))]
    )
    sums = np.clip(sums, view.operands[0].type.lo, view.operands[0].type.hi)
    true = sums * view.operands[1].constant + view.operands[2].constant + (1 << 19)
    assert np.abs(true).max() >= 1 << 31, "the case is none"
    inside = np.clip(sums, least, most)
    for value in (inside * mul, inside * mul + add):
        assert value.min() >= -(1 << 31) and value.max() < 1 << 31
    assert np.array_equal(np.clip((inside * mul + add) >> 20, lo, hi), np.clip(true >> 20, lo, hi))


def test_what_cannot_be_clipped_keeps_64_bits() -> None:
    """Results of 13 bits after a shift of 20 take 33 bits."""
    graph = quantised(np.random.default_rng(0), -4096, 4095, 1)
    (layer,) = layers_of(graph)
    assert "wide_add" in requantisation(layer.map).arrays


def cases() -> list[cpu_cases.Case]:
    rng, made = np.random.default_rng(1), []
    for lo, hi, signs in ((0, 255, 1), (-128, 127, -1), (-500, 500, 1)):
        made.append(build(quantised(rng, lo, hi, signs), rng))
    for x, value in (("uint", 255), ("uint", 0), ("int", -128), ("int", 127)):
        for most, kind in ((127, "pairs"), (28, "two")):
            w = np.full((20, 1, 3, 3), most) * rng.choice([-1, 1], (20, 1, 1, 1))
            mul, add = rng.integers(70_000, 90_000, 20), rng.integers(-(1 << 27), 1 << 27, 20)
            layer = depthwise_layer(w, DType(x, 8), mul, add, 20, (0, 255))
            made.append(of_kind(kind, layer, value))
    assert all(case.blobs[LEAST] for case in made)
    return made


@pytest.mark.parametrize("machine", MACHINES)
def test_on_every_machine(machine: str, driver_programs: Programs, tmp_path: Path) -> None:
    driver_programs.check(cases(), MACHINES[machine], tmp_path)
