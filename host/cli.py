"""hetero-run: runs a package on photos or raw tensors and draws, prints or stores what it found."""

from __future__ import annotations

import argparse
import io
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from host.errors import HostError, InputError
from host.inputs import Item, check_input, listed, load_input
from host.labelled import LabelledSet, labelled_sets
from host.manifest import Manifest
from host.package import Package, load_package
from host.places import NAMES
from host.progress import Progress
from host.results import choose_targets, json_line, text_line, whole_file, write_result
from host.scoring import score
from host.session import Frame, Session
from host.timing import Extra, table
from host.trace import Span, write_trace
from host.vision.heads import Findings, decode, dequantise

FAILED, INTERRUPTED = 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0, 2 after any error (one line on standard error), 130 after Ctrl-C."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        _run(options)
    except HostError as error:
        print(f"hetero-run: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("hetero-run: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough; nothing may be flushed to it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


class _Parser(argparse.ArgumentParser):
    """Errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(FAILED, f"{self.prog}: {message} (see {self.prog} --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="hetero-run",
        description="Runs a compiled network on photos (or .npy/.npz files of its raw integer inputs, C x H x W). A "
        "classifier's accuracy is measured on labelled pictures: .npz files of uint8 pictures and class numbers, or "
        "folders with a subfolder of photos for each class.",
        epilog="Without -o and --json, pictures are written to the working directory as PHOTO.boxes.png or "
        "PHOTO.labels.png, raw outputs of networks without a head as NAME.outputs.npz.",
    )
    parser.add_argument("package", type=Path, help="folder written by hetero-compile")
    parser.add_argument("inputs", type=Path, nargs="+", metavar="PHOTO", help="photos, .npy or .npz files, or folders")
    parser.add_argument("--on", choices=NAMES, default="sim", help="where the network runs (default: %(default)s)")
    parser.add_argument(
        "--bitstream",
        type=Path,
        metavar="MANIFEST",
        help="what --on pynq configures: a bitstream's manifest.json or folder",
    )
    parser.add_argument(
        "--nodes", type=Path, metavar="ROOT", help="the folder above dev/ and sys/ of a uio device (default: /)"
    )
    parser.add_argument("--remote", metavar="[USER@]HOST", help="the machine for --on ssh")
    parser.add_argument("--trace", type=Path, metavar="FILE", help="write a time line for chrome://tracing or Perfetto")
    parser.add_argument("-o", "--output", type=Path, metavar="OUT", help="result file; for several photos a folder")
    parser.add_argument("--stages", action="store_true", help="the table of times has the accelerator's stages, too")
    parser.add_argument("--json", action="store_true", help="print one JSON object per photo and nothing else")
    parser.add_argument(
        "--deadline", type=seconds, default=60.0, metavar="S", help="seconds a device may take (default: %(default)g)"
    )
    parser.add_argument(
        "--threads", type=int, metavar="N", help="that run CPU regions (default: the board's cores, if they are here)"
    )
    return parser


def seconds(text: str) -> float:
    """A positive number of seconds."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"'{text}' is no number of seconds above 0 and below a million")
    return value


def _session(options: argparse.Namespace, package: Package) -> Session:
    return Session(
        package, on=options.on, deadline=options.deadline, bitstream=options.bitstream, nodes=options.nodes,
        remote=options.remote, trace=options.trace is not None, threads=options.threads, notify=_notify,
    )  # fmt: skip


def _score(options: argparse.Namespace, package: Package, sets: Sequence[LabelledSet]) -> None:
    """Accuracy on labelled pictures."""
    for name, given in (("-o", options.output), ("--trace", options.trace)):
        if given is not None:
            raise InputError(f"{name} {given}: sets of labelled pictures give numbers, which are printed")
    with _session(options, package) as session:
        score(sets, session, options.on, options.json)


def _run(options: argparse.Namespace) -> None:
    package = load_package(options.package)
    manifest = package.manifest
    if sets := labelled_sets(options.inputs, manifest):
        _score(options, package, sets)
        return
    paths = listed(options.inputs, manifest)
    for path in paths:
        check_input(path, manifest)
    if options.trace is not None and not options.trace.parent.is_dir():
        raise InputError(f"{options.trace}: the folder {options.trace.parent} does not exist")
    writes = options.output is not None or not options.json
    targets = choose_targets(paths, options.output, manifest) if writes else [None] * len(paths)
    feed = _Feed(paths, manifest)
    clock = _Clock()
    spans: list[Span] = []
    with _session(options, package) as session, Progress(len(paths)) as progress:
        start = time.perf_counter()
        for target, outputs in zip(targets, session.run_all(feed.frames()), strict=True):
            item = feed.waiting.popleft()
            with clock:
                findings = _findings(item, outputs, manifest)
                if target is not None:
                    write_result(target, item.photo, findings, outputs, manifest)
            spans += session.spans()
            with progress.paused():
                if options.json:
                    print(json_line(item.path, findings, outputs, manifest), flush=True)
                else:
                    print(f"{item.path}: {text_line(findings)}{' -> ' if findings else ''}{target}")
        wall = time.perf_counter() - start
        if options.trace is not None:
            with whole_file(options.trace) as stream, io.TextIOWrapper(stream, "utf-8") as text:
                write_trace(text, spans, f"{manifest.name} on {options.on}")
        if not options.json:
            extras = (Extra("read and resize", feed.clock.seconds), Extra("decode and draw", clock.seconds))
            print(table(manifest, session.times(), extras, len(targets), wall, options.on, options.stages))


def _notify(text: str) -> None:
    print(f"hetero-run: {text}", file=sys.stderr)


class _Clock:
    """Adds up the time spent inside its ``with`` blocks."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __enter__(self) -> None:
        self._start = time.perf_counter()

    def __exit__(self, *error: Any) -> None:
        self.seconds += time.perf_counter() - self._start


class _Feed:
    """Loads inputs one by one as the session asks for frames; ``waiting`` holds those not yet answered."""

    def __init__(self, paths: Sequence[Path], manifest: Manifest) -> None:
        self._paths = paths
        self._manifest = manifest
        self.waiting: deque[Item] = deque()
        self.clock = _Clock()

    def frames(self) -> Iterator[Frame]:
        for path in self._paths:
            with self.clock:
                item = load_input(path, self._manifest)
            self.waiting.append(item)
            yield item.frame


def _findings(item: Item, outputs: Any, manifest: Manifest) -> Findings:
    if manifest.head is None:
        return ()
    name = manifest.outputs[0]
    values = dequantise(outputs[name], manifest.dequantise.get(name))
    return decode(manifest.head, values, item.photo.size if item.photo else (0, 0), manifest.picture)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """SIGTERM ends a run as Ctrl-C does, with the device closed and its file removed."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
