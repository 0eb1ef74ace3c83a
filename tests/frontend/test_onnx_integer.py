"""Integer ONNX networks and operators against the vectors that came with them, to the last bit."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from onnx_files import integer_cases, load_case

from cpu_backend import runner, toolchain
from cpu_backend.engine import CpuEngine
from ir.executor import execute
from ir.ops import Transpose
from ir.target import Cpu, SharedMemory, Target

ROOT = Path(os.environ.get("HETERO_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
CASES = integer_cases(ROOT)
NETWORKS = [case for case in CASES if case.startswith("mlperf/")]
SAMPLE = [case for case in CASES if case not in NETWORKS][::11] + NETWORKS[:1]
BOARD = Target("test", Cpu("rv64gcv", 256, 1, 1600.0, "host"), SharedMemory(1 << 26, 4.0, 64, True))


def test_the_data_has_cases(shared_data: Path) -> None:
    assert len(integer_cases(shared_data)) >= 52


@pytest.mark.parametrize("case", CASES)
def test_reference_executor(case: str, shared_data: Path) -> None:
    imported, frame, outputs = load_case(shared_data, case)
    values = execute(imported.graph, frame)
    for name, expected in zip(imported.graph.outputs, outputs, strict=True):
        assert np.array_equal(values[name].reshape(imported.shapes[name]), expected)


def check_on(
    case: str, data: Path, folder: Path, feature: toolchain.Feature | None, vlens: tuple[int | None, ...]
) -> None:
    """The case as C: its own frame and two of random values of the inputs' types."""
    imported, frame, outputs = load_case(data, case)
    graph = imported.graph
    rng = np.random.default_rng(1)
    more = [{n: rng.integers(t.lo, t.hi + 1, t.shape) for n, t in graph.inputs.items()} for _ in range(2)]
    artifact = CpuEngine().lower(graph, {}, BOARD)
    flags = () if feature else toolchain.SANITIZE
    program = runner.build_region(artifact, graph, folder, feature, flags)
    references = [execute(graph, values) for values in more]
    for vlen in vlens:
        own, *results = runner.run_region(program, artifact, graph, [frame, *more], vlen)
        for name, expected in zip(graph.outputs, outputs, strict=True):
            assert np.array_equal(own[name].reshape(imported.shapes[name]), expected), name
        for reference, result in zip(references, results, strict=True):
            assert all(np.array_equal(result[name], reference[name]) for name in graph.outputs)


@pytest.mark.parametrize("case", SAMPLE)
def test_portable_c(case: str, shared_data: Path, tmp_path: Path) -> None:
    check_on(case, shared_data, tmp_path, None, (None,))


@pytest.mark.slow
@pytest.mark.parametrize("case", SAMPLE[::5])
def test_vectors_under_qemu(case: str, shared_data: Path, tmp_path: Path) -> None:
    check_on(case, shared_data, tmp_path, toolchain.VECTOR, (256,))


@pytest.mark.full
@pytest.mark.parametrize("case", CASES)
def test_every_case_as_c(case: str, shared_data: Path, tmp_path: Path) -> None:
    check_on(case, shared_data, tmp_path, None, (None,))
    check_on(case, shared_data, tmp_path, toolchain.VECTOR, (128, 512))


@pytest.mark.parametrize("case", NETWORKS)
def test_networks_are_imported_without_transpositions(case: str, shared_data: Path) -> None:
    imported, _, _ = load_case(shared_data, case)
    assert not [node.name for node in imported.graph.nodes if isinstance(node.op, Transpose)]
