"""Stages and wires -> one HeteroCL program with its schedule."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hls.heterocl import alloc, dataflow_regions, hcl, loop_of
from hls.layers.stage import Stage, Tensor, Wire, word_type
from hls.layers.weights import WeightFeed
from ir.types import Ints


@dataclass(frozen=True)
class Port:
    """An array argument of the accelerator: (rows, columns, groups) words of ``bits`` bits, read or written once."""

    wire: Wire
    bits: int


@dataclass(frozen=True)
class Constants:
    """A port that brings the same ``words`` every frame, ``repeats`` times over: weights that are kept outside."""

    port: Port
    words: Ints = field(repr=False)
    repeats: int


@dataclass(frozen=True)
class Design:
    """An accelerator: stages in dataflow order; wires connect them, ports connect it to memory.

    Every wire is the target of one stage and the source of one; ports are the sources of `Load` and `WeightFeed` and
    the targets of `Store`.
    """

    name: str
    stages: tuple[Stage, ...]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]

    @property
    def constants(self) -> tuple[Constants, ...]:
        feeds = [stage for stage in self.stages if isinstance(stage, WeightFeed)]
        return tuple(Constants(Port(f.sources[0], f.port_bits), f.words, f.repeats) for f in feeds)

    @property
    def read(self) -> tuple[Port, ...]:
        """All ports that are read: inputs, then constants."""
        return (*self.inputs, *(constants.port for constants in self.constants))

    @property
    def ports(self) -> tuple[Port, ...]:
        """In the order of the accelerator's arguments."""
        return (*self.read, *self.outputs)

    @property
    def cycles(self) -> int:
        """Cycles between frames: the slowest stage's."""
        return max(stage.cycles for stage in self.stages)


def schedule(design: Design, stream: bool = True) -> Any:
    """Trace the design and annotate it. Without ``stream`` the wires stay arrays (for comparison)."""
    hcl.init(hcl.Int(32))
    arguments = [hcl.placeholder(port.wire.shape, port.wire.name, dtype=hcl.Int(port.bits)) for port in design.read]
    types = {port.wire.name: hcl.Int(port.bits) for port in design.outputs}
    ports = {port.wire.name for port in design.ports}
    tensors: dict[str, Tensor] = {}
    banks: list[tuple[Tensor, int]] = []

    def body(*arguments: Tensor) -> Any:
        tensors.update(zip((port.wire.name for port in design.read), arguments, strict=True))
        for stage in design.stages:
            for wire in stage.targets:
                port = types.get(wire.name)
                shape = wire.shape if port else (wire.rows * wire.columns, wire.groups)
                tensors[wire.name] = alloc(shape, wire.name, port or word_type(wire))
            banks.extend(stage.trace(_views(tensors, stage.sources, ports), _views(tensors, stage.targets, ports)))
        return tuple(tensors[port.wire.name] for port in design.outputs)

    body.__name__ = body.__qualname__ = design.name  # the real HeteroCL calls it top
    s = hcl.create_schedule(arguments, body)
    for stage in design.stages:
        handle = getattr(body, stage.name)
        for loop in stage.pipelined:
            s[handle].pipeline(loop_of(handle, loop))
    for tensor, dimension in banks:
        s.partition(tensor, dim=dimension)
    if stream:
        inputs = {port.wire.name for port in design.read}
        links = [
            (tensors[wire.name], s[getattr(body, stage.name)], wire.depth)
            for stage in design.stages
            for wire in stage.sources
            if wire.name not in inputs
        ]
        dataflow_regions(s, links, [[s[getattr(body, stage.name)]] for stage in design.stages])
    return s


class _Flat:
    """A stream's tensor, rows one behind the other, indexed like the wire: row, column, group.

    A stage may step through it as one row, whatever the rows of the wire.
    """

    def __init__(self, tensor: Tensor, columns: int) -> None:
        self._tensor, self._columns = tensor, columns

    def __getitem__(self, place: tuple[Any, Any, Any]) -> Any:
        return self._tensor[self._at(*place)]

    def __setitem__(self, place: tuple[Any, Any, Any], value: Any) -> None:
        self._tensor[self._at(*place)] = value

    def _at(self, row: Any, column: Any, group: Any) -> tuple[Any, Any]:
        return (column if isinstance(row, int) and row == 0 else row * self._columns + column, group)


def _views(tensors: Mapping[str, Tensor], wires: Sequence[Wire], ports: Collection[str]) -> list[Tensor]:
    return [tensors[wire.name] if wire.name in ports else _Flat(tensors[wire.name], wire.columns) for wire in wires]
