"""Cycles of the kernels for cores without vectors, whole layers: python -m benchmarks.riscv_scalar [--size N] [--json]

A 3x3 convolution of 64 to 64 channels on a picture of N x N (28 by default: the share of the border is small) with
packing and requantisation, counted under the meter: rv32im on the model `vexriscv` (needs Debian's qemu-riscv32),
rv64gc on `u54`. `every machine` is the kernel without a packing of its own. Counts repeat to the digit.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np

from cpu_backend import codegen, runner, toolchain
from cpu_backend.engine import PASSES, CpuEngine
from cpu_backend.meter.counts import MeterError
from cpu_backend.meter.layers import RegionSources, build_program, emulator_for, measure_region
from cpu_backend.meter.machine import load_machine
from cpu_backend.meter.meter import build_meter
from ir.engine import Artifact
from ir.graph import Graph, Node
from ir.layouts import Plain
from ir.ops import Conv2d, MultiplyShift, Sign
from ir.passes.base import run_passes
from ir.target import Cpu, SharedMemory, Target
from ir.types import Array, DType, TensorType

CHANNELS = 64
SEED = 7
TYPES = {"w8a8": (127, "uint8"), "w4a4": (7, "uint4"), "w2a2": (1, "uint2"), "w1a1": (0, "bipolar")}
"""Largest weight (0: -1 and +1 only), type of the activations."""
CPUS = (Cpu("rv32im", 0, 1, 100.0, "coprocessor", "vexriscv"), Cpu("rv64gc", 0, 1, 600.0, "host", "u54"))


@dataclass(frozen=True)
class Row:
    """One layer on one core; numbers per multiply-accumulate, cycles with and without miss stalls."""

    isa: str
    machine: str
    types: str
    kernel: str
    instructions: float
    cycles: float
    stalls: float


def layer_graph(types: str, size: int) -> Graph:
    rng = np.random.default_rng(SEED)
    top, activation = TYPES[types]
    x = TensorType.of_dtype((CHANNELS, size, size), DType.parse(activation))
    shape = (CHANNELS, CHANNELS, 3, 3)
    constants: dict[str, Array] = {"w": rng.integers(-top, top + 1, shape) if top else rng.choice([-1, 1], shape)}
    sums = Node("sums", Conv2d(padding=(1, 1, 1, 1)), ("x", "w"))
    if top:
        constants |= {"mul": rng.integers(100, 200, CHANNELS), "add": rng.integers(-1000, 1000, CHANNELS)}
        y = Node("y", MultiplyShift(16, x.lo, x.hi), ("sums", "mul", "add"))
    else:
        constants |= {"t": rng.integers(-9, 9, CHANNELS), "rising": np.ones(CHANNELS, np.int64)}
        y = Node("y", Sign(), ("sums", "t", "rising"))
    return Graph(f"conv_{types}", {"x": x}, (sums, y), ("y",), constants).verify()


def frame(graph: Graph) -> bytes:
    x = graph.inputs["x"]
    rng = np.random.default_rng(SEED)
    bits = x.dtype.kind == "bipolar"
    values = rng.choice([-1, 1], x.shape) if bits else rng.integers(x.lo, x.hi + 1, x.shape)
    return Plain().pack(values, x)


def artifact_of(graph: Graph, cpu: Cpu, own: bool) -> Artifact:
    """With the kernels for this core, or (``own`` False) with those for every machine."""
    artifact = CpuEngine().lower(graph, {}, Target("benchmark", cpu, SharedMemory(1 << 26, 4.0, 64, True)))
    if own:
        return artifact
    code = codegen.generate(run_passes(graph, PASSES))
    return replace(artifact, files=code.files, sources=code.sources)


def rows(cpu: Cpu, size: int, kinds: tuple[Literal[True, False], ...] = (True, False)) -> list[Row]:
    """Every type. MeterError, ToolError."""
    machine = load_machine(cpu.machine)
    found = []
    with TemporaryDirectory() as scratch:
        meter = build_meter(Path(scratch), emulator_for(cpu.isa))
        for types in TYPES:
            graph = layer_graph(types, size)
            for own in kinds:
                folder = Path(scratch, f"{types}_{own}")
                folder.mkdir()
                artifact = artifact_of(graph, cpu, own)
                sources = tuple(runner.write_files(artifact, folder))
                region = RegionSources(graph.name, sources, toolchain.RUNTIME)
                program = build_program(region, cpu.isa, frame(graph), folder)
                (cost,) = measure_region(meter, machine, program, 0, ["conv"])
                macs = size * size * CHANNELS * CHANNELS * 9
                numbers = (cost.counts.total, cost.cycles.total, cost.cycles.stalls)
                kernel = artifact.stages[0].note if own else "every machine"
                found.append(Row(cpu.isa, machine.name, types, kernel, *(n / macs for n in numbers)))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=28)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    try:
        found = [row for cpu in CPUS for row in rows(cpu, options.size)]
    except (MeterError, toolchain.ToolError) as error:
        print(f"benchmarks.riscv_scalar: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps([asdict(row) for row in found], indent=1))
        return 0
    print("isa     machine    types  instr/MAC  cycles/MAC  of them stalls  kernel")
    for row in found:
        print(
            f"{row.isa:7} {row.machine:10} {row.types:5} {row.instructions:10.3f} {row.cycles:11.3f} "
            f"{row.stalls:15.3f}  {row.kernel}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
