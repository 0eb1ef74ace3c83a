"""The command line of hetero-compile. Needs the packages of the ``compile`` extra; `hetero_compile.cli` says so."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from hetero_compile.board import load_board, shipped_boards
from hetero_compile.check import CheckError, check
from hetero_compile.errors import USER_ERRORS
from hetero_compile.export import Export
from hetero_compile.flow import Compiled, Options, compile_model, package
from hetero_compile.report import report
from hls.csim import CSimulationError
from hls.export.layers import ExportError
from hls.heterocl.errors import HeteroCLError
from host.package import Package, check_destination


@click.command(epilog=f"Shipped boards: {', '.join(shipped_boards())}.")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--board", required=True, metavar="NAME|FILE", help="A shipped board, or a board file (.yaml).")
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("build"), show_default=True)
@click.option("--arch", metavar="NAME|FILE:FACTORY", help="The network of a bare checkpoint; recognised if left out.")
@click.option("--no-failover", is_flag=True, help="Without CPU code for when the accelerator fails: a smaller package.")
@click.option("--thresholds", is_flag=True, help="Requantise by thresholds instead of multiply-shift.")
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
@click.option("-q", "--quiet", is_flag=True, help="Print errors only.")
@click.version_option(package_name="hetero-compile")
def command(
    model: Path,
    board: str,
    output: Path,
    arch: str | None,
    no_failover: bool,
    thresholds: bool,
    checks: tuple[Path, ...],
    expected: tuple[Path, ...],
    exports: tuple[str, ...],
    quiet: bool,
) -> int:
    """Compile MODEL (a PyTorch checkpoint, its state dict as .npz, or a torch.export archive .pt2) for a board."""
    console = Console(quiet=quiet, highlight=False, soft_wrap=True)
    try:
        return _compile(
            model, board, output, Options(arch, thresholds, not no_failover), checks, expected, exports, console
        )
    except CheckError as error:
        print(f"hetero-compile: {error.difference}", file=sys.stderr)
        return 1
    except (*USER_ERRORS, CSimulationError, HeteroCLError, ExportError) as error:
        return _fail(str(error))
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
    console: Console,
) -> int:
    start = time.perf_counter()
    wanted = [Export.parse(text) for text in exports]
    if expected and not checks:
        return _fail("--expect needs --check INPUT")
    target = load_board(board)
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
        _summary(compiled, console)
        exported = [(export, export.files(compiled)) for export in wanted]
        extra = {"report.html": report(compiled)}
        for export, files in exported:
            extra |= export.packaged(files)
        built = package(compiled, output, extra, progress, accept)
        for export, files in exported:
            export.write(files)
    console.print(f"{output}: written in {time.perf_counter() - start:.1f} s, hash {built.seal.hash[:16]}")
    return 0


def _summary(compiled: Compiled, console: Console) -> None:
    """What runs where and why, and what it is estimated to take."""
    table = Table("node", "operator", "where", "why", box=None, header_style="bold", pad_edge=False)
    for decision in compiled.plan.decisions:
        table.add_row(decision.node, decision.operator, decision.engine, decision.reason)
    console.print(table)
    plan, fabric = compiled.plan, compiled.target.fabric
    rate = f"{1000 / plan.interval_ms:.0f} frames/s" if plan.interval_ms else "-"
    console.print(f"estimate: accelerator {plan.device_ms:.3f} ms, CPU {plan.cpu_ms:.3f} ms a frame, together {rate}")
    for region, artifact in compiled.artifacts.items():
        for port in artifact.weights:
            if port.repeats > 1:
                console.print(
                    f"{region}: {port.name} reads its weights {port.repeats} times a frame: no board driver can"
                )
    if fabric:
        used, budget = plan.resources, fabric.budget
        pairs = ((k, getattr(used, k), getattr(budget, k)) for k in ("lut", "dsp", "bram18"))
        console.print("resources: " + ", ".join(f"{k.upper()} {u} of {b}" for k, u, b in pairs))
