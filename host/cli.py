"""hetero-run: runs a package on photos or raw tensors and draws, prints or stores what it found."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from host.errors import HostError, InputError
from host.inputs import Item, check_input, load_input
from host.labelled import labelled_sets
from host.manifest import Manifest
from host.package import load_package
from host.results import choose_targets, json_line, text_line, write_result
from host.scoring import score
from host.session import PLACES, Frame, Session
from host.timing import Extra, table
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hetero-run",
        description="Runs a compiled network on photos (or .npy/.npz files of its raw integer inputs, C x H x W). A "
        "classifier's accuracy is measured on labelled pictures: .npz files of uint8 pictures and class numbers, or "
        "folders with a subfolder of photos for each class.",
        epilog="Without -o and --json, pictures are written to the working directory as PHOTO.boxes.png or "
        "PHOTO.labels.png, raw outputs of networks without a head as NAME.outputs.npz.",
    )
    parser.add_argument("package", type=Path, help="folder written by hetero-compile")
    parser.add_argument("inputs", type=Path, nargs="+", metavar="PHOTO", help="photos, .npy or .npz files")
    parser.add_argument("--on", choices=PLACES, default="sim", help="where the CPU regions run (default: %(default)s)")
    parser.add_argument(
        "--bitstream",
        type=Path,
        metavar="MANIFEST",
        help="what --on board loads: a bitstream's manifest.json or folder",
    )
    parser.add_argument("-o", "--output", type=Path, metavar="OUT", help="result file; for several photos a folder")
    parser.add_argument("--json", action="store_true", help="print one JSON object per photo and nothing else")
    parser.add_argument(
        "--deadline", type=seconds, default=60.0, metavar="S", help="seconds a device may take (default: %(default)g)"
    )
    return parser


def seconds(text: str) -> float:
    """A positive number of seconds; ValueError otherwise."""
    value = float(text)
    if not 0 < value < 1e6:
        raise ValueError
    return value


def _run(options: argparse.Namespace) -> None:
    package = load_package(options.package)
    manifest = package.manifest
    if sets := labelled_sets(options.inputs, manifest):
        if options.output is not None:
            raise InputError(f"-o {options.output}: sets of labelled pictures give numbers, which are printed")
        with Session(package, on=options.on, deadline=options.deadline, bitstream=options.bitstream) as session:
            score(sets, session, options.on, options.json)
        return
    for path in options.inputs:
        check_input(path, manifest)
    writes = options.output is not None or not options.json
    targets = choose_targets(options.inputs, options.output, manifest) if writes else [None] * len(options.inputs)
    feed = _Feed(options.inputs, manifest)
    clock = _Clock()
    with Session(package, on=options.on, deadline=options.deadline, bitstream=options.bitstream) as session:
        start = time.perf_counter()
        for target, outputs in zip(targets, session.run_all(feed.frames()), strict=True):
            item = feed.waiting.popleft()
            with clock:
                findings = _findings(item, outputs, manifest)
                if target is not None:
                    write_result(target, item.photo, findings, outputs)
            if options.json:
                print(json_line(item.path, findings, outputs, manifest), flush=True)
            else:
                print(f"{item.path}: {text_line(findings)}{' -> ' if findings else ''}{target}")
        wall = time.perf_counter() - start
        if not options.json:
            extras = (Extra("read and resize", feed.clock.seconds), Extra("decode and draw", clock.seconds))
            print(table(manifest, session.times(), extras, len(targets), wall, options.on))


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
