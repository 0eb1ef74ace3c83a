"""Cycles of the RISC-V kernels and of other compilers: python -m benchmarks.riscv [--machine NAME] [--json]

This project's kernels are whole layers with requantisation (float32: bias and ReLU), the peers' (benchmarks/peers) are
the sums only. The peers' wheels may be in another interpreter: --peers PYTHON.

Each layer at VLEN 128, 256 and 512 on a machine model (`generic`: datapath of 128 bits), counted under the meter, per
multiply-accumulate; `x` compares cycles with this project's own int8 kernel (32-bit sums, every product computed) at
the same VLEN, cache misses left out of both. Counts repeat to the digit. Takes minutes, with the peers many.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.peers import network, table
from benchmarks.shapes import RESNET20, SHAPES, Shape
from cpu_backend import runner, toolchain
from cpu_backend.codegen import generate
from cpu_backend.emit import identifier
from cpu_backend.engine import CpuEngine
from cpu_backend.layers import Form, layers_of
from cpu_backend.meter.counts import MeterError
from cpu_backend.meter.layers import STAND_INS, RegionSources, build_program, measure_region
from cpu_backend.meter.machine import Machine, MachineError, load_machine
from cpu_backend.meter.meter import Meter, build_meter
from ir.engine import Artifact, Port
from ir.graph import Graph, Node
from ir.layouts import Plain
from ir.ops import Clip, Conv2d, MultiplyShift, Sign
from ir.target import Cpu, SharedMemory, Target
from ir.types import Array, DType, TensorType

VLENS = (128, 256, 512)
BASE, DIRECT = "w8a8", "w8a8 direct"
"""The latter: where minimal filtering takes the layer, by the kernel that computes every product."""
FLOAT = "float32"
COMPARED = ("w8a8", "w4a4", FLOAT)
"""The types that the table compares with the peers."""
SEED = 7
TYPES = {"w8a8": (8, DType("int", 8)), "w8a4": (8, DType("uint", 4)), "w4a4": (4, DType("uint", 4))} | {
    "w2a2": (2, DType("uint", 2))
}
"""Bits of the weights (symmetric: -127..127, -7..7, -1..1), type of the activations."""
FEW_BITS = {"w3a3": (3, DType("uint", 3)), "w1a2": (1, DType("uint", 2)), "w1a1": (1, DType("bipolar", 1))}
"""Further types, of the first shape; one bit of a weight: -1 or +1."""
MEASURED = (*TYPES, FLOAT)
"""Types of every shape."""
ZVBB = ("w1a2", "w1a1")
"""Types that are measured with Zvbb too, by a stand-in."""
NOTE = f"zvbb: {STAND_INS['rv64gcv_zvbb'][2]}"


@dataclass(frozen=True)
class Row:
    """One layer at one VLEN; all but ``relative`` per multiply-accumulate, ``cycles`` without and with miss stalls."""

    layer: str
    types: str
    vlen: int
    accumulator: str
    instructions: float
    arithmetic_beats: float
    memory_beats: float
    cycles: float
    cycles_with_misses: float
    relative: float


def layer_graph(shape: Shape, types: str) -> Graph:
    """The convolution with its requantisation to the activations' type; of float32, with bias and ReLU."""
    rng = np.random.default_rng(SEED)
    extent = (shape.channels, *(shape.size * shape.stride,) * 2)
    weights = (shape.filters, 1 if shape.depthwise else shape.channels, shape.kernel, shape.kernel)
    pad = shape.kernel // 2
    conv = Conv2d((shape.stride,) * 2, (pad, pad, pad, pad), groups=shape.channels if shape.depthwise else 1)
    constants: dict[str, Array]
    if types == FLOAT:
        x = TensorType(extent, DType("float", 32))
        constants = {
            "w": rng.standard_normal(weights).astype(np.float32),
            "b": rng.standard_normal(shape.filters).astype(np.float32),
        }
        nodes = (Node("sums", conv, ("x", "w", "b")), Node("y", Clip(0.0, float("inf")), ("sums",)))
        return Graph(identifier(f"{shape.name} {types}"), {"x": x}, nodes, ("y",), constants).verify()
    bits, activation = (TYPES | FEW_BITS)[types]
    top = (1 << bits - 1) - 1
    x = TensorType.of_dtype(extent, activation)
    constants = {"w": rng.integers(-top, top + 1, weights) if top else rng.choice([-1, 1], weights)}
    if activation.kind == "bipolar":
        constants |= {"threshold": rng.integers(-30, 30, shape.filters), "rising": np.ones(shape.filters, np.int64)}
        last = Node("y", Sign(), ("sums", "threshold", "rising"))
    else:
        constants |= {"mul": rng.integers(100, 200, shape.filters), "add": rng.integers(-1000, 1000, shape.filters)}
        last = Node("y", MultiplyShift(16, x.lo, x.hi), ("sums", "mul", "add"))
    nodes = (Node("sums", conv, ("x", "w")), last)
    return Graph(identifier(f"{shape.name} {types}"), {"x": x}, nodes, ("y",), constants).verify()


def measure(
    meter: Meter,
    machine: Machine,
    shape: Shape,
    types: str,
    folder: Path,
    vlens: Sequence[int] = VLENS,
    zvbb: bool = False,
) -> list[Row]:
    """A row per VLEN; ``relative`` is 0 until `rows` compares."""
    about = (shape.name, f"{types} zvbb" if zvbb else types, shape.macs)
    graph = layer_graph(shape, types.split()[0])
    return measure_graph(meter, machine, graph, about, folder, vlens, zvbb, form="usual" if types == DIRECT else None)


def measure_graph(
    meter: Meter,
    machine: Machine,
    graph: Graph,
    about: tuple[str, str, int],
    folder: Path,
    vlens: Sequence[int] = VLENS,
    zvbb: bool = False,
    x: Array | None = None,
    form: Form | None = None,
) -> list[Row]:
    """The same for a graph of one layer and one input. ``about``: names of the layer and of its types, its products;
    ``x``: the input, of a uniform distribution if left out; ``form``: of the kernel, else the engine chooses."""
    label, types, macs = about
    cpu = Cpu("rv64gcv", 256, 1, 1600.0, "host", machine.name, ("zvbb",) if zvbb else ())
    if form:
        artifact, note = in_form(graph, form)
    else:
        artifact = CpuEngine().lower(graph, {}, Target("benchmark", cpu, SharedMemory(1 << 26, 4.0, 64, True)))
        note = artifact.stages[0].note
    sources = runner.write_files(artifact, folder)
    region = RegionSources(identifier(graph.name), tuple(sources), toolchain.RUNTIME)
    program = build_program(region, cpu.march, _frame(graph, artifact, x), folder)
    found = []
    for vlen in vlens:
        if machine.vlens and vlen not in machine.vlens:
            continue
        (layer,) = measure_region(meter, machine, program, vlen, [label])
        counts, cycles = layer.counts, layer.cycles
        assert machine.dlen is not None
        parts = (counts.total, counts.arithmetic_beats(vlen, machine.dlen), counts.memory_beats(vlen, machine.dlen))
        each = [n / macs for n in (*parts, cycles.total - cycles.stalls, cycles.total)]
        found.append(Row(label, types, vlen, note, *each, relative=0.0))
    return found


def in_form(graph: Graph, form: Form) -> tuple[Artifact, str]:
    """The code of a graph of one layer by a given kind of kernel, and its note."""
    (layer,) = layers_of(graph)
    code = generate(graph, layers=[replace(layer, form=form)])
    inputs, outputs = (tuple(Port(tensor, Plain()) for tensor in tensors) for tensors in (graph.inputs, graph.outputs))
    return Artifact(code.files, code.sources, inputs, outputs, ()), code.notes[layer.name]


def _frame(graph: Graph, artifact: Artifact, values: Array | None) -> bytes:
    (x,) = graph.inputs.values()
    rng = np.random.default_rng(SEED)
    if values is None:
        values = rng.integers(x.lo, x.hi + 1, x.shape) if x.dtype.is_integer else rng.standard_normal(x.shape)
    return artifact.inputs[0].layout.pack(values, x)


def rows(
    machine: Machine,
    shapes: Sequence[Shape] = SHAPES,
    vlens: Sequence[int] = VLENS,
    few_bits: bool = True,
    progress: table.Progress = lambda what: None,
) -> list[Row]:
    """Every shape with every type of `MEASURED`, with ``few_bits`` the first with those of `FEW_BITS` too. MeterError,
    ToolError."""
    found: list[Row] = []
    with TemporaryDirectory() as scratch:
        meter = build_meter(Path(scratch))
        for shape in shapes:
            few = FEW_BITS if few_bits and shape == shapes[0] else {}
            direct = [DIRECT] if shape.kernel == 3 and shape.stride == 1 and not shape.depthwise else []
            plain = ((name, False) for name in (*direct, *MEASURED, *few))
            for types, zvbb in [*plain, *((name, True) for name in ZVBB if few)]:
                progress(f"{shape.name} {types}{' zvbb' if zvbb else ''}")
                folder = Path(scratch, identifier(f"{shape.name} {types} {zvbb}"))
                folder.mkdir()
                found += measure(meter, machine, shape, types, folder, vlens, zvbb)
    base = {(row.layer, row.vlen): row.cycles for types in (BASE, DIRECT) for row in found if row.types == types}
    return [Row(**{**asdict(row), "relative": base[row.layer, row.vlen] / row.cycles}) for row in found]


def ours(found: Sequence[Row]) -> table.Ours:
    """What the peers are compared with: of every layer the same types."""
    cycles: dict[tuple[str, int], dict[str, float]] = {}
    for row in (row for row in found if row.types != DIRECT):
        cycles.setdefault((row.layer, row.vlen), {})[row.types] = row.cycles
    return cycles


@dataclass(frozen=True)
class Tables:
    """Everything that is printed."""

    machine: str
    rows: list[Row]
    peers: list[table.Found]
    networks: list[network.NetworkRow]
    notes: tuple[str, ...] = (NOTE, table.NOTE, network.NOTE)


def tables(machine: Machine, python: str, progress: table.Progress) -> Tables:
    """Layers at all vector lengths, ResNet-20's at 256 or what the machine has. MeterError, ToolError."""
    vlens = [vlen for vlen in VLENS if not machine.vlens or vlen in machine.vlens]
    network_vlens = [256] if 256 in vlens else vlens[:1]
    resnet20 = [shape for shape, _ in RESNET20]
    found = rows(machine, SHAPES, vlens, progress=progress)
    found += rows(machine, resnet20, network_vlens, few_bits=False, progress=progress)
    peers = table.find(machine, [(SHAPES, vlens), (resnet20, network_vlens)], python, ours(found), progress)
    return Tables(machine.name, found, peers, network.resnet20(ours(found), peers, network_vlens))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--machine", default="generic", help="a machine model with vectors")
    parser.add_argument("--peers", default=sys.executable, metavar="PYTHON", help="has the peers' wheels")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    try:
        machine = load_machine(options.machine)
        machine.check("rv64gcv", 0)
        found = tables(machine, options.peers, lambda what: print(what, file=sys.stderr, flush=True))
    except (MachineError, MeterError, toolchain.ToolError) as error:
        print(f"benchmarks.riscv: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(asdict(found), indent=1))
        return 0
    print(
        "layer                       types        VLEN  instr/MAC  arith/MAC  mem/MAC  cycles/MAC  with misses      x"
        "  sums"
    )
    for row in found.rows:
        print(
            f"{row.layer:27} {row.types:11} {row.vlen:5} {row.instructions:10.4f} {row.arithmetic_beats:10.4f} "
            f"{row.memory_beats:8.4f} {row.cycles:11.4f} {row.cycles_with_misses:12.4f} {row.relative:6.2f}  "
            f"{row.accumulator}"
        )
    for line in (NOTE, "", *table.lines(found.peers, COMPARED), "", *network.lines(found.networks)):
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
