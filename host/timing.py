"""The per-stage table that hetero-run prints."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from host.manifest import Manifest, Region
from host.places import Where
from host.plan import StepKind
from host.session import StepTime

SIDES: dict[StepKind, str] = {"cpu": "cpu", "device": "device", "pack": "cpu", "unpack": "cpu"}
NOTES: dict[Where, str] = {
    "sim": "device times are those of its simulator on this machine",
    "qemu": "times under emulation say nothing about a board; device times are those of its simulator",
}


@dataclass(frozen=True)
class Extra:
    """Work around the network: reading photos, drawing."""

    name: str
    seconds: float


def table(
    manifest: Manifest,
    times: Iterable[StepTime],
    extras: Iterable[Extra],
    frames: int,
    wall: float,
    on: Where,
    stages: bool = False,
) -> str:
    """Frames per second and, for each step, the time per frame, its share of the whole time, and estimated cycles;
    with ``stages`` also those of every stage of the accelerator.

    Steps overlap, so the shares may add up to more than 100 %.
    """
    rows = [("stage", "side", "ms/frame", "share", "estimate")]
    for extra in extras:
        rows.append((extra.name, "host", *_time(extra.seconds, frames, wall), ""))
    regions = {region.name: region for region in manifest.regions}
    for step in times:
        kind = "cpu" if on == "cpu" else step.kind
        region = regions.get(step.name) if kind == step.kind and kind in ("cpu", "device") else None
        estimate = _estimate(region) if region else ""
        rows.append((step.name, SIDES[kind], *_time(step.seconds, frames, wall), estimate))
        if stages and region and region.side == "device" and len(region.stages) > 1:
            rows += [(f"  {stage.name}", "", "", "", f"{stage.cycles:,} cycles") for stage in region.stages]
    noun = "frame" if frames == 1 else "frames"
    head = f"{frames} {noun} in {wall:.3f} s: {frames / wall:.1f} frames/s on {on}" + (
        f" ({NOTES[on]})" if on in NOTES else ""
    )
    return "\n".join((head, *_aligned(rows)))


def _time(seconds: float, frames: int, wall: float) -> tuple[str, str]:
    return f"{1000 * seconds / frames:.3f}", f"{100 * seconds / wall:.1f} %"


def _estimate(region: Region) -> str:
    """Stages of a pipeline work at once, so the slowest gives the rate; a CPU's layers follow each other."""
    if not region.stages:
        return ""
    slowest = max(region.stages, key=lambda stage: stage.cycles)
    cycles = slowest.cycles if region.side == "device" else sum(stage.cycles for stage in region.stages)
    clock = region.clock_mhz
    rate = f", {1e6 * clock / cycles:.0f} frames/s at {clock:g} MHz" if clock > 0 and cycles else ""
    by = "by" if region.side == "device" else "most by"
    return f"{cycles:,} cycles{rate}" + (f", {by} {slowest.name}" if len(region.stages) > 1 else "")


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    numeric = (2, 3)
    return [
        "  ".join(
            cell.rjust(width) if column in numeric else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
