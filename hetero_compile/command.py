"""The command line of hetero-compile. Needs the packages of the ``compile`` extra; `hetero_compile.cli` says so."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console

from frontend.errors import ModelError
from frontend.lower.prune import Pruning
from hetero_compile.board import load_board, shipped_boards
from hetero_compile.check import CheckError, check
from hetero_compile.errors import USER_ERRORS
from hetero_compile.export import Export
from hetero_compile.flow import Options, compile_model, engines, package
from hetero_compile.front import Front, table
from hetero_compile.model_options import model_options, options_of
from hetero_compile.objective import Objective
from hetero_compile.report import report
from hetero_compile.summary import placement_json, summary
from hls.csim import CSimulationError
from hls.export.layers import ExportError
from hls.heterocl.errors import HeteroCLError
from host.package import Package, check_destination
from partition.pareto import front as pareto_front


@click.command(epilog=f"Shipped boards: {', '.join(shipped_boards())}.")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--board", required=True, metavar="NAME|FILE", help="A shipped board, or a board file (.yaml).")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), default=Path("build"), show_default=True,
    help="The package's folder.",
)  # fmt: skip
@model_options
@click.option("--no-failover", is_flag=True, help="Without CPU code for when the accelerator fails: a smaller package.")
@click.option("--labels", type=click.Path(path_type=Path), metavar="FILE", help="A classifier's labels, one per line.")
@click.option(
    "--prune", metavar="N:M[/TILE]",
    help="Keep N of M columns (a tap of a channel) of convolutions that the CPU runs, the largest, without training.",
)  # fmt: skip
@click.option(
    "--tuning", type=click.Path(path_type=Path, exists=True, file_okay=False), metavar="FOLDER",
    help="Measurements of hetero-tune --db FOLDER, which count before the shipped ones.",
)  # fmt: skip
@click.option(
    "--check", "checks", type=click.Path(path_type=Path), multiple=True, metavar="INPUT",
    help="Run every executor on this photo, .npy or .npz and compare; may be repeated.",
)  # fmt: skip
@click.option(
    "--expect", "expected", type=click.Path(path_type=Path), multiple=True, metavar="OUTPUT",
    help="The integers expected for the --check input at the same place (.npy, or .npz by tensor name).",
)  # fmt: skip
@click.option(
    "--export", "exports", multiple=True, metavar="params[=FOLDER]",
    help="Also write the layers' integers as config.h, weights.hpp and folding.txt, into the package or into FOLDER.",
)  # fmt: skip
@click.option(
    "--objective", metavar="throughput|latency|area[=FPS]",
    help="What the placement is best at; the board file says it if left out. area: the smallest that keeps a rate.",
)  # fmt: skip
@click.option(
    "--pareto", type=click.Path(path_type=Path), metavar="FILE",
    help="Also print the front of rate against area, and plot it into FILE (.svg or .png).",
)  # fmt: skip
@click.option("-q", "--quiet", is_flag=True, help="Print errors only.")
@click.version_option(package_name="hetero-compile")
def command(
    model: Path,
    board: str,
    output: Path,
    arch: str | None,
    no_failover: bool,
    inputs: tuple[str, ...],
    labels: Path | None,
    quantise: str | None,
    calibration: Path | None,
    fallback: bool,
    prune: str | None,
    thresholds: bool,
    tuning: Path | None,
    checks: tuple[Path, ...],
    expected: tuple[Path, ...],
    exports: tuple[str, ...],
    objective: str | None,
    pareto: Path | None,
    quiet: bool,
) -> int:
    """Compile MODEL for a board: a PyTorch checkpoint, a state dict as .npz, a torch.export archive .pt2, .onnx, or a
    function that makes a module, file.py:factory."""
    console = Console(quiet=quiet, highlight=False, soft_wrap=True)
    try:
        read = options_of(arch, inputs, quantise, calibration, fallback, thresholds)
        pruning = Pruning.parse(prune) if prune else None
        options = replace(read, failover=not no_failover, labels=_labels(labels), tuning=tuning, prune=pruning)
        return _compile(model, board, output, options, checks, expected, exports, objective, pareto, console)
    except CheckError as error:
        print(f"hetero-compile: {error.difference}", file=sys.stderr)
        return 1
    except (*USER_ERRORS, CSimulationError, HeteroCLError, ExportError) as error:
        return _fail(str(error))
    except MemoryError:
        return _fail(f"{model}: there is not enough memory to compile it")
    except OSError as error:
        return _fail(f"{error.filename or output}: {error.strerror or error}")


def run(arguments: Sequence[str]) -> int:
    """The command with these arguments; the exit status."""
    try:
        status: int = command.main(list(arguments), prog_name="hetero-compile", standalone_mode=False) or 0
    except click.ClickException as error:
        return _fail(f"{error.format_message()} (see hetero-compile --help)")
    except (click.Abort, KeyboardInterrupt):
        print("hetero-compile: interrupted", file=sys.stderr)
        return 130
    return status


def _labels(path: Path | None) -> tuple[str, ...]:
    """The lines of a text file; OSError, or ModelError if it is none."""
    if path is None:
        return ()
    try:
        names = tuple(line.strip() for line in path.read_text("utf-8").splitlines() if line.strip())
    except UnicodeDecodeError:
        raise ModelError(f"{path}: no text") from None
    if not names:
        raise ModelError(f"{path}: has no labels")
    return names


def _fail(message: str) -> int:
    print(f"hetero-compile: {' '.join(message.split())}", file=sys.stderr)
    return 2


def _compile(
    model: Path,
    board: str,
    output: Path,
    options: Options,
    checks: tuple[Path, ...],
    expected: tuple[Path, ...],
    exports: tuple[str, ...],
    objective: str | None,
    pareto: Path | None,
    console: Console,
) -> int:
    start = time.perf_counter()
    wanted = [Export.parse(text) for text in exports]
    if expected and not checks:
        return _fail("--expect needs --check INPUT")
    target = load_board(board)
    if objective:
        target = Objective.parse(objective).applied(target)
    front = Front.of(pareto) if pareto else None
    if target.hypothetical:
        console.print(f"board {target.name} is hypothetical: no such device is sold")
    with console.status("starting") as status:

        def progress(what: str) -> None:
            status.update(what)
            if not console.is_terminal:
                console.print(f"[{time.perf_counter() - start:5.1f} s] {what}", markup=False)

        def accept(staged: Package) -> None:
            if checks:
                console.print(str(check(compiled, staged, checks, expected, progress)), markup=False)

        check_destination(output)
        compiled = compile_model(model, target, options, progress)
        console.print(f"{model.name}: {compiled.model.origin}", markup=False)
        summary(compiled, console)
        if front:
            progress("solving for other rates")
            points = pareto_front(compiled.graph, engines(), target)
            console.print(table(points))
            front.draw(f"{compiled.graph.name} on {target.name}", points)
        exported = [(export, export.files(compiled)) for export in wanted]
        extra = {"report.html": report(compiled), "placement.json": placement_json(compiled)}
        for export, files in exported:
            extra |= export.packaged(files)
        built = package(compiled, output, extra, progress, accept)
        for export, files in exported:
            export.write(files)
    console.print(f"{output}: written in {time.perf_counter() - start:.1f} s, hash {built.seal.hash[:16]}")
    return 0
