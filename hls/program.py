"""Stages and wires -> one HeteroCL program with its schedule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hls.heterocl import alloc, dataflow_regions, hcl
from hls.layers.stage import Stage, Tensor, Wire, word_type


@dataclass(frozen=True)
class Port:
    """An array argument of the accelerator: (rows, columns, groups) words of ``bits`` bits, read or written once."""

    wire: Wire
    bits: int


@dataclass(frozen=True)
class Design:
    """An accelerator: stages in dataflow order; wires connect them, ports connect it to memory.

    Every wire is the target of one stage and the source of one; ports are the sources of `Load` and targets of `Store`.
    """

    name: str
    stages: tuple[Stage, ...]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]

    @property
    def ports(self) -> tuple[Port, ...]:
        return (*self.inputs, *self.outputs)

    @property
    def cycles(self) -> int:
        """Cycles between frames: the slowest stage's."""
        return max(stage.cycles for stage in self.stages)


def schedule(design: Design, stream: bool = True) -> Any:
    """Trace the design and annotate it. Without ``stream`` the wires stay arrays (for comparison)."""
    hcl.init(hcl.Int(32))
    arguments = [hcl.placeholder(port.wire.shape, port.wire.name, dtype=hcl.Int(port.bits)) for port in design.inputs]
    types = {port.wire.name: hcl.Int(port.bits) for port in design.outputs}
    tensors: dict[str, Tensor] = {}
    banks: list[tuple[Tensor, int]] = []

    def body(*arguments: Tensor) -> Any:
        tensors.update(zip((port.wire.name for port in design.inputs), arguments, strict=True))
        for stage in design.stages:
            for wire in stage.targets:
                tensors[wire.name] = alloc(wire.shape, wire.name, types.get(wire.name) or word_type(wire))
            banks.extend(stage.trace(_named(tensors, stage.sources), _named(tensors, stage.targets)))
        return tuple(tensors[port.wire.name] for port in design.outputs)

    body.__name__ = body.__qualname__ = design.name  # HeteroCL names the program after it and hangs its stages on it
    s = hcl.create_schedule(arguments, body)
    for stage in design.stages:
        handle = getattr(body, stage.name)
        for loop in stage.pipelined:
            s[handle].pipeline(getattr(handle, loop))
    for tensor, dimension in banks:
        s.partition(tensor, dim=dimension)
    if stream:
        ports = {port.wire.name for port in design.inputs}
        links = [
            (tensors[wire.name], s[getattr(body, stage.name)], wire.depth)
            for stage in design.stages
            for wire in stage.sources
            if wire.name not in ports
        ]
        dataflow_regions(s, links, [[s[getattr(body, stage.name)]] for stage in design.stages])
    return s


def _named(tensors: Mapping[str, Tensor], wires: Sequence[Wire]) -> list[Tensor]:
    return [tensors[wire.name] for wire in wires]
