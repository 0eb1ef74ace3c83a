"""Generated regions: compiled without warnings for every target, equal to the reference executor on random graphs."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import cpu_cases
import cpu_graphs
import numpy as np
import pytest
from cpu_objects import build_region

from cpu_backend import runner, toolchain
from cpu_backend.engine import CpuEngine
from ir.engine import Reason
from ir.executor import execute
from ir.graph import Graph, GraphError, Node
from ir.ops import (
    OPERATORS,
    Add,
    Affine,
    Arithmetic,
    AveragePool2d,
    BatchNorm,
    Concat,
    Conv2d,
    Curve,
    Dequantize,
    FakeQuantize,
    Interpolate,
    MaxPool2d,
    Multiply,
    MultiplyShift,
    MultiThreshold,
    Op,
    PRelu,
    Quantize,
    Reduce,
    RPRelu,
    Scaled,
    Sigmoid,
    Softmax,
    SpaceToDepth,
    ToInteger,
)
from ir.target import Target
from ir.types import Array, DType, TensorType

FLOAT_ONLY = {
    Affine, Arithmetic, AveragePool2d, BatchNorm, Curve, Dequantize, FakeQuantize, Interpolate, MultiThreshold,
    Quantize, Reduce, Scaled, Sigmoid, Softmax, ToInteger,
}  # fmt: skip
MACHINES: list[tuple[toolchain.Feature | None, int | None]] = [
    (None, None),
    (toolchain.SCALAR, 0),
    (toolchain.VECTOR, 128),
    (toolchain.VECTOR, 512),
]


def bypass(seed: int) -> Graph:
    """Two inputs, branches, nested joins of different element types, an output that others read, odd names."""
    rng = np.random.default_rng(seed)
    c, o = int(rng.integers(1, 20)), int(rng.integers(1, 40))
    left = cpu_cases.operand(rng, (c, 8, 12), ["uint4", "int8", "uint8"])
    right = cpu_cases.operand(rng, (3, 4, 6), ["uint8", "int16", "uint2"])
    constants: dict[str, Array] = {
        "w/0": rng.integers(-7, 8, (o, c, 3, 3)),
        "mul": rng.integers(-300, 300, o) if seed % 2 else rng.integers(0, 300, o),
        "add": rng.integers(-9000, 9000, o),
        "w/1": rng.integers(-1, 2, (5, 3 + 9 * o, 1, 1)),
    }
    steps: list[tuple[str, Op, tuple[str, ...]]] = [
        ("conv.0", Conv2d(padding=(1, 1, 1, 1)), ("left", "w/0")),
        ("act-0", MultiplyShift(8, -3, 12), ("conv.0", "mul", "add")),
        ("pool 0", MaxPool2d(), ("act-0",)),
        ("act_0", SpaceToDepth(2), ("act-0",)),
        ("both", Concat(), ("act_0", "pool 0")),
        ("all", Concat(), ("right", "both", "act_0")),
        ("head", Conv2d(), ("all", "w/1")),
        ("small", MaxPool2d((3, 2), (1, 2)), ("both",)),
    ]
    nodes = tuple(Node(*step) for step in steps)
    graph = Graph(f"by-pass.{seed}", {"left": left, "right": right}, nodes, ("head", "small", "both"), constants)
    return graph.verify()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_random_graph_on_every_machine(seed: int, board: Target, tmp_path: Path, riscv_tools: None) -> None:
    graph = bypass(seed)
    rng = np.random.default_rng(seed)
    frames = [{name: cpu_cases.values(rng, type_) for name, type_ in graph.inputs.items()} for _ in range(4)]
    artifact = CpuEngine().lower(graph, {}, board)
    for feature, vlen in MACHINES:
        flags = () if feature else toolchain.SANITIZE
        program = build_region(artifact, graph, tmp_path, feature, flags)
        for frame, result in zip(frames, runner.run_region(program, artifact, graph, frames, vlen), strict=True):
            reference = execute(graph, frame)
            for name in graph.outputs:
                assert np.array_equal(result[name], reference[name]), (feature, vlen, name)


def check_on(
    graph: Graph, seed: int, board: Target, folder: Path, machines: list[tuple[toolchain.Feature | None, int | None]]
) -> None:
    """Three frames through the lowered region on each machine, every output tensor equal to the reference's."""
    rng = np.random.default_rng(seed)
    frames = [{name: cpu_cases.values(rng, type_) for name, type_ in graph.inputs.items()} for _ in range(3)]
    references = [execute(graph, frame) for frame in frames]
    artifact = CpuEngine().lower(graph, {}, board)
    for feature, vlen in machines:
        flags = () if feature else toolchain.SANITIZE
        program = build_region(artifact, graph, folder, feature, flags)
        results = runner.run_region(program, artifact, graph, frames, vlen)
        for number, (reference, result) in enumerate(zip(references, results, strict=True)):
            for name in graph.outputs:
                assert np.array_equal(result[name], reference[name]), (feature, vlen, number, name)


@pytest.mark.parametrize("network", cpu_graphs.NETWORKS)
def test_networks_of_every_operator_on_this_machine(network: str, board: Target, tmp_path: Path) -> None:
    for seed in range(2):
        check_on(cpu_graphs.NETWORKS[network](seed), seed, board, tmp_path, MACHINES[:1])


@pytest.mark.slow
@pytest.mark.parametrize("network", cpu_graphs.NETWORKS)
def test_networks_of_every_operator_under_qemu(network: str, board: Target, tmp_path: Path, riscv_tools: None) -> None:
    machines = [*MACHINES[1:], (toolchain.VECTOR, 256)]
    check_on(cpu_graphs.NETWORKS[network](7), 7, board, tmp_path, machines)


def test_the_networks_have_every_integer_operator() -> None:
    used = {type(node.op) for make in cpu_graphs.NETWORKS.values() for node in make(0).nodes}
    assert {op for op in OPERATORS.values() if op not in FLOAT_ONLY} == used


@pytest.mark.parametrize(
    ("network", "fused"),
    [
        ("residual", "Conv2d pixel -> Clip mask"),
        ("prelu", "Conv2d conv1 -> PRelu bent"),
        ("prelu", "Conv2d conv2 -> MaxPool2d halved -> RPRelu again"),
        ("gated", "GatedConv2d gate.1 -> RPRelu curved"),
        ("gated", "GatedConv2d gate.2 -> MaxPool2d top"),
    ],
)
def test_maps_are_fused_behind_convolutions(network: str, fused: str, board: Target) -> None:
    artifact = CpuEngine().lower(cpu_graphs.NETWORKS[network](0), {}, board)
    assert f" * {fused}\n" in artifact.files[f"cpu/{network}.c"]


def test_compiles_for_a_soft_core(board: Target, tmp_path: Path, riscv_tools: None) -> None:
    for graph in (bypass(0), *(make(0) for make in cpu_graphs.NETWORKS.values())):
        sources = runner.write_files(CpuEngine().lower(graph, {}, board), tmp_path)
        objects = toolchain.compile_objects(sources, tmp_path, toolchain.SOFT_CORE, [toolchain.RUNTIME])
        assert [o.read_bytes()[:5] for o in objects] == [b"\x7fELF\x01"] * len(sources)  # 32-bit objects


def test_kernels_compile_as_pedantic_c99(tmp_path: Path) -> None:
    for source in toolchain.KERNELS.glob("*.c"):
        command = [toolchain.native_compiler(), "-std=c99", "-pedantic", "-Wall", "-Wextra", "-Wshadow", "-Werror"]
        toolchain.run([*command, "-c", source, "-o", tmp_path / "o"])


def test_two_regions_share_their_kernels(board: Target) -> None:
    first, second = (CpuEngine().lower(bypass(seed), {}, board).files for seed in (0, 1))
    common = first.keys() & second.keys()
    assert {"cpu/kernels/hck_pool.c", "cpu/kernels/hck_requantise.c"} <= common
    assert all(first[path] == second[path] for path in common)
    own = {path for path in first.keys() - common if "/kernels/" not in path}  # they may call for others, too
    assert own == {"cpu/by_pass_0.c", "cpu/by_pass_0_weights.h", "cpu/by_pass_0_tuning.json"}


def test_layers_are_fused_and_joined_in_place(board: Target) -> None:
    """Even seeds have no falling channel, but another reader: nothing fuses but the map; pool 0 is written in place."""
    artifact = CpuEngine().lower(bypass(0), {}, board)
    text = artifact.files["cpu/by_pass_0.c"]
    assert "Conv2d conv.0 -> MultiplyShift act-0" in text
    assert "1 of 2 operands are written in place" in text
    assert artifact.stages[0].name == "conv.0"


def test_lowering_is_deterministic(board: Target) -> None:
    assert CpuEngine().lower(bypass(2), {}, board).files == CpuEngine().lower(bypass(2), {}, board).files


def test_sums_beyond_32_bits_are_refused_by_name(board: Target) -> None:
    x = TensorType.of_dtype((64, 1, 1), DType("uint", 16))
    weights = np.full((1, 64, 1, 1), 1 << 12)
    graph = Graph("r", {"x": x}, (Node("heavy", Conv2d(), ("x", "w")),), ("heavy",), {"w": weights}).verify()
    with pytest.raises(GraphError, match=r"r: 'heavy' on the CPU: sums lie in 0\.\.\d+, which leaves 32 bits"):
        CpuEngine().lower(graph, {}, board)


@pytest.mark.parametrize(
    ("op", "x", "constants", "message"),
    [
        (Add(), ("uint", 31), {"y": [1 << 31]}, "addends 2147483648..2147483648 leave 32 bits"),
        (PRelu(3), ("int", 31), {"slope": [1]}, "int34|bends values in .*, which leave 32 bits"),
        (RPRelu(), ("int", 32), {"b": [1], "s": [1], "a": [-1]}, "bends values in .*, which leave 32 bits"),
        (Multiply(), ("int", 31), {"y": [[[1 << 3]]]}, "int34"),
    ],
)
def test_what_leaves_32_bits_is_refused(
    op: Op, x: tuple[str, int], constants: dict[str, list[int]], message: str, board: Target
) -> None:
    """By the engine with a reason, by the generator with the node's name."""
    type_ = TensorType.of_dtype((1, 2, 3), DType(*x))  # type: ignore[arg-type]
    if isinstance(op, Add):
        type_ = replace(type_, dtype=DType("int", 32), lo=-(1 << 31), hi=-5)
    arrays = {name: np.array(value) for name, value in constants.items()}
    graph = Graph("r", {"x": type_}, (Node("n", op, ("x", *arrays)),), ("n",), arrays).verify()
    answer = CpuEngine().objection(graph.view("n"), board) or CpuEngine().prepare(graph.view("n"), board)
    assert isinstance(answer, Reason)
    assert re.search(message, answer.text)
    with pytest.raises(GraphError, match=f"r: 'n' on the CPU: .*({message})"):
        CpuEngine().lower(graph, {}, board)


def test_a_layer_of_constants_alone_is_refused(board: Target) -> None:
    arrays = {"a": np.ones((1, 2, 2), np.int64), "b": np.ones((1, 2, 2), np.int64)}
    x = TensorType.of_dtype((1, 2, 2), DType("int", 8))
    nodes = (Node("n", Add(), ("a", "b")), Node("y", Add(), ("n", "x")))
    graph = Graph("r", {"x": x}, nodes, ("y",), arrays).verify()
    with pytest.raises(GraphError, match="r: 'n' on the CPU: computes on constants alone"):
        CpuEngine().lower(graph, {}, board)


def test_tensors_of_other_ranks_are_refused(board: Target) -> None:
    x = TensorType.of_dtype((3, 4), DType("int", 8))
    graph = Graph("r", {"x": x}, (Node("n", PRelu(), ("x", "s")),), ("n",), {"s": np.array([1, 2, 3])}).verify()
    answer = CpuEngine().prepare(graph.view("n"), board)
    assert isinstance(answer, Reason)
    assert "shape (3, 4), which is neither (C, H, W) nor (C,)" in answer.text


def test_a_vector_is_requantised(board: Target, tmp_path: Path) -> None:
    """Tensors of rank 1, as after a global pool."""
    constants = {"m": np.array([3, -5, 7]), "a": np.array([10, 20, 30])}
    x = TensorType.of_dtype((3,), DType("int", 8))
    graph = Graph("v", {"x": x}, (Node("y", MultiplyShift(2, -9, 9), ("x", "m", "a")),), ("y",), constants).verify()
    artifact = CpuEngine().lower(graph, {}, board)
    program = build_region(artifact, graph, tmp_path)
    frames = [{"x": np.array(v)} for v in ([-128, -128, -128], [127, 127, 127], [0, 1, -2])]
    for frame, result in zip(frames, runner.run_region(program, artifact, graph, frames), strict=True):
        assert np.array_equal(result["y"], execute(graph, frame)["y"])


def test_an_input_that_is_also_an_output_is_refused(board: Target) -> None:
    graph = replace(bypass(0), outputs=("head", "left"))
    with pytest.raises(GraphError, match="'left' is an input and an output"):
        CpuEngine().lower(graph, {}, board)
