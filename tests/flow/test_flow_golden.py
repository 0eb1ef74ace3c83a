"""The law: every executor gives the golden integers of the public networks, exactly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import networks
import numpy as np
import pytest

from hls.csim import CSimulation
from host.package import Package, load_package
from host.session import Session
from ir.executor import execute

CompiledOn = Callable[..., networks.Compiled]


def assert_golden(package: Package | Path, place: str, data: Path, network: str, count: int = 8) -> None:
    """All frames in one process, each equal."""
    frames, heads = networks.golden(data, network)
    with Session(package, on=place, deadline=300.0) as session:  # type: ignore[arg-type]
        for number, (outputs, head) in enumerate(zip(session.run_all(frames[:count]), heads, strict=False)):
            (got,) = outputs.values()
            assert np.array_equal(got, head), f"frame {number}: {np.count_nonzero(got != head)} integers differ"


@pytest.mark.parametrize("network", networks.TOGETHER)
def test_reference_executor(network: str, shared_data: Path, compiled_on: CompiledOn) -> None:
    graph = compiled_on(network, "cpu").graph
    frames, heads = networks.golden(shared_data, network)
    for frame, head in zip(frames, heads, strict=True):
        assert np.array_equal(execute(graph, frame)[graph.outputs[0]], head)


@pytest.mark.parametrize("network", networks.TOGETHER)
def test_every_layer_on_the_accelerator(
    network: str, shared_data: Path, compiled_on: CompiledOn, tmp_path: Path
) -> None:
    built = networks.build(compiled_on(network, "fpga"), tmp_path / "package")
    assert_golden(built, "sim", shared_data, network)


@pytest.mark.slow
@pytest.mark.parametrize("network", networks.TOGETHER)
def test_vitis_cpp_under_ap_int(network: str, shared_data: Path, compiled_on: CompiledOn) -> None:
    compiled = compiled_on(network, "fpga")
    frames, heads = networks.golden(shared_data, network)
    region = compiled.plan.regions[0]
    with CSimulation(compiled.artifacts[region.name], region.graph) as simulation:
        reference = execute(compiled.graph, frames[3])
        got = simulation.run(reference)
    assert np.array_equal(got[compiled.graph.outputs[0]], heads[3])


@pytest.mark.parametrize("network", networks.TOGETHER)
def test_every_layer_in_portable_c(network: str, shared_data: Path, compiled_on: CompiledOn, tmp_path: Path) -> None:
    built = networks.build(compiled_on(network, "cpu"), tmp_path / "package")
    assert_golden(built, "sim", shared_data, network)


@pytest.mark.slow
@pytest.mark.parametrize("vlen", [0, 128, 256, 512])
@pytest.mark.parametrize("network", networks.TOGETHER)
def test_every_layer_in_riscv_c(
    network: str, vlen: int, shared_data: Path, compiled_on: CompiledOn, tmp_path: Path
) -> None:
    built = networks.build(compiled_on(network, "cpu", vlen), tmp_path / "package")
    assert_golden(built, "qemu", shared_data, network)


@pytest.mark.parametrize("place", ["sim", "qemu"])
@pytest.mark.parametrize("network", networks.NETWORKS)
def test_the_compiled_package(network: str, place: str, shared_data: Path, package_of: Callable[[str], Path]) -> None:
    package = load_package(package_of(network))
    assert "device" in {region.side for region in package.manifest.regions}
    assert_golden(package, place, shared_data, network)
