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
from cpu_backend.emit import identifier
from cpu_backend.engine import CpuEngine
from ir.engine import Artifact
from ir.executor import execute
from ir.graph import Graph
from ir.ops import Transpose
from ir.passes.addends import FoldAddends
from ir.target import Cpu, SharedMemory, Target

ROOT = Path(os.environ.get("HETERO_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
CASES = integer_cases(ROOT)
NETWORKS = [case for case in CASES if case.startswith("mlperf/")]
SAMPLE = [case for case in CASES if case not in NETWORKS][::5] + NETWORKS[1:3]
BOARD = Target("test", Cpu("rv64gcv", 256, 1, 1600.0, "host"), SharedMemory(1 << 26, 4.0, 64, True))


class Programs:
    """Regions as programs for this machine or RISC-V; a kernel that several of them call is compiled once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.objects: dict[tuple[str, str], Path] = {}

    def build(self, artifact: Artifact, graph: Graph, feature: toolchain.Feature | None) -> Path:
        name = f"{identifier(graph.name)}{len(self.objects)}"
        sources = runner.write_files(artifact, self.folder / name)
        define = f"-DHC_REGION=hc_region_{identifier(graph.name)}"
        own = [
            self.compile(source, f"{name}_{source.stem}", feature)
            for source in sources
            if "kernels" not in source.parts
        ]
        kernels = [self.kernel(s, feature) for s in sources if "kernels" in s.parts]
        objects = [*own, *kernels, self.compile(runner.MAIN, f"{name}_main", feature, define)]
        output = self.folder / name / "program"
        if feature:
            return toolchain.link_riscv(objects, output)
        toolchain.run([toolchain.native_compiler(), *objects, "-lm", "-o", output])
        return output

    def kernel(self, source: Path, feature: toolchain.Feature | None) -> Path:
        key = (source.name, feature.name if feature else "native")
        if key not in self.objects:
            self.objects[key] = self.compile(source, "_".join(key), feature)
        return self.objects[key]

    def compile(self, source: Path, name: str, feature: toolchain.Feature | None, *flags: str) -> Path:
        command: list[str | Path] = [toolchain.native_compiler()]
        if feature:
            command = [*toolchain.riscv_compiler(), "-target", feature.target, f"-mcpu={feature.mcpu}"]
        output = self.folder / f"{name}.o"
        options = ["-O1", *toolchain.WARNINGS, *flags, f"-I{toolchain.RUNTIME}", f"-I{source.parent}"]
        toolchain.run([*command, *options, "-c", source, "-o", output])
        return output


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Programs:
    return Programs(tmp_path_factory.mktemp("programs"))


def test_the_data_has_cases(shared_data: Path) -> None:
    assert len(integer_cases(shared_data)) >= 52


@pytest.mark.parametrize("case", CASES)
def test_reference_executor(case: str, shared_data: Path) -> None:
    imported, frame, outputs = load_case(shared_data, case)
    values = execute(imported.graph, frame)
    for name, expected in zip(imported.graph.outputs, outputs, strict=True):
        assert np.array_equal(values[name].reshape(imported.shapes[name]), expected)


def check_on(
    case: str, data: Path, programs: Programs, feature: toolchain.Feature | None, vlens: tuple[int | None, ...]
) -> None:
    """The case as C: its own frame and two of random values of the inputs' types."""
    imported, frame, outputs = load_case(data, case)
    graph = FoldAddends()(imported.graph)
    rng = np.random.default_rng(1)
    more = [{n: rng.integers(t.lo, t.hi + 1, t.shape) for n, t in graph.inputs.items()} for _ in range(2)]
    references = [execute(imported.graph, values) for values in more]
    artifact = CpuEngine().lower(graph, {}, BOARD)
    program = programs.build(artifact, graph, feature)
    for vlen in vlens:
        own, *results = runner.run_region(program, artifact, graph, [frame, *more], vlen)
        for name, expected in zip(graph.outputs, outputs, strict=True):
            assert np.array_equal(own[name].reshape(imported.shapes[name]), expected), name
        for reference, result in zip(references, results, strict=True):
            assert all(np.array_equal(result[name], reference[name]) for name in graph.outputs)


@pytest.mark.parametrize("case", SAMPLE)
def test_portable_c(case: str, shared_data: Path, programs: Programs) -> None:
    check_on(case, shared_data, programs, None, (None,))


@pytest.mark.slow
@pytest.mark.parametrize("case", SAMPLE[::5])
def test_vectors_under_qemu(case: str, shared_data: Path, programs: Programs) -> None:
    check_on(case, shared_data, programs, toolchain.VECTOR, (128, 512))


@pytest.mark.full
@pytest.mark.parametrize("case", CASES)
def test_every_case_as_c(case: str, shared_data: Path, programs: Programs) -> None:
    check_on(case, shared_data, programs, None, (None,))
    check_on(case, shared_data, programs, toolchain.VECTOR, (128, 512))


@pytest.mark.parametrize("case", NETWORKS)
def test_networks_are_imported_without_transpositions(case: str, shared_data: Path) -> None:
    imported, _, _ = load_case(shared_data, case)
    assert not [node.name for node in imported.graph.nodes if isinstance(node.op, Transpose)]
