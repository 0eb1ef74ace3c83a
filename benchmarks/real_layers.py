"""Cycles of a real network's depthwise and fully connected layers, its own weights quantised after training:

    python -m benchmarks.real_layers MODEL --calibration INPUTS [--arch NAME] [--quantise w8a8] [--machine NAME]

What these layers cost depends on their values: depthwise ones on the weights, fully connected ones on the elements,
which are those of the first input. Each layer by itself, per multiply-accumulate as in benchmarks.riscv; the last line
is their sum, weighted by products.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.riscv import measure_graph
from cpu_backend import toolchain
from cpu_backend.emit import identifier
from cpu_backend.emit.convolution import is_depthwise
from cpu_backend.layers import Layer, layers_of
from cpu_backend.meter.counts import MeterError
from cpu_backend.meter.machine import MachineError, load_machine
from cpu_backend.meter.meter import build_meter
from frontend.errors import ModelError
from frontend.load import load_model
from hetero_compile.flow import Options, load_frozen
from hetero_compile.quantise import Calibration
from host.errors import InputError
from ir.executor import execute
from ir.graph import GraphError
from ir.ops import Conv2d

VLEN = 256


def wanted(layer: Layer) -> bool:
    """Depthwise 3x3, and what has one pixel of operand and result."""
    if not isinstance(layer.first.op, Conv2d):
        return False
    kernel = layer.first.operands[1].type.shape[2:]
    return (is_depthwise(layer) and kernel == (3, 3)) or layer.x.shape[1:] == layer.first.type.shape[1:] == (1, 1)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--arch", help="the architecture of a checkpoint")
    parser.add_argument(
        "--calibration", type=Path, required=True, help="a folder of photos, or a .npy or .npz of inputs"
    )
    parser.add_argument("--quantise", default="w8a8", help="bits of weights and activations")
    parser.add_argument("--machine", default="generic", help="a machine model with vectors")
    given = parser.parse_args(arguments)
    try:
        machine = load_machine(given.machine)
        machine.check("rv64gcv", VLEN)
        model = load_model(given.model, given.arch)
        shown = Calibration.parse(given.quantise, given.calibration)
        graph = load_frozen(model, Options(given.arch, calibration=shown), lambda what: None)[1].graph
        values = execute(graph, shown.inputs(model)[0])
        total = cycles = 0.0
        with TemporaryDirectory() as scratch:
            meter = build_meter(Path(scratch))
            for layer in filter(wanted, layers_of(graph)):
                part = graph.subgraph(identifier(layer.name), [view.name for view in layer.nodes])
                macs = prod(layer.first.type.shape) * prod(layer.first.operands[1].type.shape[1:])
                folder = Path(scratch, part.name)
                folder.mkdir()
                about = (layer.name, given.quantise, macs)
                x = values[next(iter(part.inputs))]
                (row,) = measure_graph(meter, machine, part, about, folder, (VLEN,), x=x)
                c, h, w = layer.x.shape
                kind = "depthwise 3x3" if is_depthwise(layer) else "fully connected"
                print(
                    f"{layer.name:20} {kind:16} {c:5}x{h}x{w:<4} to {layer.y.shape[0]:5} {row.cycles:7.4f}", flush=True
                )
                total, cycles = total + macs, cycles + row.cycles * macs
    except (GraphError, InputError, MachineError, MeterError, ModelError, toolchain.ToolError) as error:
        print(f"benchmarks.real_layers: {error}", file=sys.stderr)
        return 2
    if total:
        print(f"{'together':20} {'':16} {'':21} {cycles / total:7.4f} cycles a multiply-accumulate, VLEN {VLEN}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
