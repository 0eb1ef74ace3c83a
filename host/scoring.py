"""hetero-run on sets of labelled pictures: accuracy, with progress while it is counted."""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence

from host.labelled import Accuracy, Example, LabelledSet, total
from host.manifest import Manifest
from host.places import Where
from host.results import findings_as_json
from host.session import Frame, Session
from host.timing import table
from host.vision.heads import decode, dequantise
from host.vision.picture import network_input

PARTS = 20
"""Progress is shown this many times where it goes to no terminal."""


def score(sets: Sequence[LabelledSet], session: Session, place: Where, as_json: bool) -> None:
    """Runs every picture of every set and prints what was right.

    With ``as_json``: an object per picture, ``{"file", "classes", "truth", "right"}``, and per set
    ``{"set", "pictures", "top1", "top5"}``. Otherwise a line per set and the table of times.
    """
    manifest, progress = session.package.manifest, _Progress(total(sets))
    assert manifest.head is not None and manifest.picture is not None
    start = time.perf_counter()
    for each in sets:
        accuracy, waiting = Accuracy(), deque[Example]()
        for outputs in session.run_all(_frames(each, manifest, waiting)):
            example, name = waiting.popleft(), manifest.outputs[0]
            values = dequantise(outputs[name], manifest.dequantise.get(name))
            findings = decode(manifest.head, values, example.photo.size, manifest.picture)
            right = accuracy.add(findings, example.label)
            progress.step(accuracy)
            if as_json:
                found = findings_as_json(findings, manifest.head)
                print(json.dumps({"file": example.name, **found, "truth": example.label, "right": right}), flush=True)
        progress.clear()
        if as_json:
            facts = {"set": str(each.path), "pictures": accuracy.seen, "top1": accuracy.top1, "top5": accuracy.top5}
            print(json.dumps(facts), flush=True)
        else:
            print(f"{each.path}: {accuracy}")
    if not as_json:
        print(table(manifest, session.times(), (), total(sets), time.perf_counter() - start, place))


def _frames(each: LabelledSet, manifest: Manifest, waiting: deque[Example]) -> Iterator[Frame]:
    """Each picture as the network's input; ``waiting`` holds those not yet answered."""
    assert manifest.picture is not None
    for example in each.examples():
        waiting.append(example)
        yield {manifest.inputs[0]: network_input(example.photo, manifest.picture)}


class _Progress:
    """How many pictures are done, on standard error: one changing line on a terminal, else a few lines."""

    def __init__(self, count: int) -> None:
        self._count, self._done = count, 0
        self._terminal = sys.stderr.isatty()
        self._every = 1 if self._terminal else -(-count // PARTS)

    def step(self, accuracy: Accuracy) -> None:
        self._done += 1
        if self._done % self._every == 0:
            text = f"{self._done} of {self._count} pictures, top-1 {100 * accuracy.top1:.1f} %"
            self._write(f"\r{text}\x1b[K" if self._terminal else f"{text}\n")

    def clear(self) -> None:
        if self._terminal:
            self._write("\r\x1b[K")

    def _write(self, text: str) -> None:
        print(text, end="", file=sys.stderr, flush=True)
