"""Signatures, entries and what makes them out of date; tuning that is interrupted; what the engine takes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tuning_layers import CPU, TARGET, Counting, generic, graph, layer, signature

from cpu_backend.engine import CpuEngine
from cpu_backend.tuning.database import Database, DatabaseError, Entry, read_entry, write_entry
from cpu_backend.tuning.model import estimate
from cpu_backend.tuning.packaged import PACKAGED, read_packaged
from cpu_backend.tuning.signature import Signature
from cpu_backend.tuning.tuner import Task, candidates, of_layers, tasks, tune
from cpu_backend.variants import COLUMNS, USUAL, WINOGRAD, Variant, usual
from ir.engine import Prepared
from ir.passes.base import run_passes


def small(top: int = 3) -> tuple[Task, ...]:
    return tasks(of_layers([layer()], CPU), generic(), CPU.vlen, top)


def tuned(folder: Path, top: int = 3) -> Path:
    list(tune(small(top), Counting(), generic(), CPU.vlen, folder))
    (path,) = folder.glob("*/*.json")
    return path


def test_a_retrained_layer_has_the_same_signature() -> None:
    """Other weights and multipliers of the same ranges; not another shape, pool or range of sums."""
    first = signature().as_json()
    assert signature(seed=2, scale=90).as_json() == first
    others = [signature(filters=41), signature(size=10), signature(pool=True), signature(bits=8)]
    assert all(each.as_json() != first for each in others)
    assert signature(pool=True).core == signature().core != signature(bits=8).core
    assert Signature(**json.loads(json.dumps(first))).as_json() == first


def test_flush_periods_count_as_far_as_kernels_tell_them_apart() -> None:
    conv = signature().conv
    assert conv["flush"] == (1 << 32) - 1 and conv["run16"] == 8  # 72 products of 7 * 15
    wide = signature(bits=8).conv
    assert 0 < int(wide["run16"]) < 8


def test_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    """Every measurement is on disk before the next begins; the second run takes the rest, a third none."""
    todo, broken = small(), Counting(fail_at=2)
    with pytest.raises(KeyboardInterrupt):
        list(tune(todo, broken, generic(), CPU.vlen, tmp_path))
    (path,) = tmp_path.glob("*/*.json")
    assert [each.variant for each in read_entry(path).tried] == broken.asked == list(todo[0].variants[:2])
    assert list(tmp_path.glob("*/.*")) == []
    rest = Counting()
    steps = list(tune(todo, rest, generic(), CPU.vlen, tmp_path))
    assert rest.asked == list(todo[0].variants[2:])
    assert [step.known for step in steps] == [True, True, False, False]
    nothing = Counting()
    list(tune(todo, nothing, generic(), CPU.vlen, tmp_path))
    assert nothing.asked == []
    everything = Counting()
    list(tune(todo, everything, generic(), CPU.vlen, tmp_path, again=True))
    assert everything.asked == list(todo[0].variants)


def test_alike_layers_are_measured_once() -> None:
    (task,) = tasks(of_layers([layer(), layer(seed=2)], CPU), generic(), CPU.vlen, 2)
    assert task.layers == ("conv", "conv")
    assert task.variants[0] == task.default == WINOGRAD and len(task.variants) == 3
    others = candidates(task.signature, USUAL, generic(), CPU.vlen, 30)
    assert others[0] == USUAL and usual(task.signature.conv, CPU.vlen) not in others  # would be the default again
    costs = [estimate(task.signature, v, generic(), CPU.vlen) for v in task.variants[1:]]
    assert costs == sorted(costs)


def test_best_is_the_default_where_others_only_equal_it(tmp_path: Path) -> None:
    entry = read_entry(tuned(tmp_path))
    even = replace(entry, tried=tuple(replace(t, measured=entry.usual.measured) for t in reversed(entry.tried)))
    assert even.best.variant == even.default


def test_out_of_date(tmp_path: Path) -> None:
    """Kernels, compiler, meter and the machine model; each is named."""
    entry = read_entry(tuned(tmp_path))
    assert entry.outdated(generic()) is None
    for name in ("kernels", "compiler", "meter"):
        old = replace(entry, versions={**entry.versions, name: "other"})
        assert old.outdated(generic()) == f"{name} changed"
    assert entry.outdated(generic().model_copy(update={"issue_width": 2})) == "machine model generic changed"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda text: text.replace('"format": 1', '"format": 2'), "has format 2, this version reads 1"),
        (lambda text: text[: len(text) // 2], "is not an entry (JSONDecodeError"),
        (lambda text: text.replace('"vlen": 256', '"vlen": 512'), "is not named by its content"),
        (lambda text: text.replace('"cycles"', '"seconds"'), "is not an entry (KeyError: 'cycles')"),
    ],
)
def test_a_broken_file_is_named(change, reason: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = tuned(tmp_path)
    path.write_text(change(path.read_text()))
    with pytest.raises(DatabaseError) as error:
        CpuEngine(database=Database((tmp_path,))).lower(graph(), {}, TARGET)
    assert str(path) in str(error.value) and reason in str(error.value) and "\n" not in str(error.value)


def lowered(folder: Path) -> tuple[str, str, int]:
    """The region's C, the note and the cycles of its layer."""
    artifact = CpuEngine(database=Database((folder,))).lower(graph(), {}, TARGET)
    (stage,) = artifact.stages
    return artifact.files["cpu/small.c"], stage.note, stage.cycles


def with_best(folder: Path, variant: Variant, cycles: int = 77) -> Entry:
    """An entry in which this variant is the fastest."""
    entry = read_entry(tuned(folder, top=30))
    tried = tuple(
        replace(t, measured=replace(t.measured, cycles=cycles)) if t.variant == variant else t for t in entry.tried
    )
    changed = replace(entry, tried=tried)
    write_entry(folder, changed)
    return changed


def test_engine_takes_what_was_measured(tmp_path: Path) -> None:
    code, note, cycles = lowered(tmp_path)
    assert note.endswith("kernel by the model") and ".kernel =" not in code and cycles > 77
    with_best(tmp_path, Variant("blocks", 16, 8, 8))
    code, note, cycles = lowered(tmp_path)
    assert note.endswith("tuned: blocks of 8 pixels, i16 sums, m1, measured 77 cycles (meter)") and cycles == 77
    assert ".kernel = {HCK_BLOCKS, 16, 8, 8}" in code
    others = tmp_path / "others"
    entry = with_best(others, COLUMNS)
    code, note, _ = lowered(others)
    assert "hck_sparse_conv2d(" in code and "tuned: columns" in note
    write_entry(others, replace(entry, versions={**entry.versions, "kernels": "older"}))
    assert lowered(others)[1].endswith("kernel by the model")


def test_the_placement_hears_of_the_gain(tmp_path: Path) -> None:
    """A convolution alone, which is never measured as such: the model's cycles with the measured gain."""
    node = run_passes(graph(), ()).view("conv")
    engines = [CpuEngine(database=Database(folders)) for folders in ((), (tmp_path,))]
    entry = with_best(tmp_path, Variant("blocks", 16, 8, 8))
    prepared = engines[0].prepare(node, TARGET)
    assert isinstance(prepared, Prepared)
    before, after = (engine.candidates(prepared, TARGET)[0].cycles for engine in engines)
    assert after == round(before * 77 / entry.usual.measured.cycles) < before


def test_a_board_counts_before_the_meter_and_the_own_folder_before_others(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    with_best(theirs, Variant("blocks", 16, 16, 4))
    with_best(ours, Variant("blocks", 16, 8, 8))
    both = Database((ours, theirs))
    found = both.find(signature(), generic(), 256)
    assert found and found.best.variant == Variant("blocks", 16, 8, 8)
    write_entry(theirs, replace(with_best(theirs, COLUMNS, 76), place="board"))
    found = Database((ours, theirs)).find(signature(), generic(), 256)
    assert found and found.place == "board" and found.best.variant == COLUMNS
    assert both.find(signature(), generic(), 512) is None


def test_an_impossible_choice_is_refused(tmp_path: Path) -> None:
    entry = with_best(tmp_path, USUAL)
    wrong = replace(entry.usual, variant=Variant("blocks", 8, 8, 8), measured=replace(entry.usual.measured, cycles=1))
    write_entry(tmp_path, replace(entry, tried=(*entry.tried, wrong)))
    with pytest.raises(DatabaseError, match="'blocks of 8 pixels, i8 sums, m1' cannot compute this layer"):
        lowered(tmp_path)


def test_a_package_can_be_tuned_without_its_network(tmp_path: Path) -> None:
    artifact = CpuEngine(database=Database(())).lower(graph(), {}, TARGET)
    (name,) = [name for name in artifact.files if name.endswith(PACKAGED)]
    (tmp_path / "signatures").write_text(artifact.files[name])
    ((layer_name, found, default),) = read_packaged(tmp_path / "signatures")
    assert (layer_name, default, found.as_json()) == ("conv", WINOGRAD, signature().as_json())
