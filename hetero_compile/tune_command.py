"""The command line of hetero-tune. Needs the packages of the ``compile`` extra; `hetero_compile.cli` says so."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from cpu_backend.meter.counts import MeterError
from cpu_backend.meter.machine import Machine, MachineError, load_machine
from cpu_backend.meter.meter import build_meter
from cpu_backend.toolchain import ToolError
from cpu_backend.tuning.database import SHIPPED, Database, Entry
from cpu_backend.tuning.measure import OnMeter, build_program
from cpu_backend.tuning.ssh import Address, BoardAccessError
from cpu_backend.tuning.tuner import Task, present, tasks, tune
from cpu_backend.tuning.verify import sample, stale, verify
from hetero_compile.board import load_board, shipped_boards
from hetero_compile.errors import USER_ERRORS
from hetero_compile.model_options import model_options, options_of
from hetero_compile.tune import Place, TuneError, measurer, tunable_layers
from ir.target import Target

TABLE_WIDTH = 120
"""Columns, also on a narrower terminal."""
ERRORS = (*USER_ERRORS, MachineError, MeterError, ToolError, TuneError, BoardAccessError)
METER = "meter"


@click.command(epilog=f"Shipped boards: {', '.join(shipped_boards())}. See also: hetero-tune verify --help.")
@click.argument("model", metavar="MODEL|PACKAGE", type=click.Path(path_type=Path))
@click.option("--board", required=True, metavar="NAME|FILE", help="A shipped board, or a board file (.yaml).")
@click.option("--on", "place", default=METER, show_default=True, metavar="meter|ssh://[USER@]HOST[:PORT]",
              help="Where to measure: in the emulator, or on the board.")  # fmt: skip
@click.option("--top", type=click.IntRange(1, 100), default=4, show_default=True,
              help="Variants of each layer to measure beside the default, the best estimates first.")  # fmt: skip
@click.option("--db", "folder", type=click.Path(path_type=Path, file_okay=False), default=SHIPPED,
              help="Folder of the measurements; by default the shipped ones.")  # fmt: skip
@model_options
@click.option("--again", is_flag=True, help="Measure what is measured already, too.")
@click.option("--ssh-config", type=click.Path(path_type=Path, dir_okay=False, exists=True), metavar="FILE",
              help="Instead of your own ~/.ssh/config.")  # fmt: skip
@click.option("--launcher", default="", metavar="WORDS", help="In front of the program on the board: 'taskset -c 2'.")
@click.option("--timeout", type=click.FloatRange(1, 86_400), default=120.0, show_default=True,
              help="Seconds for one command on the board.")  # fmt: skip
@click.version_option(package_name="hetero-compile")
def command(
    model: Path,
    board: str,
    place: str,
    top: int,
    folder: Path,
    arch: str | None,
    inputs: tuple[str, ...],
    quantise: str | None,
    calibration: Path | None,
    fallback: bool,
    thresholds: bool,
    again: bool,
    ssh_config: Path | None,
    launcher: str,
    timeout: float,
) -> int:
    """Measure kernels for the CPU layers of MODEL (or of a compiled PACKAGE) and keep the results.

    An interrupted run goes on where it was; hetero-compile takes the fastest kernels found.
    """
    console = Console(highlight=False, soft_wrap=True)
    address = None if place == METER else Address.parse(place)
    where = Place(address, ssh_config, timeout, _words(launcher))
    options = options_of(arch, inputs, quantise, calibration, fallback, thresholds)
    target = load_board(board)
    machine = load_machine(target.cpu.machine)
    with console.status("reading the model") as status:
        layers = tunable_layers(model, options, target, status.update)
    todo = tasks(layers, machine, target.cpu.vlen, top)
    _measure(todo, where, target, machine, folder, again, console)
    entries = [(task, present(task, machine, target.cpu.vlen, "board" if address else METER, folder)) for task in todo]
    _table([(task, entry) for task, entry in entries if entry], console)
    return 0


@click.command()
@click.option("--db", "folder", type=click.Path(path_type=Path, file_okay=False, exists=True), default=SHIPPED,
              help="Folder of the measurements; by default the shipped ones.")  # fmt: skip
@click.option("--sample", "count", type=click.IntRange(0), default=3, show_default=True,
              help="Entries to measure again; 0: all. Every one is checked for what it was measured with.")  # fmt: skip
@click.option("--seed", type=int, default=1, show_default=True, help="Of the sample.")
def verify_command(folder: Path, count: int, seed: int) -> int:
    """Which measurements no longer hold: kernels, compiler or machine model changed, or other cycles come out."""
    console = Console(highlight=False, soft_wrap=True)
    entries = list(Database((folder,)).entries())
    if not entries:
        raise TuneError(f"{folder}: no measurements")
    problems = [(path, problem) for path, entry in entries if (problem := stale(entry))]
    current = [(path, entry) for path, entry in entries if not stale(entry) and entry.place == METER]
    chosen = sample(current, count, seed)
    with TemporaryDirectory(prefix="tune") as scratch, _bar(console) as bar:
        line = bar.add_task("compiling the kernels", total=len(chosen))
        program = build_program(Path(scratch)) if chosen else Path()
        for each in chosen:
            bar.update(line, description=each[1].signature.name)
            machine = load_machine(each[1].machine)
            meter = OnMeter(build_meter(Path(scratch)), program, machine, each[1].vlen, Path(scratch))
            problems += [(verdict.path, verdict.problem) for verdict in verify([each], meter) if verdict.problem]
            bar.advance(line)
    for path, problem in problems:
        console.print(f"{path.relative_to(folder)}: {problem}", markup=False)
    console.print(f"{len(entries)} entries, {len(chosen)} measured again, {len(problems)} do not hold")
    return 1 if problems else 0


def run(arguments: Sequence[str]) -> int:
    """The command with these arguments; the exit status."""
    words = list(arguments)
    chosen, name = (verify_command, "hetero-tune verify") if words[:1] == ["verify"] else (command, "hetero-tune")
    try:
        rest = words[1:] if chosen is verify_command else words
        status: int = chosen.main(rest, prog_name=name, standalone_mode=False) or 0
    except click.ClickException as error:
        return _fail(f"{error.format_message()} (see {name} --help)")
    except ERRORS as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(f"{error.filename}: {error.strerror or error}")
    except (click.Abort, KeyboardInterrupt):
        print("hetero-tune: interrupted; what was measured is kept, the same command goes on", file=sys.stderr)
        return 130
    return status


def _words(launcher: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(launcher))
    except ValueError as error:
        raise TuneError(f"--launcher {launcher!r}: {error}") from None


def _fail(message: str) -> int:
    print(f"hetero-tune: {' '.join(message.split())}", file=sys.stderr)
    return 2


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        console=console, transient=True, disable=not console.is_terminal,
    )  # fmt: skip


def _measure(
    todo: Sequence[Task], where: Place, target: Target, machine: Machine, folder: Path, again: bool, console: Console
) -> None:
    """With a bar; nothing is built where everything is known."""
    place, vlen = "board" if where.address else METER, target.cpu.vlen
    known = {id(task): present(task, machine, vlen, place, folder) for task in todo}
    if not again and all((e := known[id(t)]) and all(e.find(v) for v in t.variants) for t in todo):
        return
    with _bar(console) as bar:
        line = bar.add_task("", total=sum(len(task.variants) for task in todo))

        def progress(what: str, number: int = 0) -> None:
            bar.update(line, description=what, completed=number)
            if not console.is_terminal:
                console.print(what, markup=False)

        with measurer(where, target, machine, progress) as on:
            for number, step in enumerate(tune(todo, on, machine, vlen, folder, again)):
                if not step.known:
                    progress(f"{step.task.layers[0]}: {step.variant}", number)


def _table(rows: Sequence[tuple[Task, Entry]], console: Console) -> None:
    """Cycles of default and best; layers that are alike share a line and count each."""
    columns = ("layer", "default", "cycles", "best", "cycles", "gain")
    table = Table(*columns, box=None, header_style="bold", pad_edge=False)
    for index in (2, 4, 5):
        table.columns[index].justify = "right"
    before = after = 0
    for task, entry in rows:
        usual, best, times = entry.usual.measured.cycles, entry.best.measured.cycles, len(task.layers)
        before, after = before + times * usual, after + times * best
        name = task.layers[0] + (f" (+{times - 1})" if times > 1 else "")
        cells = (name, str(task.default), f"{usual:,}", str(entry.best.variant), f"{best:,}", f"{usual / best:.2f}x")
        table.add_row(*cells)
    Console(highlight=False, width=TABLE_WIDTH).print(table)
    console.print(f"together {before:,} cycles by default, {after:,} tuned: {before / after:.2f}x")
