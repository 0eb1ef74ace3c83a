"""Depths of the streams behind forks: what the joining paths need, instead of a whole frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hls.fifo import least_depth, network_of, runs
from hls.heterocl.lower import lower
from hls.layers.movement import Fork
from hls.layers.stage import Wire
from hls.program import Design, schedule

SHALLOW = 2
"""The depth of a stream that only couples two stages."""


def with_sized_branches(design: Design) -> Design:
    """The design with the least depth at which no branch of a fork deadlocks, and one row more.

    The row keeps the stage that joins the branches from waiting for one of them within a row.
    """
    branches = [wire for stage in design.stages if isinstance(stage, Fork) for wire in stage.targets]
    if not branches:
        return design
    network = network_of(lower(schedule(design)))
    depths = {wire.name: SHALLOW for wire in branches}
    if runs(network, depths):
        return with_depths(design, depths)
    depths = {}
    for wire in branches:
        decided = replace(network, depths={**network.depths, **depths})
        least = least_depth(decided, wire.name, SHALLOW)
        depths[wire.name] = least + (wire.columns * wire.groups if least > SHALLOW else 0)
    return with_depths(design, depths)


def with_depths(design: Design, depths: Mapping[str, int]) -> Design:
    """The design with other depths for some wires, by name."""

    def sized(wires: tuple[Wire, ...]) -> tuple[Wire, ...]:
        return tuple(replace(wire, depth=depths.get(wire.name, wire.depth)) for wire in wires)

    stages = tuple(replace(s, sources=sized(s.sources), targets=sized(s.targets)) for s in design.stages)
    return replace(design, stages=stages)
