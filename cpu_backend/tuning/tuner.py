"""Goes through a network's layers: which variants, in which order, and what is measured already."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cpu_backend.forms import cheapest, weights_leave_cache
from cpu_backend.layers import Layer
from cpu_backend.meter.machine import Machine
from cpu_backend.tuning.choice import FORMS, on_machine, tunable, variant_of, variants_of
from cpu_backend.tuning.database import Entry, Tried, key_of, model_hash, read_entry, versions, write_entry
from cpu_backend.tuning.measure import Measurer
from cpu_backend.tuning.model import estimate
from cpu_backend.tuning.packaged import Tunable
from cpu_backend.tuning.signature import Signature
from cpu_backend.variants import USUAL, Variant, usual
from ir.target import Cpu


@dataclass(frozen=True, eq=False)
class Task:
    """Layers that are alike, and the variants to measure: the default, then the best estimates first."""

    layers: tuple[str, ...]
    signature: Signature
    default: Variant
    variants: tuple[Variant, ...]


@dataclass(frozen=True)
class Step:
    """A variant that is about to be measured, or whose measurement is kept (``known``)."""

    task: Task
    variant: Variant
    known: bool


def tasks(layers: Iterable[Tunable], machine: Machine, vlen: int, top: int) -> tuple[Task, ...]:
    """Of layers with their signatures and defaults; ``top``: most variants of each beside the default."""
    found: dict[str, Task] = {}
    for name, signature, default in layers:
        key = key_of(signature, model_hash(machine), vlen, "")
        if key in found:
            found[key] = replace(found[key], layers=(*found[key].layers, name))
        else:
            found[key] = Task((name,), signature, default, candidates(signature, default, machine, vlen, top))
    return tuple(found.values())


def of_layers(layers: Sequence[Layer], cpu: Cpu) -> list[Tunable]:
    """Those that leave a choice."""
    found, cold = [], weights_leave_cache(layers, cpu)
    for layer in layers:
        chosen = cheapest(layer, cpu, cold)
        if signature := tunable(chosen, cpu):
            found.append((layer.first.name, signature, variant_of(on_machine(chosen, signature, cpu, cold))))
    return found


def candidates(signature: Signature, default: Variant, machine: Machine, vlen: int, top: int) -> tuple[Variant, ...]:
    """The default, then the legal variants of least estimates that are something else than the rules' choice."""
    same = {default, usual(signature.conv, vlen) if default == USUAL else default}
    others = [v for v in variants_of(signature, vlen) if v not in same]
    others += [USUAL] if default in FORMS else []
    others.sort(key=lambda variant: (estimate(signature, variant, machine, vlen), -variant.pixels))
    return (default, *others[:top])


def tune(
    tasks_: Sequence[Task], measurer: Measurer, machine: Machine, vlen: int, folder: Path, again: bool = False
) -> Iterator[Step]:
    """Measures what the folder's entries lack, and writes each measurement at once: an interrupted run goes on.

    Yields before each variant. ``again``: entries that count are measured anew, too. Raises what `measurer` and
    `write_entry` raise.
    """
    for task in tasks_:
        entry = None if again else present(task, machine, vlen, measurer.place, folder)
        for variant in task.variants:
            known = bool(entry and entry.find(variant))
            yield Step(task, variant, known)
            if known:
                continue
            measured = measurer.measure(task.signature, variant)
            tried = Tried(variant, estimate(task.signature, variant, machine, vlen), measured)
            entry = _with(entry, tried, task, machine, vlen, measurer.place)
            write_entry(folder, entry)


def present(task: Task, machine: Machine, vlen: int, place: str, folder: Path) -> Entry | None:
    """The folder's entry that counts for a task. DatabaseError where its file is none."""
    path = folder / _empty(task, machine, vlen, place).path
    if not path.exists():
        return None
    entry = read_entry(path)
    return entry if entry.outdated(machine) is None and entry.find(task.default) else None


def _empty(task: Task, machine: Machine, vlen: int, place: str) -> Entry:
    model = model_hash(machine)
    return Entry(task.signature, machine.name, model, vlen, place, versions(), task.default, ())


def _with(entry: Entry | None, tried: Tried, task: Task, machine: Machine, vlen: int, place: str) -> Entry:
    before = entry or _empty(task, machine, vlen, place)
    everything = [*(each for each in before.tried if each.variant != tried.variant), tried]
    return replace(before, tried=tuple(everything), default=task.default)
