"""A region of the graph and its foldings -> the stages and wires of one accelerator."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from hls.heterocl.identifiers import is_name
from hls.layers.movement import Fork, Load, Store
from hls.layers.regroup import regrouped
from hls.layers.stage import Stage, Wire
from hls.layers.windows import Pixels
from hls.nodes import RULES, lane_counts, raster
from hls.packing import Geometry
from hls.program import Design, Port
from ir.engine import Configuration
from ir.graph import Graph, NodeView
from ir.layouts import Words


def build_design(region: Graph, choices: Mapping[str, Configuration], dsp: Geometry) -> Design:
    """The accelerator of a region. ``choices`` has an entry for every node whose rule asks for one, and may have one
    for an input: the ``lanes`` it is loaded with."""
    names = identifiers(region)
    return _Builder(_renamed(region, names), {names[node]: c for node, c in choices.items()}, dsp).design()


@dataclass
class _Builder:
    """The design under construction. ``ready`` holds, per tensor, the wires that readers have not taken yet."""

    region: Graph
    choices: Mapping[str, Configuration]
    dsp: Geometry
    stages: list[Stage] = field(default_factory=list)
    ready: dict[str, list[Wire]] = field(default_factory=dict)
    absorbed: set[str] = field(default_factory=set)

    def design(self) -> Design:
        inputs = [self.load(name) for name in self.region.inputs]
        for node in self.region.nodes:
            if node.name not in self.absorbed:
                self.place(self.region.view(node.name))
        outputs = [self.store(name) for name in self.region.outputs]
        return Design(self.region.name, tuple(self.stages), tuple(inputs), tuple(outputs))

    def load(self, tensor: str) -> Port:
        """A region input: words of as many lanes as its first reader wants, in the narrowest native word."""
        type_ = self.region.types[tensor]
        reader = self.region.view(self.region.consumers[tensor][0])
        available = lane_counts(type_.shape[0], type_.dtype.bits)
        wanted = RULES[type(reader.op)].lanes(reader, self.choices.get(reader.name, {}), available[-1:])
        wanted = int(self.choices.get(tensor, {}).get("lanes", wanted))
        lanes = wanted if wanted in available else available[-1]
        port = raster(tensor, type_, lanes)
        wire = replace(port, name=f"{port.name}_in")
        self.add(Load(f"{port.name}_load", (port,), (wire,)), tensor)
        return Port(port, 8 * Words.narrowest(lanes, port.bits).word_bytes)

    def store(self, tensor: str) -> Port:
        wire = self.spread(self.ready[tensor].pop(), tensor)
        port = replace(wire, name=f"{tensor}_port", depth=Wire.depth)  # memory: it holds nothing back
        bits = 8 * Words.narrowest(wire.lanes, wire.bits).word_bytes
        self.stages.append(Store(f"{tensor}_store", (wire,), (port,), bits))
        return Port(port, bits)

    def place(self, view: NodeView) -> None:
        rule, choice = RULES[type(view.op)], self.choices.get(view.name, {})
        tensors = [name for name in view.node.inputs if name not in self.region.constants]
        wires = [(name, self.ready[name].pop()) for name in tensors]
        wires = [(name, w if rule.takes(view, w.pixels) else self.spread(w, name)) for name, w in wires]
        if any(wire.pixels > 1 for _, wire in wires):  # no stage splits the lanes of such words
            choice = {key: value for key, value in choice.items() if key != "lanes"}
        lanes = rule.lanes(view, choice, [wire.lanes for _, wire in wires])
        wires = [(name, w if w.lanes == lanes else self.spread(w, name)) for name, w in wires]
        sources = [self.regroup(wire, min(lanes, wire.groups * wire.lanes)) for _, wire in wires]
        *before, last = rule.stages(view, sources, choice, self.dsp)
        self.stages += before
        user = rule.absorbs(view)
        if user:
            self.absorbed.add(user.name)
        self.add(last, user.name if user else view.name)

    def add(self, stage: Stage, tensor: str) -> None:
        """Append the stage that makes ``tensor``, and a fork if the tensor has several readers.

        Branches of a fork may meet again; each can hold a whole frame, which no reader can exceed.
        """
        self.stages.append(stage)
        wire = stage.targets[0]
        readers = sum(node.inputs.count(tensor) for node in self.region.nodes) + (tensor in self.region.outputs)
        if readers < 2:
            self.ready[tensor] = [wire]
            return
        branches = [replace(wire, name=f"{wire.name}_{i}", depth=wire.words) for i in range(readers)]
        self.stages.append(Fork(f"{tensor}_fork", (wire,), tuple(branches)))
        self.ready[tensor] = branches

    def spread(self, wire: Wire, tensor: str) -> Wire:
        """The wire taken apart into single pixels."""
        if wire.pixels == 1:
            return wire
        target = replace(raster(f"{wire.name}_raster", self.region.types[tensor], wire.lanes), signed=wire.signed)
        self.stages.append(Pixels(f"{wire.name}_pixels", (wire,), (target,)))
        return target

    def regroup(self, wire: Wire, lanes: int) -> Wire:
        """The wire with ``lanes`` channels in a word."""
        regrouping = regrouped(wire, lanes)
        self.stages += regrouping
        return regrouping[-1].targets[0] if regrouping else wire


GENERATED = """
columns window raster pixels out in load store port fork tap deal dealt memory feed fed
"""
"""What the builder and the generators append to a tensor's name, after an underscore."""


REGISTERS = """
a above acc across agree below bent best both carried carry clipped done entered even fed first fresh full gated held
inside known lane leaving left lone low merged mixed moved n narrow none odd old one other out pixel plane products
reached rest right row same scaled share sum total v valid value weight weights word wx wy
"""
"""What generators call their registers, without the numbers of those that there are several of. No loop is called so:
in HeteroCL's C++ the second of two that are called alike gets a number, and may meet a register with one."""

_REGISTER = re.compile(rf"({'|'.join(REGISTERS.split())})(\d+(x\d+)?)?(_\d+)?")


def is_register(name: str) -> bool:
    """Whether a register may be called so, by generators or HeteroCL's numbering: it would hide a stage."""
    return _REGISTER.fullmatch(name) is not None


def identifiers(region: Graph) -> dict[str, str]:
    """A C identifier for every tensor of a region but its constants; none equals another, the region's name, or what
    is generated from another."""
    chosen: dict[str, str] = {}
    taken = ["std", "hls", "top", _identifier(region.name)]
    for tensor in (*region.inputs, *(node.name for node in region.nodes)):
        text = _identifier(tensor)
        text = f"t_{text}" if is_register(text) and tensor not in region.inputs else text  # a stage is called so
        attempts = (text, *(f"t{i}_{text}" for i in range(1, len(taken) + 2)))
        chosen[tensor] = next(a for a in attempts if not any(_clash(a, t) or _clash(t, a) for t in taken))
        taken.append(chosen[tensor])
    return chosen


def _clash(name: str, other: str) -> bool:
    return name == other or (
        name.startswith(f"{other}_") and name[len(other) + 1 :].split("_")[0].rstrip("0123456789") in GENERATED.split()
    )


def _identifier(name: str) -> str:
    text = re.sub(r"\W", "_", name, flags=re.ASCII)
    return text if is_name(text) and text[:1].isalpha() else f"t_{text}"


def _renamed(region: Graph, names: Mapping[str, str]) -> Graph:
    """The region under its tensors' identifiers; constants, which nobody reads by name, keep theirs."""
    nodes = tuple(replace(n, name=names[n.name], inputs=tuple(names.get(i, i) for i in n.inputs)) for n in region.nodes)
    inputs = {names[name]: type_ for name, type_ in region.inputs.items()}
    outputs = tuple(names[name] for name in region.outputs)
    return Graph(_identifier(region.name), inputs, nodes, outputs, region.constants)
