"""Column-pruned convolutions on RISC-V: python -m benchmarks.pruned [--machine NAME] [--types T,...] [--json]

A whole layer with packing and requantisation, weights pruned N:M in tiles of seven output channels, at VLEN 128, 256
and 512 on a machine model, counted under the meter. `same` compares cycles with the kernel by columns on unpruned
weights (of few bits it adds before it multiplies), `dense` with the dense kernel for (H, W, C) that computes every
product, at the same VLEN (float32 has none), cache misses left out; `missed` is `same` with them. Counts repeat to the
digit.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.riscv import SHAPES, TYPES, VLENS, Shape, in_form, layer_graph
from cpu_backend import runner, toolchain
from cpu_backend.codegen import KERNELS
from cpu_backend.emit import identifier
from cpu_backend.emit.base import record
from cpu_backend.emit.constants import Constant, text
from cpu_backend.emit.sparse import as_columns, offsets, plane_shape, sparse_fields
from cpu_backend.layers import Form, layers_of
from cpu_backend.meter.counts import MeterError
from cpu_backend.meter.layers import RegionSources, build_program, measure_region
from cpu_backend.meter.machine import Cycles, Machine, MachineError, load_machine
from cpu_backend.meter.meter import Meter, build_meter
from cpu_backend.sparse import prune_float
from frontend.training.columns import prune_columns
from ir.graph import Graph
from ir.layouts import Plain
from ir.types import Array

SEED = 7
TILE = 7
FLOAT_TYPE = "float32"
KEPT: Mapping[str, tuple[int, int]] = {"all": (1, 1), "1/2": (2, 4), "1/4": (1, 4)}


@dataclass(frozen=True)
class Row:
    """Cycles per multiply-accumulate of the unpruned layer, without and with miss stalls; ratios, 0 where there is
    nothing to compare with."""

    layer: str
    types: str
    kept: str
    vlen: int
    issue: float
    arithmetic: float
    cycles: float
    with_misses: float
    same: float
    dense: float
    missed: float


def rows(machine: Machine, types: Sequence[str], shape: Shape = SHAPES[0]) -> list[Row]:
    """Every type, unpruned and pruned, at every VLEN of the machine. MeterError, ToolError."""
    found: list[Row] = []
    with TemporaryDirectory() as scratch:
        meter = build_meter(Path(scratch))
        for each in types:
            if each == FLOAT_TYPE:
                dense: dict[int, Cycles] = {}
            else:
                program = _integer_program(layer_graph(shape, each), "usual", scratch, "dense")
                dense = _measure(meter, machine, program)
            base: dict[int, Cycles] = {}
            for kept, (n, m) in KEPT.items():
                program = _program(shape, each, kept, n, m, scratch)
                cycles = _measure(meter, machine, program)
                base = base or cycles
                found += [_row(shape, each, kept, vlen, cycles[vlen], base[vlen], dense.get(vlen)) for vlen in cycles]
    return found


def _row(shape: Shape, types: str, kept: str, vlen: int, c: Cycles, base: Cycles, dense: Cycles | None) -> Row:
    each = [n / shape.macs for n in (c.issue, c.arithmetic, _busy(c), c.total)]
    against = _busy(dense) / _busy(c) if dense else 0.0
    return Row(shape.name, types, kept, vlen, *each, _busy(base) / _busy(c), against, base.total / c.total)


def _busy(cycles: Cycles) -> int:
    return cycles.total - cycles.stalls


def _measure(meter: Meter, machine: Machine, program: Path) -> dict[int, Cycles]:
    vlens = [vlen for vlen in VLENS if not machine.vlens or vlen in machine.vlens]
    return {vlen: measure_region(meter, machine, program, vlen, ["layer"])[0].cycles for vlen in vlens}


def _program(shape: Shape, types: str, kept: str, n: int, m: int, scratch: str) -> Path:
    if types == FLOAT_TYPE:
        return _float_program(shape, n, m, Path(scratch, identifier(f"{types} {kept}")))
    graph = layer_graph(shape, types)
    weights = graph.constants["w"]
    graph = replace(graph, constants={**graph.constants, "w": prune_columns(weights, n, m, TILE) if n < m else weights})
    return _integer_program(graph, "columns", scratch, kept)


def _integer_program(graph: Graph, form: Form, scratch: str, kept: str) -> Path:
    folder = Path(scratch, identifier(f"{graph.name} {kept}"))
    folder.mkdir()
    sources = runner.write_files(in_form(graph, form)[0], folder)
    x = graph.inputs["x"]
    frame = Plain().pack(np.random.default_rng(SEED).integers(x.lo, x.hi + 1, x.shape), x)
    region = RegionSources(identifier(graph.name), tuple(sources), toolchain.RUNTIME)
    return build_program(region, "rv64gcv", frame, folder)


def _float_program(shape: Shape, n: int, m: int, folder: Path) -> Path:
    """The kernel alone, channel-major on both ends, without the strided accesses of pixel-major tensors."""
    folder.mkdir()
    stand_in = layer_graph(shape, "w8a8")  # for geometry and offsets
    (layer,) = layers_of(stand_in)
    rng = np.random.default_rng(SEED)
    w = rng.standard_normal(stand_in.constants["w"].shape).astype(np.float32)
    pruned = prune_float(as_columns(prune_columns(w, n, m, TILE)))
    fields = sparse_fields(layer, pruned) | {"x_layout": "HCK_CHW", "y_layout": "HCK_CHW"}
    arrays = {"offsets": offsets(layer, pruned.rows, 4), **pruned.arrays()}
    fields |= {key: key for key in arrays}
    texts = [_floats(key, a) if a.dtype.kind == "f" else text(Constant(key, a)) for key, a in arrays.items()]
    texts.append(_floats("bias", rng.standard_normal(shape.filters)))
    pixels = shape.size**2
    planes, rows_ = prod(plane_shape(layer)), fields["block_rows"]
    source = folder / "region.c"
    source.write_text(
        '#include "hc_meter.h"\n#include "hc_region.h"\n#include "hck_sparse.h"\n\n'
        + "\n".join([*texts, *record("hck_sparse", "conv", fields), "static const hck_bias map = {bias, 0, 6};"])
        + "\n\nstatic int32_t run(const void *const *inputs, void *const *outputs, void *arena) {\n"
        f"    HC_LAYER(0, hck_sparse_conv2d_float(&conv, &map, inputs[0], outputs[0], {pixels}, arena));\n"
        "    return 0;\n}\n\n"
        f"static const uint32_t input_bytes[] = {{{4 * shape.channels * pixels}}};\n"
        f"static const uint32_t output_bytes[] = {{{4 * shape.filters * pixels}}};\n"
        'const hc_region hc_region_pruned = {\n    "pruned", HC_REGION_ABI, 1, 1, input_bytes, output_bytes,\n'
        f"    HCK_SPARSE_SCRATCH({planes}u, 4u, {rows_}u, {shape.filters}u), run,\n}};\n",
        encoding="utf-8",
    )
    frame = rng.standard_normal(shape.channels * pixels).astype(np.float32).tobytes()
    kernels = sorted(path for path in KERNELS.glob("hck_sparse*.c"))
    region = RegionSources("pruned", (source, *kernels, KERNELS / "hck_requantise.c"), toolchain.RUNTIME)
    return build_program(region, "rv64gcv", frame, folder, [f"-I{KERNELS}"])


def _floats(name: str, values: Array) -> str:
    words = ", ".join(float(v).hex() + "f" for v in values.ravel())
    return f"static const float {name}[{values.size}] = {{{words}}};"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--machine", default="generic", help="a machine model with vectors")
    parser.add_argument("--types", default=",".join((FLOAT_TYPE, *TYPES)), help="what to measure")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    types = options.types.split(",")
    if unknown := [each for each in types if each != FLOAT_TYPE and each not in TYPES]:
        parser.error(f"unknown types {', '.join(unknown)}: choose among {FLOAT_TYPE}, {', '.join(TYPES)}")
    try:
        machine = load_machine(options.machine)
        machine.check("rv64gcv", 0)
        found = rows(machine, types)
    except (MachineError, MeterError, toolchain.ToolError) as error:
        print(f"benchmarks.pruned: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps([asdict(row) for row in found], indent=1))
        return 0
    print("layer                   types    kept  VLEN   issue   arith  cycles  with misses   same  dense  missed")
    for r in found:
        print(
            f"{r.layer:23} {r.types:8} {r.kept:4} {r.vlen:5} {r.issue:7.4f} {r.arithmetic:7.4f} {r.cycles:7.4f} "
            f"{r.with_misses:12.4f} {r.same:6.2f} {r.dense:6.2f} {r.missed:7.2f}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
