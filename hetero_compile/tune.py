"""What hetero-tune goes through: the layers of a model or of a package, and where they are measured."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from cpu_backend.engine import PASSES
from cpu_backend.layers import layers_of
from cpu_backend.meter.machine import Machine
from cpu_backend.meter.meter import build_meter
from cpu_backend.tuning.measure import Measurer, OnMeter, build_program
from cpu_backend.tuning.packaged import PACKAGED, Tunable, read_packaged
from cpu_backend.tuning.ssh import Address, Connection, OnBoard, board_folder
from cpu_backend.tuning.tuner import of_layers
from hetero_compile.flow import Options, Progress, load_frozen
from host.package import load_package
from ir.passes.base import run_passes
from ir.target import Target


class TuneError(ValueError):
    """Nothing to tune, or nowhere to measure; one line."""


@dataclass(frozen=True)
class Place:
    """Where to measure: the meter if ``address`` is None. ``launcher``: words before the program on a board."""

    address: Address | None = None
    configuration: Path | None = None
    deadline: float = 120.0
    launcher: tuple[str, ...] = ()


def tunable_layers(path: Path, options: Options, target: Target, progress: Progress) -> list[Tunable]:
    """The convolutions that leave a choice on the board's cores, wherever they will run.

    Raises TuneError, ModelError, GraphError, HostError, DatabaseError.
    """
    if path.is_dir() and options != Options():
        raise TuneError(
            f"{path}: is a package, whose network was read when it was compiled: no options say how to read it"
        )
    if not target.cpu.vlen:
        raise TuneError(f"board {target.name}: cores without vectors have one kernel for each layer: nothing to choose")
    found = _packaged(path) if path.is_dir() else _of_model(path, options, target, progress)
    if not found:
        raise TuneError(f"{path}: no layer on the CPU leaves a choice of kernels")
    return found


def _of_model(path: Path, options: Options, target: Target, progress: Progress) -> list[Tunable]:
    """All of the network, as the CPU would execute it."""
    _, frozen = load_frozen(path, options, progress)
    return of_layers(layers_of(run_passes(frozen.graph, PASSES)), target.cpu)


def _packaged(path: Path) -> list[Tunable]:
    package = load_package(path)
    return [each for file in sorted(package.root.glob(f"**/*{PACKAGED}")) for each in read_packaged(file)]


@contextmanager
def measurer(place: Place, target: Target, machine: Machine, progress: Progress) -> Iterator[Measurer]:
    """Builds the measured program, and brings it to the board. Raises ToolError, BoardAccessError."""
    with TemporaryDirectory(prefix="tune") as scratch:
        folder = Path(scratch)
        if place.address:
            progress(f"reaching {place.address}")
            Connection(place.address, place.configuration, place.deadline).run("true")
        progress("compiling the kernels")
        program = build_program(folder)
        if place.address is None:
            yield OnMeter(build_meter(folder), program, machine, target.cpu.vlen, folder)
            return
        connection = Connection(place.address, place.configuration, place.deadline)
        progress(f"copying the measured program to {place.address}")
        with board_folder(connection, program) as remote:
            yield OnBoard(connection, remote, folder, target.cpu.clock_mhz, place.launcher)
