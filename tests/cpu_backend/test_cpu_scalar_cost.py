"""What the scalar kernels are counted to cost: whole layers on the models vexriscv and u54."""

from __future__ import annotations

import shutil

import pytest

from benchmarks import riscv_scalar

LIMITS = {"rv32im": {"w8a8": 5.5, "w4a4": 2.9, "w2a2": 1.4, "w1a1": 0.5}, "rv64gc": {"w8a8": 1.8, "w1a1": 0.33}}
"""Cycles per multiply-accumulate; counts, which repeat to the digit."""


@pytest.mark.slow
@pytest.mark.parametrize("cpu", riscv_scalar.CPUS, ids=lambda cpu: cpu.isa)
def test_cycles(cpu: riscv_scalar.Cpu, riscv_tools: None) -> None:
    if cpu.isa == "rv32im" and shutil.which("qemu-riscv32") is None:
        pytest.skip("qemu-riscv32 is missing (Debian and Ubuntu: apt-get install qemu-user)")
    found = {row.types: row for row in riscv_scalar.rows(cpu, 28, (True,))}
    for types, most in LIMITS[cpu.isa].items():
        assert 0 < found[types].cycles <= most, (types, found[types])
    order = [found[types].cycles for types in ("w8a8", "w4a4", "w2a2", "w1a1")]
    assert order == sorted(order, reverse=True)
