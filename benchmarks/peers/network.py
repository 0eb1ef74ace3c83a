"""Frames of a network from its layers' rows: the layers with weights, each as often as it occurs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.peers.case import TYPES
from benchmarks.peers.table import Found, Ours
from benchmarks.shapes import RESNET20

NOTE = "resnet20: its 20 layers with weights; additions and pooling left out of all; peers without requantisation"


@dataclass(frozen=True)
class NetworkRow:
    """Cycles of a frame, without miss stalls; None, and a ``problem``, where a layer is missing."""

    network: str
    by: str
    type: str
    vlen: int
    cycles: float | None
    problem: str = ""


def resnet20(ours: Ours, peers: Sequence[Found], vlens: Sequence[int]) -> list[NetworkRow]:
    """This project's types and every peer's, for every VLEN."""
    found = []
    for vlen in vlens:
        for types in ours.get((RESNET20[0][0].name, vlen), {}):
            each = {shape.name: ours[shape.name, vlen][types] for shape, _ in RESNET20}
            found.append(NetworkRow("resnet20", "this project", types, vlen, _sum(each)))
        for peer in peers:
            found += [_peer(peer, type_, vlen) for type_ in TYPES]
    return found


def _peer(peer: Found, type_: str, vlen: int) -> NetworkRow:
    rows = {row.layer: row for row in peer.rows if (row.type, row.vlen) == (type_, vlen)}
    each = {name: row.cycles for name, row in rows.items() if row.cycles is not None}
    missing = [shape.name for shape, _ in RESNET20 if shape.name not in each]
    if missing:
        problem = peer.problem or f"{missing[0]}: {rows[missing[0]].problem if missing[0] in rows else 'not measured'}"
        return NetworkRow("resnet20", peer.name, type_, vlen, None, problem)
    return NetworkRow("resnet20", peer.name, type_, vlen, _sum(each))


def _sum(each: Mapping[str, float]) -> float:
    return sum(count * shape.macs * each[shape.name] for shape, count in RESNET20)


def lines(found: Sequence[NetworkRow]) -> Iterator[str]:
    """The printed table."""
    yield "network   by            type     VLEN  million cycles"
    for row in found:
        result = row.problem if row.cycles is None else f"{row.cycles / 1e6:14.3f}"
        yield f"{row.network:9} {row.by:13} {row.type:7} {row.vlen:5}  {result}"
    yield NOTE
