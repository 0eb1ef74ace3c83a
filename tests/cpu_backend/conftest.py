"""What all tests of the CPU room share."""

from __future__ import annotations

import pytest
from cpu_programs import FLOATS, Programs

from cpu_backend import toolchain
from ir.target import Cpu, SharedMemory, Target
from tests.once import Once


@pytest.fixture(scope="session")
def riscv_tools() -> None:
    """Skips where the RISC-V compiler or emulator is not installed."""
    try:
        toolchain.riscv_compiler()
        toolchain.emulator()
    except toolchain.ToolError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def driver_programs(riscv_tools: None, once: Once) -> Programs:
    """driver.c for every kind of machine."""
    return Programs(once)


@pytest.fixture(scope="session")
def float_programs(riscv_tools: None, once: Once) -> Programs:
    """driver_f32.c for every kind of machine."""
    return Programs(once, FLOATS)


@pytest.fixture(scope="session")
def board() -> Target:
    """A board with a vector processor and no fabric."""
    return Target("test", Cpu("rv64gcv", 256, 1, 1600.0, "host"), SharedMemory(1 << 26, 4.0, 64, True))
