"""Every kernel against `Op.evaluate`, byte by byte: portable and RVV, three vector lengths from one binary."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import cpu_blocks
import cpu_cases
import cpu_encode
import cpu_full
import cpu_sketches
import pytest
from cpu_programs import MACHINES, Programs

SEED = 20240607
OPERATORS = [kind for kind in cpu_sketches.GRAPHS if kind not in ("conv", "low_bits", "map", "spatial")]
GRAPHS = {**cpu_sketches.GRAPHS, **cpu_blocks.GRAPHS}
COUNTS = {
    "conv": 400,
    "low_bits": 100,
    "few": 600,
    "depthwise": 500,
    "halves": 400,
    "parts": 150,
    "map": 150,
    "spatial": 100,
    "copy": 40,
    **dict.fromkeys(OPERATORS, 15),
}
FULL_COUNTS = {
    "conv": 2000,
    "low_bits": 800,
    "few": 5000,
    "depthwise": 5000,
    "halves": 2000,
    "parts": 2000,
    "map": 600,
    "spatial": 400,
    "copy": 200,
    **dict.fromkeys(OPERATORS, 150),
}


@pytest.fixture(scope="module", params=COUNTS)
def sample(request: pytest.FixtureRequest) -> list[cpu_cases.Case]:
    return cpu_sketches.cases(request.param, COUNTS[request.param], SEED, GRAPHS)


@pytest.mark.parametrize("machine", MACHINES)
def test_equals_the_reference(
    machine: str, sample: list[cpu_cases.Case], driver_programs: Programs, tmp_path: Path
) -> None:
    driver_programs.check(sample, MACHINES[machine], tmp_path)


@pytest.fixture(scope="module")
def fully_connected() -> list[cpu_cases.Case]:
    return cpu_full.cases(100, SEED)


@pytest.mark.parametrize("machine", MACHINES)
def test_fully_connected(
    machine: str, fully_connected: list[cpu_cases.Case], driver_programs: Programs, tmp_path: Path
) -> None:
    driver_programs.check(fully_connected, MACHINES[machine], tmp_path)


@pytest.mark.full
def test_fully_connected_on_many(driver_programs: Programs, tmp_path: Path) -> None:
    cases = cpu_full.cases(3000, SEED + 1)
    for vlen in MACHINES.values():
        driver_programs.check(cases, vlen, tmp_path)


def test_sample_of_fully_connected_layers(fully_connected: list[cpu_cases.Case]) -> None:
    labels = [case.label for case in fully_connected]
    for part in (" 7 at a time", "18 at a time", "63 at a time", "up to 255 together", "up to 258 together"):
        assert any(part in label for label in labels), part
    for part in ("in 4 bits, stride 128 for 250", "stride 256 for 250", "in 2 bits, stride "):  # two begin at lines
        assert any(part in label for label in labels), part
    for part in ("i16 accumulator, no flush", "i16 accumulator, flush"):  # 16-bit and 32-bit sums of few levels
        assert any(part in label and "at a time" in label for label in labels), part


@pytest.mark.full
@pytest.mark.parametrize("kind", FULL_COUNTS)
def test_equals_the_reference_on_many(kind: str, driver_programs: Programs, tmp_path: Path) -> None:
    cases = cpu_sketches.cases(kind, FULL_COUNTS[kind], SEED + 1, GRAPHS)
    for vlen in MACHINES.values():
        driver_programs.check(cases, vlen, tmp_path)


@pytest.fixture(scope="module")
def extremes() -> list[cpu_cases.Case]:
    return [*cpu_sketches.fullest_sums(), *cpu_sketches.fullest_stretches()]


@pytest.mark.parametrize("machine", MACHINES)
def test_narrow_sums_at_their_ends(
    machine: str, extremes: list[cpu_cases.Case], driver_programs: Programs, tmp_path: Path
) -> None:
    for part in ("into i16", "into i32", "i16 accumulator, flush every"):
        assert any(part in case.label for case in extremes), part
    driver_programs.check(extremes, MACHINES[machine], tmp_path)


def test_sample_covers_every_kernel() -> None:
    """The seeded sample reaches each accumulator, flushing included, both arithmetic widths and the plain loops."""
    cases = cpu_sketches.cases("conv", COUNTS["conv"], SEED)
    labels = [case.label for case in cases]
    for part in ("i16 accumulator, no flush", "i16 accumulator, flush every", "i32 accumulator", "MaxPool2d"):
        assert any(part in label for label in labels), part
    assert {case.operator for case in cases} == {cpu_encode.CONV, cpu_encode.CONV_WIDE}
    assert any(case.blobs[1] for case in cases), "32-bit requantisation"
    assert any(case.blobs[2] for case in cases), "64-bit requantisation"
    assert any(case.blobs[4] for case in cases), "falling thresholds"


def test_sample_covers_every_size_of_8_bit_sums() -> None:
    """Sums that end as 16 bits and as 32 bits, one flush and many, on vectors of each LMUL at VLEN 128 to 512."""
    cases = cpu_sketches.cases("low_bits", COUNTS["low_bits"], SEED)
    mine = [case for case in cases if "i8 accumulator" in case.label]
    labels = [case.label for case in mine]
    assert any("into i32" in label for label in labels)
    assert sum("into i32" not in label for label in labels) > 20
    assert any("bipolar" in label for label in labels)
    assert {16, 17, 64, 130} <= {case.parameters[2] for case in mine}, "output channels"


@pytest.mark.parametrize(
    ("counts", "least"), [(COUNTS, 12), pytest.param(FULL_COUNTS, 100, marks=pytest.mark.full)], ids=["sample", "full"]
)
def test_samples_reach_every_kernel_of_few_pixels_and_of_channels(counts: dict[str, int], least: int) -> None:
    """Each kind of sums with each type of elements, one to three last pixels; depthwise: kernel and stride."""
    few, depthwise = (
        Counter(key for case in cpu_sketches.cases(kind, counts[kind], SEED, GRAPHS) for key in reached(case))
        for reached, kind in ((cpu_blocks.few_kernels, "few"), (cpu_blocks.depthwise_kernels, "depthwise"))
    )
    assert len(few) == 8 + 3 and len(depthwise) == 2 * 2 * 4 + 2
    assert min(few.values()) >= least, few
    assert min(depthwise.values()) >= least, depthwise
    cases = [
        case
        for kind in ("depthwise", "halves", "parts")
        for case in cpu_sketches.cases(kind, counts[kind], SEED, GRAPHS)
    ]
    reached = (key for case in cases for key in cpu_blocks.fused_depthwise_kernels(case))
    fused = Counter((name.split(" rows")[0], *where) for name, *where in reached)
    assert len(fused) == 10 * 2 * 2 and min(fused.values()) >= 2, fused


def test_driver_sees_a_wrong_byte(driver_programs: Programs, tmp_path: Path) -> None:
    """The comparison itself can fail."""
    case = cpu_sketches.cases("map", 1, SEED)[0]
    wrong = cpu_cases.Case(
        case.operator, case.parameters, case.blobs, bytes([case.expected[0] ^ 1]) + case.expected[1:], ""
    )
    with pytest.raises(AssertionError, match="byte 0"):
        driver_programs.check([wrong], None, tmp_path)
