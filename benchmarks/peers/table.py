"""The peers' rows of benchmarks.riscv."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.peers import iree, tvm
from benchmarks.peers.build import Parts, PeerError, link, measure
from benchmarks.peers.case import TYPES, Case
from benchmarks.shapes import Shape
from cpu_backend import toolchain
from cpu_backend.meter.counts import MeterError
from cpu_backend.meter.machine import Machine
from cpu_backend.meter.meter import Meter, build_meter

NOTE = "peers' results are the sums, without requantisation; this project's rows include it"


@dataclass(frozen=True)
class Peer:
    """Where it comes from and how it compiles a layer: interpreter, layer, VLEN, folder."""

    name: str
    wheel: str
    version: Callable[[str], str | None]
    build: Callable[[str, Case, int, Path], Parts]


PEERS = (
    Peer("tvm", tvm.WHEEL, tvm.version, tvm.build),
    Peer("iree", iree.WHEEL, iree.version, iree.build),
)


@dataclass(frozen=True)
class PeerRow:
    """One layer at one VLEN, per multiply-accumulate, ``cycles`` without miss stalls; or a ``problem``."""

    layer: str
    type: str
    vlen: int
    instructions: float | None = None
    arithmetic_beats: float | None = None
    memory_beats: float | None = None
    cycles: float | None = None
    ratios: Mapping[str, float] | None = None
    """This project's cycles divided by the peer's, by types of this project."""
    problem: str = ""


@dataclass(frozen=True)
class Found:
    """A peer's part of the table; ``version`` None and a ``problem`` where it could not be asked."""

    name: str
    wheel: str
    version: str | None
    problem: str
    rows: tuple[PeerRow, ...]


Ours = Mapping[tuple[str, int], Mapping[str, float]]
"""This project's cycles per multiply-accumulate, by layer and VLEN, then by types."""


Batches = Sequence[tuple[Sequence[Shape], Sequence[int]]]
"""Shapes, and the vector lengths that they are measured at."""


Progress = Callable[[str], None]
"""Told what is measured next."""


def find(
    machine: Machine, batches: Batches, python: str, ours: Ours, progress: Progress = lambda what: None
) -> list[Found]:
    """Every peer, installed or not; failures are in the rows. ToolError of the meter itself only."""
    with TemporaryDirectory() as scratch:
        meter = build_meter(Path(scratch))
        return [_peer(peer, meter, machine, list(_cases(batches)), python, ours, progress) for peer in PEERS]


def _cases(batches: Batches) -> Iterator[tuple[Case, int]]:
    for shapes, vlens in batches:
        yield from ((Case(shape, type_), vlen) for shape in shapes for type_ in TYPES for vlen in vlens)


def _peer(
    peer: Peer,
    meter: Meter,
    machine: Machine,
    cases: Sequence[tuple[Case, int]],
    python: str,
    ours: Ours,
    progress: Progress,
) -> Found:
    problem = f"not installed: pip install {peer.wheel} (in any interpreter, named with --peers PYTHON)"
    version = None
    try:
        version = peer.version(python)
    except PeerError as error:
        problem = str(error)
    if version is None:
        return Found(peer.name, peer.wheel, None, problem, ())
    rows = []
    for number, (case, vlen) in enumerate(cases, 1):
        progress(f"{peer.name} {number} of {len(cases)}: {case.shape.name} {case.type}, VLEN {vlen}")
        with TemporaryDirectory() as scratch:
            try:
                rows.append(_row(peer, meter, machine, case, vlen, python, Path(scratch), ours))
            except (PeerError, MeterError, toolchain.ToolError) as error:
                rows.append(PeerRow(case.shape.name, case.type, vlen, problem=str(error).strip().splitlines()[-1]))
    return Found(peer.name, peer.wheel, version, "", tuple(rows))


def _row(
    peer: Peer, meter: Meter, machine: Machine, case: Case, vlen: int, python: str, folder: Path, ours: Ours
) -> PeerRow:
    program = link(case, peer.build(python, case, vlen, folder), folder)
    counts = measure(meter, case, program, vlen, folder)
    assert machine.dlen is not None
    parts = (counts.total, counts.arithmetic_beats(vlen, machine.dlen), counts.memory_beats(vlen, machine.dlen))
    issue, arithmetic, memory = (n / case.shape.macs for n in parts)
    cycles = machine.cycles(counts, vlen).total / case.shape.macs  # no caches were modelled: no stalls
    ratios = {types: own / cycles for types, own in ours.get((case.shape.name, vlen), {}).items()}
    return PeerRow(case.shape.name, case.type, vlen, issue, arithmetic, memory, cycles, ratios)


def lines(found: Sequence[Found], types: Sequence[str]) -> Iterator[str]:
    """The printed table; ratios for ``types``."""
    ratios = "  ".join(f"{name}/peer" for name in types)
    yield f"peer  {'layer':27} type     VLEN  instr/MAC  arith/MAC  mem/MAC  cycles/MAC  {ratios}"
    for peer in found:
        if peer.problem:
            yield f"{peer.name:5} {peer.problem}"
        for row in peer.rows:
            start = f"{peer.name:5} {row.layer:27} {row.type:7} {row.vlen:5}"
            if row.problem or row.ratios is None:
                yield f"{start}  {row.problem}"
                continue
            ratios = "  ".join(f"{row.ratios[name]:9.3f}" if name in row.ratios else " " * 9 for name in types)
            yield (
                f"{start} {row.instructions:10.4f} {row.arithmetic_beats:10.4f} {row.memory_beats:8.4f} "
                f"{row.cycles:11.4f}  {ratios}"
            )
    yield NOTE
