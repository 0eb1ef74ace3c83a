"""The command line of hetero-profile. Needs the packages of the ``compile`` extra; `hetero_compile.cli` says so."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from cpu_backend.meter.counts import MeterError
from cpu_backend.meter.layers import LayerCost
from cpu_backend.meter.machine import MachineError, shipped_machines
from cpu_backend.toolchain import ToolError
from hetero_compile.board import BoardError
from hetero_compile.profile import Profile, ProfileError, profile
from host.errors import HostError

TABLE_WIDTH = 110
"""Columns, also on a narrower terminal: cut numbers would be of no use."""
ERRORS = (ProfileError, BoardError, MachineError, MeterError, ToolError, HostError)


@click.command(epilog=f"Shipped machines: {', '.join(shipped_machines())}.")
@click.argument("package", type=click.Path(path_type=Path))
@click.option("--board", metavar="NAME|FILE", help="Another board's processor than the package was compiled for.")
@click.option("--machine", metavar="NAME|FILE", help="Another machine model than the board's.")
@click.option("--vlen", type=click.Choice(["128", "256", "512", "1024"]), help="Another vector length, in bits.")
@click.option("--json", "as_json", is_flag=True, help="Print all counts as JSON.")
@click.version_option(package_name="hetero-compile")
def command(package: Path, board: str | None, machine: str | None, vlen: str | None, as_json: bool) -> int:
    """Count what each CPU layer of PACKAGE executes, in an emulator, and estimate its cycles."""
    try:
        result = profile(package, board, machine, int(vlen) if vlen else None)
    except ERRORS as error:
        return _fail(str(error))
    if as_json:
        print(json.dumps(result.as_json(), indent=1))
    else:
        _print(result, Console(highlight=False, width=TABLE_WIDTH))
    return 0


def run(arguments: Sequence[str]) -> int:
    """The command with these arguments; the exit status."""
    try:
        status: int = command.main(list(arguments), prog_name="hetero-profile", standalone_mode=False) or 0
    except click.ClickException as error:
        return _fail(f"{error.format_message()} (see hetero-profile --help)")
    except (click.Abort, KeyboardInterrupt):
        print("hetero-profile: interrupted", file=sys.stderr)
        return 130
    return status


def _fail(message: str) -> int:
    print(f"hetero-profile: {' '.join(message.split())}", file=sys.stderr)
    return 2


def _print(result: Profile, console: Console) -> None:
    cpu = result.processor
    what = f"{cpu.isa}, VLEN {cpu.vlen}" if cpu.vlen else cpu.isa
    console.print(f"{result.package} on {cpu.machine.name} ({what}): one frame, one core, warm caches; an estimate")
    columns = ("layer", "cycles", "share", "bound by", "instructions", "arithmetic", "memory", "miss stalls")
    for region in result.regions:
        table = Table(*columns, title=region.name, title_justify="left", box=None, header_style="bold", pad_edge=False)
        for column in table.columns[1:]:
            column.justify = "right"
        for layer in region.layers:
            table.add_row(*_row(layer, result.cycles))
        console.print(table)
        bytes_ = region.sizes
        console.print(f"bytes: code {bytes_.code:,}, constants {bytes_.constants:,}")
    ms = result.milliseconds(result.cycles)
    time = f", {ms:.3f} ms at {cpu.clock_mhz:g} MHz" if ms is not None else ""
    console.print(f"together {result.cycles:,} cycles{time}")
    for note in result.notes:
        console.print(note)


def _row(layer: LayerCost, total: int) -> tuple[str, ...]:
    cycles = layer.cycles
    if not layer.counts.entries:
        return layer.name, "0", "", "other layers write it", *[""] * 4
    numbers = (layer.counts.total, cycles.arithmetic, cycles.memory, cycles.stalls)
    return layer.name, f"{cycles.total:,}", f"{cycles.total / total:.1%}", cycles.bound, *(f"{n:,}" for n in numbers)
