"""Measured for real: the program against generated regions, variants against the reference, the shipped entries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tuning_layers import CPU, alike, gated_layer, generic, signature

from cpu_backend import runner, toolchain
from cpu_backend.codegen import generate
from cpu_backend.layers import layers_of
from cpu_backend.meter.layers import RegionSources, build_program, measure_region
from cpu_backend.meter.machine import load_machine
from cpu_backend.meter.meter import build_meter
from cpu_backend.tuning.choice import applied, variants_of
from cpu_backend.tuning.database import SHIPPED, Database
from cpu_backend.tuning.measure import OnMeter
from cpu_backend.tuning.measure import build_program as build_measured
from cpu_backend.tuning.model import estimate
from cpu_backend.tuning.signature import signature_of
from cpu_backend.tuning.verify import Verdict, sample, stale, verify
from cpu_backend.variants import COLUMNS, USUAL, WINOGRAD, Variant
from ir.engine import Artifact
from ir.layouts import Plain

ENTRIES = list(Database((SHIPPED,)).entries())
SEED = 3
VARIANTS = [USUAL, Variant("blocks", 16, 8, 8), Variant("few", 16, pixels=4), COLUMNS, WINOGRAD]


@pytest.fixture(scope="module")
def meter(riscv_tools: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnMeter]:
    folder = tmp_path_factory.mktemp("measured")
    yield OnMeter(build_meter(folder), build_measured(folder), generic(), CPU.vlen, folder)


def test_as_in_a_generated_region(meter: OnMeter, tmp_path: Path) -> None:
    """The measured program, on numbers of its own, executes what the layer executes in a region, by every kernel."""
    region = alike(len(VARIANTS), pool=True)
    layers = [applied(each, variant) for each, variant in zip(layers_of(region), VARIANTS, strict=True)]
    code = generate(region, layers=layers)
    x = region.inputs["x"]
    frame = Plain().pack(np.random.default_rng(SEED).integers(x.lo, x.hi + 1, x.shape), x)
    sources = runner.write_files(Artifact(code.files, code.sources, (), ()), tmp_path)
    program = build_program(RegionSources("small", tuple(sources), toolchain.RUNTIME), "rv64gcv", frame, tmp_path)
    costs = measure_region(meter.meter, meter.machine, program, CPU.vlen, [each.name for each in layers])
    found = signature(pool=True)
    for variant, cost in zip(VARIANTS, costs, strict=True):
        measured = meter.measure(found, variant)
        assert measured.detail["instructions"] == pytest.approx(cost.counts.total, rel=0.02), variant
        assert measured.detail["arithmetic"] == pytest.approx(cost.cycles.arithmetic, rel=0.01), variant
        assert meter.measure(found, variant) == measured  # to the digit


def test_a_gated_convolution(meter: OnMeter) -> None:
    """Two convolutions of planes; wider sums take longer."""
    found = signature_of(gated_layer())
    assert found and found.operator == "gated" and COLUMNS not in variants_of(found, CPU.vlen)
    narrow, wide = (meter.measure(found, Variant("blocks", sums, 4, 8)) for sums in (16, 32))
    assert 0 < narrow.detail["arithmetic"] < wide.detail["arithmetic"]


def test_shipped_entries_hold(meter: OnMeter) -> None:
    """All are of the present kernels and of legal variants; a seeded sample is measured again."""
    assert ENTRIES
    assert {str(path): problem for path, entry in ENTRIES if (problem := stale(entry))} == {}
    assert [v for v in verify(sample(ENTRIES, 2, SEED), meter) if v.problem or v.skipped] == []


def test_verify_sees_other_cycles_and_other_kernels(meter: OnMeter) -> None:
    path, entry = next(pair for pair in ENTRIES if "conv1x1" in pair[1].signature.name)
    old = replace(entry, versions={**entry.versions, "kernels": "older"})
    slower = replace(entry.best, measured=replace(entry.best.measured, cycles=entry.best.measured.cycles - 1))
    wrong = replace(entry, tried=tuple(slower if t is entry.best else t for t in entry.tried))
    first, second = verify([(path, old), (path, wrong)], meter)
    assert first == Verdict(path, "kernels changed", skipped=True)
    assert second.problem == (
        f"'{entry.best.variant}' takes {entry.best.measured.cycles:,} cycles, not {entry.best.measured.cycles - 1:,}"
    )


def test_the_model_orders_variants_well() -> None:
    """Of the measured variants of each shipped layer, the model's first takes at most a tenth more than the best."""
    for path, entry in ENTRIES:
        machine = load_machine(entry.machine)
        assert all(t.estimate == estimate(entry.signature, t.variant, machine, entry.vlen) for t in entry.tried), path
        first = min(entry.tried, key=lambda tried: tried.estimate)
        assert first.measured.cycles <= 1.1 * entry.best.measured.cycles, path


def test_every_legal_variant_has_an_estimate() -> None:
    for _, entry in ENTRIES:
        machine = load_machine(entry.machine)
        for variant in variants_of(entry.signature, entry.vlen):
            assert estimate(entry.signature, variant, machine, entry.vlen) > 0
