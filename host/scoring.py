"""hetero-run on sets of labelled pictures: accuracy, with progress while it is counted."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Iterator, Sequence

from host.labelled import Accuracy, Example, LabelledSet, total
from host.manifest import Manifest
from host.places import Where
from host.progress import Progress
from host.results import findings_as_json
from host.session import Frame, Session
from host.timing import table
from host.vision.heads import decode, dequantise
from host.vision.picture import network_input

LINES = 20
"""In which progress is told where it goes to no terminal."""


def score(sets: Sequence[LabelledSet], session: Session, place: Where, as_json: bool) -> None:
    """Runs every picture of every set and prints what was right.

    With ``as_json``: an object per picture, ``{"file", "classes", "truth", "right"}``, and per set
    ``{"set", "pictures", "top1", "top5"}``. Otherwise a line per set and the table of times.
    """
    manifest = session.package.manifest
    assert manifest.head is not None and manifest.picture is not None
    start = time.perf_counter()
    with Progress(total(sets), "pictures", LINES) as progress:
        for each in sets:
            accuracy, waiting = Accuracy(), deque[Example]()
            for outputs in session.run_all(_frames(each, manifest, waiting)):
                example, name = waiting.popleft(), manifest.outputs[0]
                values = dequantise(outputs[name], manifest.dequantise.get(name))
                findings = decode(manifest.head, values, example.photo.size, manifest.picture)
                right = accuracy.add(findings, example.label)
                progress.note = f"top-1 {100 * accuracy.top1:.1f} %"
                with progress.paused():
                    if as_json:
                        found = findings_as_json(findings, manifest.head)
                        about = {"file": example.name, **found, "truth": example.label, "right": right}
                        print(json.dumps(about), flush=True)
            facts = {"set": str(each.path), "pictures": accuracy.seen, "top1": accuracy.top1, "top5": accuracy.top5}
            progress.clear()
            print(json.dumps(facts) if as_json else f"{each.path}: {accuracy}", flush=True)
    if not as_json:
        print(table(manifest, session.times(), (), total(sets), time.perf_counter() - start, place))


def _frames(each: LabelledSet, manifest: Manifest, waiting: deque[Example]) -> Iterator[Frame]:
    """Each picture as the network's input; ``waiting`` holds those not yet answered."""
    assert manifest.picture is not None
    for example in each.examples():
        waiting.append(example)
        yield {manifest.inputs[0]: network_input(example.photo, manifest.picture)}
