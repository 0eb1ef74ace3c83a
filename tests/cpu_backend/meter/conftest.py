"""What the meter's tests share: the built plugin, and programs of hand-written assembly."""

from __future__ import annotations

from pathlib import Path

import pytest
from meter_programs import Build

from cpu_backend import toolchain
from cpu_backend.meter.meter import Meter, build_meter, debian_emulator


@pytest.fixture(scope="session")
def meter(riscv_tools: None, tmp_path_factory: pytest.TempPathFactory) -> Meter:
    return build_meter(tmp_path_factory.mktemp("meter"))


@pytest.fixture(scope="session")
def debian(meter: Meter) -> Meter:
    """The same plugin in the system's qemu-riscv64; skips where that is not installed."""
    try:
        return Meter(meter.plugin, debian_emulator(64))
    except toolchain.ToolError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def vector_program(riscv_tools: None, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Builds riscv64 programs with vectors: see `meter_programs.source`."""
    folder = tmp_path_factory.mktemp("programs")

    def build(text: str, name: str) -> Path:
        source = folder / f"{name}.c"
        source.write_text(text)
        return toolchain.build_riscv([source], folder / name, toolchain.VECTOR)

    return build
