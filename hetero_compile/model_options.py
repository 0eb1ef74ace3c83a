"""How MODEL is read: the options that hetero-compile and hetero-tune share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from frontend.errors import ModelError
from hetero_compile.flow import Options
from hetero_compile.quantise import Calibration

Command = TypeVar("Command", bound=Callable[..., Any])
SHARED = (
    click.option(
        "--arch", metavar="NAME|FILE:FACTORY", help="The network of a bare checkpoint; recognised if left out."
    ),
    click.option(
        "--input", "inputs", multiple=True, metavar="[NAME=]TYPE[/STEPS]",
        help="What integers an ONNX file's input is, where the file says float: uint8, int8, uint8/255; "
        "may be repeated.",
    ),
    click.option(
        "--quantise", metavar="int8|wNaM",
        help="Widths for a network of floats: int8, or w4a8 and the like; float32 if left out.",
    ),
    click.option(
        "--calibration", type=click.Path(path_type=Path), metavar="INPUTS",
        help="By which to choose its ranges: a folder of photos, or a .npy or .npz of inputs.",
    ),
    click.option("--fallback", is_flag=True, help="Operators without an integer form run in floats on the CPU."),
    click.option("--thresholds", is_flag=True, help="Requantise by thresholds instead of multiply-shift."),
)  # fmt: skip


def model_options(command: Command) -> Command:
    """The options, for a command that hands their values to `options_of`."""
    for option in reversed(SHARED):
        command = option(command)
    return command


def options_of(
    arch: str | None,
    inputs: tuple[str, ...],
    quantise: str | None,
    calibration: Path | None,
    fallback: bool,
    thresholds: bool,
) -> Options:
    """ModelError where they contradict each other or name no widths."""
    if calibration and not quantise:
        raise ModelError("--calibration needs --quantise")
    chosen = Calibration.parse(quantise, calibration) if quantise else None
    return Options(arch, thresholds, inputs=inputs, calibration=chosen, fallback=fallback)
