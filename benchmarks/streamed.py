"""Fully connected layers whose weights come from memory: python -m benchmarks.streamed [--machine NAME] [--json]

Whole layers with requantisation at VLEN 128, 256 and 512 on a machine model, counted under the meter: weights as bytes,
one after another, and as `hetero-compile` stores them where a cache does not keep them: in 4 bits or 2 where they fit,
in rows that begin at cache lines. Cycles per multiply-accumulate, cache misses included (and left out); `x` compares
the former. Counts repeat to the digit.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.riscv import Row, layer_graph, measure_graph
from benchmarks.shapes import Shape
from cpu_backend.emit import identifier
from cpu_backend.meter.counts import MeterError
from cpu_backend.meter.machine import Machine, MachineError, load_machine
from cpu_backend.meter.meter import Meter, build_meter
from cpu_backend.toolchain import ToolError

SHAPES = (Shape("1024->1000", 1024, 1000, 1, 1), Shape("4096->1000", 4096, 1000, 1, 1))
TYPES = ("w8a8", "w4a4", "w2a2")


@dataclass(frozen=True)
class Pair:
    """One layer at one VLEN, in both forms."""

    layer: str
    types: str
    vlen: int
    usual: float
    usual_without_misses: float
    streamed: float
    streamed_without_misses: float

    @property
    def faster(self) -> float:
        return self.usual / self.streamed


def pairs(meter: Meter, machine: Machine, shape: Shape, types: str, folder: Path) -> list[Pair]:
    """MeterError, ToolError."""
    graph, found = layer_graph(shape, types), dict[str, list[Row]]()
    for form in ("usual", "streamed"):
        place = folder / identifier(f"{shape.name} {types} {form}")
        place.mkdir()
        found[form] = measure_graph(meter, machine, graph, (shape.name, types, shape.macs), place, form=form)
    return [
        Pair(shape.name, types, a.vlen, a.cycles_with_misses, a.cycles, b.cycles_with_misses, b.cycles)
        for a, b in zip(found["usual"], found["streamed"], strict=True)
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--machine", default="generic", help="a machine model with vectors and caches")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found: list[Pair] = []
    try:
        machine = load_machine(options.machine)
        machine.check("rv64gcv", 0)
        with TemporaryDirectory() as scratch:
            meter = build_meter(Path(scratch))
            for shape in SHAPES:
                for types in TYPES:
                    print(f"{shape.name} {types}", file=sys.stderr, flush=True)
                    found += pairs(meter, machine, shape, types, Path(scratch))
    except (MachineError, MeterError, ToolError) as error:
        print(f"benchmarks.streamed: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps([asdict(pair) for pair in found], indent=1))
        return 0
    print("layer       types  VLEN  bytes in a row       streamed            x")
    for p in found:
        usual, streamed = (
            f"{a:.3f} ({b:.3f})"
            for a, b in ((p.usual, p.usual_without_misses), (p.streamed, p.streamed_without_misses))
        )
        print(f"{p.layer:11} {p.types:6} {p.vlen:4}  {usual:20} {streamed:16} {p.faster:4.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
