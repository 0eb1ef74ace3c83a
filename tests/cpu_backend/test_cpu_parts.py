"""Depthwise sums in parts of 16 bits: weights that just fit their parts or just do not, elements at their ends."""

from __future__ import annotations

from pathlib import Path

import cpu_cases
import numpy as np
import pytest
from cpu_blocks import AT_THE_EDGE, depthwise_layer, of_kind
from cpu_encode import build
from cpu_programs import Programs

from ir.graph import Graph, Node
from ir.ops import Conv2d, MultiplyShift
from ir.types import DType, TensorType

MACHINES = {"x86-asan": None, "vlen128": 128, "vlen256": 256, "vlen1024": 1024}
ENDS = {"one": (0, 8), "two": (0, 5), "rows": (0, 3, 6), "four": (3,)}
"""A weight of each part that can overflow."""
NEXT = {"one": "two", "two": "rows", "rows": "four", "four": "pairs"}


def parts_at_their_ends() -> list[cpu_cases.Case]:
    cases = []
    for kind, edge in AT_THE_EDGE.items():
        over = 3 * np.eye(9, dtype=np.int64)  # sums of 257, which times -128 leave 16 bits
        for weights, reached in ((np.array(edge), kind), *((edge + over[i], NEXT[kind]) for i in ENDS[kind])):
            for sign in (1, -1):
                for x, value in (("int", -128), ("int", 127), ("uint", 0), ("uint", 255)):
                    signed_whole = reached == "one" and x == "int"  # the proof for the whole layer knows signs
                    w = np.broadcast_to(sign * weights, (20, 9)).reshape(20, 1, 3, 3)
                    layer = depthwise_layer(w, DType(x, 8), np.arange(1, 21), np.arange(-10, 10) << 16, 16, (-128, 127))
                    cases.append(of_kind("whole" if signed_whole else reached, layer, value))
    return cases


def unsigned_pairs() -> list[cpu_cases.Case]:
    """All weights and all elements at their ends, of which two products less 128 still fit 16 bits; with -128 they do
    not."""
    cases = []
    for weight, kind in ((127, "pairs"), (-127, "pairs"), (-128, "")):
        for value in (255, 128, 0):
            w = np.full((20, 1, 3, 3), weight)
            layer = depthwise_layer(w, DType("uint", 8), np.arange(1, 21), np.arange(-10, 10) << 16, 16, (-128, 127))
            cases.append(of_kind(kind, layer, value))
    return cases


def windows_of_padding() -> list[cpu_cases.Case]:
    """Up to four columns at a side that windows of their own fill, which the kernel in registers leaves to others."""
    rng, cases = np.random.default_rng(3), []
    for left in range(5):
        for right in range(5):
            for stride in (1, 2):
                padding = (int(rng.integers(5)), left, 2, right)
                conv = Node("conv", Conv2d((1, stride), padding, 20), ("x", "w"))
                last = Node("map", MultiplyShift(16, -128, 127), ("conv", "mul", "add"))
                constants = {
                    "w": rng.integers(-127, 128, (20, 1, 3, 3)),
                    "mul": rng.integers(1, 99, 20),
                    "add": rng.integers(-9, 9, 20) << 16,
                }
                x = TensorType.of_dtype((20, 2, int(rng.integers(1, 5))), DType("int", 8))
                if x.shape[2] + left + right >= 3:
                    graph = Graph("case", {"x": x}, (conv, last), ("map",), constants).verify()
                    cases.append(build(graph, rng))
    return cases


@pytest.mark.parametrize("machine", MACHINES)
def test_windows_of_padding(machine: str, driver_programs: Programs, tmp_path: Path) -> None:
    driver_programs.check(windows_of_padding(), MACHINES[machine], tmp_path)


@pytest.mark.parametrize("machine", MACHINES)
def test_at_the_ends_of_parts(machine: str, driver_programs: Programs, tmp_path: Path) -> None:
    driver_programs.check([*parts_at_their_ends(), *unsigned_pairs()], MACHINES[machine], tmp_path)
