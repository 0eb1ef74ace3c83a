"""The fallback as C: the same bits as the reference executor's, of every operator, curve and rounding."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cpu_objects import build_region

from cpu_backend import runner, toolchain
from cpu_backend.emit.reals import REAL_RULES
from cpu_backend.engine import CpuEngine
from ir.engine import Reason
from ir.executor import execute
from ir.graph import Graph, Node
from ir.kinds import FALLBACK, kind_of
from ir.ops import (
    Affine,
    Arithmetic,
    Concat,
    Curve,
    Interpolate,
    Op,
    PRelu,
    Reduce,
    Reshape,
    Slice,
    Softmax,
    ToInteger,
    Transpose,
)
from ir.ops.quantise import CURVES, FALLING_CURVES
from ir.ops.real import PAIRS
from ir.rounding import ROUNDINGS
from ir.target import Cpu, SharedMemory, Target
from ir.types import Array, TensorType

Step = tuple[str, Op, tuple[str, ...]]
PARAMETERS = {"clip": (-0.7, 1.3), "leaky": (0.3, 0), "elu": (1.2, 0), "hardsigmoid": (0.2, 0.5), "swish": (1.7, 0)}


def curves() -> Graph:
    """Every function of one value, of the same reals: zeros, large and small ones, of both signs."""
    constants: dict[str, Array] = {"scale": np.array([0.37, 1e-3, 9.1]), "offset": np.array([0.0, 0.1, -3.0])}
    steps: list[Step] = [("real", Affine(), ("x", "scale", "offset"))]
    steps += [(name, Curve(name, *PARAMETERS.get(name, ())), ("real",)) for name in (*CURVES, *FALLING_CURVES)]
    x = TensorType.of_range((3, 16, 16), -128, 127)
    return Graph("curves", {"x": x}, tuple(Node(*s) for s in steps), tuple(s[0] for s in steps[1:]), constants)


def operators() -> Graph:
    """Every other operator, by way of integers of all sizes and all roundings."""
    constants: dict[str, Array] = {
        "scale": np.array([0.05, 0.3]), "offset": np.array([0.0, -1.0]), "slope": np.array([0.1, -0.4]),
        "tensor": np.random.default_rng(1).normal(0, 1, (2, 1, 6)), "three": np.array([0.01, 0.02, 0.5]),
    }  # fmt: skip
    steps: list[Step] = [
        ("a", Affine(), ("x", "scale", "offset")),
        ("b", Affine(), ("y", "scale", "offset")),
        *((name, Arithmetic(name), ("a", "b")) for name in PAIRS),
        ("with", Arithmetic("multiply"), ("tensor", "a")),
        ("peak", Reduce("largest", (0,)), ("a",)),
        ("mean", Reduce("sum", (1, 2)), ("a",)),
        ("rows", Reduce("sum", (0, 2)), ("with",)),
        ("about", Arithmetic("subtract"), ("a", "mean")),
        ("over", Arithmetic("divide"), ("about", "peak")),
        ("soft", Softmax(), ("over",)),
        ("bent", PRelu(), ("about", "slope")),
        ("large", Interpolate(7, 11), ("bent",)),
        ("turned", Transpose((0, 2, 1)), ("soft",)),
        ("shaped", Reshape((2, 4, 6)), ("turned",)),
        ("cut", Slice((0, 3, 0), (1, -1, 1), (1, 4, 6)), ("shaped",)),
        ("joined", Concat(), ("cut", "bent")),
        *((f"to{i}", ToInteger(-90, 120, 7, name), ("joined", "three")) for i, name in enumerate(ROUNDINGS)),
        ("wide", ToInteger(-(1 << 30), 1 << 30), ("joined", "three")),
        ("byte", ToInteger(0, 255, 3), ("add", "scale")),
        ("more", ToInteger(0, 60000), ("multiply", "scale")),
    ]
    types = {"x": TensorType.of_range((2, 4, 6), -300, 300), "y": TensorType.of_range((2, 4, 6), 0, 200)}
    read = {name for step in steps for name in step[2]}
    outputs = tuple(step[0] for step in steps if step[0] not in read)
    return Graph("operators", types, tuple(Node(*s) for s in steps), (*outputs, "soft"), constants).verify()


def check(graph: Graph, board: Target, folder: Path, feature: toolchain.Feature | None, vlen: int | None) -> None:
    rng = np.random.default_rng(0)
    frames = [{n: rng.integers(t.lo, t.hi + 1, t.shape) for n, t in graph.inputs.items()} for _ in range(3)]
    artifact = CpuEngine().lower(graph, {}, board)
    flags = () if feature else ("-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined")
    program = build_region(artifact, graph, folder, feature, flags)
    for frame, result in zip(frames, runner.run_region(program, artifact, graph, frames, vlen), strict=True):
        reference = execute(graph, frame)
        for name in graph.outputs:
            assert np.array_equal(result[name], reference[name], equal_nan=True), (feature, name)


@pytest.mark.parametrize("make", [curves, operators])
def test_on_this_machine(make: type[Graph], board: Target, tmp_path: Path) -> None:
    check(make(), board, tmp_path, None, None)


@pytest.mark.slow
@pytest.mark.parametrize("make", [curves, operators])
def test_under_qemu(make: type[Graph], board: Target, tmp_path: Path, riscv_tools: None) -> None:
    check(make(), board, tmp_path, toolchain.SCALAR, 0)
    check(make(), board, tmp_path, toolchain.VECTOR, 256)


def test_the_graphs_have_every_operator() -> None:
    used = {type(node.op) for make in (curves, operators) for node in make().nodes}
    assert used == set(FALLBACK) == set(REAL_RULES)
    assert {kind_of(make()) for make in (curves, operators)} == {"integer"}


def test_cores_without_floating_point_refuse() -> None:
    core = Target("soft", Cpu("rv32im", 0, 1, 100.0, "coprocessor"), SharedMemory(1 << 26, 4.0, 64, True))
    reason = CpuEngine().objection(operators().view("byte"), core)
    assert isinstance(reason, Reason) and "floating point, which rv32im has not" in reason.text
