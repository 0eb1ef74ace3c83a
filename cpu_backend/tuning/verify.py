"""Measures entries again: what they say has to come out, to the digit, where the meter measured them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cpu_backend.meter.machine import MachineError, load_machine
from cpu_backend.tuning.choice import variants_of
from cpu_backend.tuning.database import Entry
from cpu_backend.tuning.measure import OnMeter
from cpu_backend.variants import USUAL, Variant


@dataclass(frozen=True)
class Verdict:
    """``problem``: why the entry does not hold; None where it does. ``skipped``: it was not measured again."""

    path: Path
    problem: str | None
    skipped: bool = False


def sample(entries: Sequence[tuple[Path, Entry]], count: int, seed: int) -> list[tuple[Path, Entry]]:
    """``count`` of them, in order; all for 0."""
    if count == 0 or count >= len(entries):
        return list(entries)
    chosen = np.random.default_rng(seed).choice(len(entries), count, replace=False)
    return [entries[i] for i in sorted(chosen)]


def stale(entry: Entry) -> str | None:
    """What makes an entry count no longer, without measuring; None otherwise."""
    try:
        machine = load_machine(entry.machine)
    except MachineError as error:
        return str(error)
    allowed = {USUAL, *variants_of(entry.signature, entry.vlen)}
    unknown = next((each.variant for each in entry.tried if each.variant not in allowed), None)
    return entry.outdated(machine) or (f"'{unknown}' cannot compute this layer" if unknown else None)


def verify(entries: Sequence[tuple[Path, Entry]], meter: OnMeter) -> Iterator[Verdict]:
    """Default and best of each entry once more; ``meter``'s machine and VLEN are those of the entry."""
    for path, entry in entries:
        problem = stale(entry)
        if problem or entry.place != "meter":
            yield Verdict(path, problem, skipped=True)
            continue
        yield Verdict(path, _again(entry, meter))


def _again(entry: Entry, meter: OnMeter) -> str | None:
    on = OnMeter(meter.meter, meter.program, load_machine(entry.machine), entry.vlen, meter.folder)
    variants: tuple[Variant, ...] = tuple(dict.fromkeys((entry.default, entry.best.variant)))
    for variant in variants:
        tried = entry.find(variant)
        assert tried is not None
        now = on.measure(entry.signature, variant).cycles
        if now != tried.measured.cycles:
            return f"'{variant}' takes {now:,} cycles, not {tried.measured.cycles:,}"
    return None
