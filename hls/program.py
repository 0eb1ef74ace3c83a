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
    arguments = [hcl.placeholder(port.wire.shape, port.wire.name, dtype=hcl.Int(port.bits)) for port in design.ports]
    tensors: dict[str, Tensor] = {port.wire.name: a for port, a in zip(design.ports, arguments, strict=True)}
    banks: list[tuple[Tensor, int]] = []

    def body(*arguments: Tensor) -> None:
        tensors.update(zip((port.wire.name for port in design.ports), arguments, strict=True))
        for stage in design.stages:
            for wire in stage.targets:
                if wire.name not in tensors:
                    tensors[wire.name] = alloc(wire.shape, wire.name, word_type(wire))
            banks.extend(stage.trace(_named(tensors, stage.sources), _named(tensors, stage.targets)))

    top = _with_parameters(body, design.name, [port.wire.name for port in design.ports])
    s = hcl.create_schedule(arguments, top)
    for stage in design.stages:
        handle = getattr(top, stage.name)
        for loop in stage.pipelined:
            s[handle].pipeline(getattr(handle, loop))
    for tensor, dimension in banks:
        s.partition(tensor, dim=dimension)
    if stream:
        ports = {port.wire.name for port in design.ports}
        links = [
            (tensors[wire.name], s[getattr(top, stage.name)], wire.depth)
            for stage in design.stages
            for wire in stage.sources
            if wire.name not in ports
        ]
        dataflow_regions(s, links, [[s[getattr(top, stage.name)]] for stage in design.stages])
    return s


def _named(tensors: Mapping[str, Tensor], wires: Sequence[Wire]) -> list[Tensor]:
    return [tensors[wire.name] for wire in wires]


def _with_parameters(body: Any, name: str, parameters: Sequence[str]) -> Any:
    """A function object of this name; HeteroCL reads a program's name from it and hangs its stages on it."""

    def top(*arguments: Tensor) -> None:
        body(*arguments)

    top.__name__ = top.__qualname__ = name
    return top
